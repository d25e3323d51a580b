//! `http` in functions, against a real server, and what needs it.

mod server;

use server::Server;
use std::time::Duration;
use weir_library::{Outbound, OutboundSettings, Policy, Services};
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{FailureKind, Invocation, Limits, Outcome, ReplayContext};

fn bench(source: &str) -> Bench {
    let settings = OutboundSettings { policy: Policy::open(), ..OutboundSettings::default() };
    let services = Services::new(Outbound::new(settings, None).expect("no certificates"));
    let source = format!("local http = require 'http'\nreturn function(url)\n{source}\nend");
    Bench::with_services(&[("app/main.lua", &source)], services)
}

fn asking(server: &Server) -> Invocation {
    invocation("main", &format!("{:?}", server.url))
}

async fn run(source: &str, server: &Server) -> Outcome {
    bench(source).run(&asking(server)).await
}

/// The value of a header of what was asked.
fn header<'a>(asked: &'a server::Asked, name: &str) -> Option<&'a str> {
    asked.0.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn an_answer_is_read_by_each_of_its_names() {
    let server = Server::start(|_| Some(r#"{"n":[1,2]}"#.to_owned())).await;
    let source = "
        local a, err = http.get(url .. '/x')
        assert(a, err)
        assert(a.status == 200 and a.statusCode == 200 and a.status_code == 200)
        assert(a.headers['x-kind'] == 'test' and a.headers['X-Kind'] == 'test' and a.headers.none == nil)
        assert(a.url == url .. '/x')
        return {a.body, a:json().n[2]}";
    assert_eq!(value(&run(source, &server).await), r#"["{\"n\":[1,2]}",2]"#);
}

#[tokio::test]
async fn what_is_sent_is_what_the_options_say() {
    let server = Server::start(|_| Some(String::new())).await;
    let source = "
        http.get(url .. '/q?a=1', {query = {b = {'x', 'y z'}, c = true}, headers = {Accept = 'text/plain', ['X-N'] = 5}})
        http.post(url, {json = {a = {1}}})
        http.put(url, {form = {a = 'b c', d = 1}, auth = {user = 'u', pass = 'p'}})
        http.request('patch', url, {body = 'raw', headers = {['Content-Type'] = 'text/csv'}, query = 'z=1'})
        http.delete(url)
        http.head(url)
        return 0";
    assert_eq!(value(&run(source, &server).await), "0");
    let asked = server.asked();
    let first: Vec<_> = asked.iter().map(|(head, body)| (head[0].as_str(), body.as_str())).collect();
    let expected = [
        ("GET /q?a=1&b=x&b=y+z&c=true HTTP/1.1", ""),
        ("POST / HTTP/1.1", r#"{"a":[1]}"#),
        ("PUT / HTTP/1.1", "a=b+c&d=1"),
        ("PATCH /?z=1 HTTP/1.1", "raw"),
        ("DELETE / HTTP/1.1", ""),
        ("HEAD / HTTP/1.1", ""),
    ];
    assert_eq!(first, expected);
    let of = |n: usize, name| header(&asked[n], name);
    assert_eq!((of(0, "accept"), of(0, "x-n")), (Some("text/plain"), Some("5")));
    assert_eq!(of(1, "content-type"), Some("application/json"));
    assert_eq!(of(2, "content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(of(2, "authorization"), Some("basic dtpw"));
    assert_eq!(of(3, "content-type"), Some("text/csv"));
}

#[tokio::test]
async fn what_changes_something_is_known_again_when_it_is_sent_twice() {
    let server = Server::start(|_| Some(String::new())).await;
    let bench = bench(
        "http.post(url) http.get(url) http.put(url)
         http.post(url, {headers = {['Idempotency-Key'] = 'own'}})
         http.delete(url)
         return 0",
    );
    for _ in 0..2 {
        assert_eq!(value(&bench.run(&asking(&server)).await), "0");
    }
    let asked = server.asked();
    let keys: Vec<_> = asked.iter().map(|asked| header(asked, "idempotency-key")).collect();
    let id = asking(&server).id.to_string();
    let (first, second, fourth) = (format!("{id}-0"), format!("{id}-1"), format!("{id}-3"));
    let once = [Some(&*first), None, Some(&*second), Some("own"), Some(&*fourth)];
    assert_eq!(keys, [once, once].concat());
}

#[tokio::test]
async fn a_request_goes_on_with_the_trace_and_is_told_to_the_host() {
    let server = Server::start(|_| Some(String::new())).await;
    let bench = bench("http.get(url .. '/a?secret=1') http.get('http://127.0.0.1:1/b') return 0");
    assert_eq!(value(&bench.run(&asking(&server)).await), "0");
    let trace = asking(&server).trace;
    let asked = server.asked();
    let sent = header(&asked[0], "traceparent").expect("sent");
    assert!(
        sent.starts_with(&format!("00-{}-", trace.trace_id_hex().as_str())) && sent.ends_with("-01"),
        "{sent}"
    );
    assert!(!sent.contains(trace.span_id_hex().as_str()), "the request is a span of its own");
    let told = bench.host.sent.borrow();
    assert_eq!(told[0], (0, "GET 127.0.0.1 /a".to_owned(), Some(200)));
    assert_eq!(told[1], (0, "GET 127.0.0.1 /b".to_owned(), None));
}

#[tokio::test]
async fn requests_of_all_run_at_the_same_time_and_answer_in_their_order() {
    let server = Server::start_together(3, |path| Some(path.to_owned())).await;
    let source = "
        local list = http.all {url .. '/1', {url = url .. '/2', method = 'POST', json = {}}, 'http://127.0.0.1:1/', url .. '/4'}
        return {list[1].body, list[2].body, list[3].error ~= nil and list[3].body == nil, list[4].body, #list}";
    assert_eq!(value(&run(source, &server).await), r#"["/1","/2",true,"/4",4]"#);
}

#[tokio::test]
async fn the_wall_limit_ends_a_request_that_is_not_answered() {
    let server = Server::start(|_| None).await;
    let limits = Limits { wall: Duration::from_millis(100), ..Limits::default() };
    let outcome = bench("return pcall(http.get, url)").run(&Invocation { limits, ..asking(&server) }).await;
    assert_eq!(outcome.result.expect_err("no answer").kind, FailureKind::Wall);
}

#[tokio::test]
async fn a_timeout_and_a_body_too_large_are_errors_that_the_function_handles() {
    let server = Server::start(|path| (path != "/silent").then(|| "x".repeat(1000))).await;
    let source = "
        local _, late = http.get(url .. '/silent', {timeout = 0.05})
        local _, large = http.get(url, {max_body = 999})
        return {late, large, #http.get(url, {max_body = 1000}).body}";
    let expected = r#"["timeout: no whole answer within 50ms","the answer's body is larger than 999 bytes (option `max_body`)",1000]"#;
    assert_eq!(value(&run(source, &server).await), expected);
}

#[tokio::test]
async fn a_replay_asks_nobody_but_the_hosts_that_were_named() {
    let server = Server::start(|_| Some("asked".to_owned())).await;
    let replay = |hosts: &[&str]| {
        let allow_http = hosts.iter().map(ToString::to_string).collect();
        let replay = Some(ReplayContext { name: "mend".to_owned(), mode: "in-place", allow_http });
        Invocation { replay, ..asking(&server) }
    };
    let bench = bench("local a, err = http.get(url) return a and a.body or err");
    let refused = value(&bench.run(&replay(&[])).await);
    assert!(refused.contains("--allow-http 127.0.0.1"), "{refused}");
    assert_eq!(server.asked(), []);
    assert_eq!(value(&bench.run(&replay(&["127.0.0.1"])).await), r#""asked""#);
}

#[tokio::test]
async fn a_mistake_in_the_options_is_raised_where_it_stands() {
    let server = Server::start(|_| Some(String::new())).await;
    for (call, text) in [
        ("http.get(url, {hedaers = {}})", "app/main.lua:3: http.get: there is no option \"hedaers\""),
        ("http.get(url, {timeout = 'soon'})", "app/main.lua:3: http.get: `timeout` is a number of seconds"),
        ("http.post(url, {body = 'x', json = 1})", "app/main.lua:3: http.post: of `body`, `json` and `form`"),
        ("http.post(url, {json = print})", "app/main.lua:3: http.post: `json`: a function has no JSON form"),
        ("http.get(url, {headers = {['a b'] = 1}})", "app/main.lua:3: http.get: header \"a b\" has a name"),
        (
            "http.get(url, {headers = {a = 'b\\r\\nc: d'}})",
            "app/main.lua:3: http.get: header \"a\" has a value",
        ),
        ("http.get()", "app/main.lua:3: http.get: argument 1: text expected, got nil"),
        ("http.all({{method = 'GET'}})", "app/main.lua:3: http.all: request 1 has no `url`"),
    ] {
        let failure = run(call, &server).await.result.expect_err("a mistake");
        assert!(failure.message.starts_with(text), "{call}: {}", failure.message);
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn keys_that_a_signer_publishes_are_asked_for_once() {
    let server = Server::start(|_| Some(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.to_owned())).await;
    let source = r#"
        local jwt = require "jwt"
        local seed = require("hex").decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        local token = jwt.sign({sub = "u1"}, seed, {algorithm = "EdDSA", kid = "k1"})
        local claims, header = jwt.verify(token, {jwks = url})
        assert(claims, header)
        assert(header.kid == "k1")
        local _, unknown = jwt.verify(jwt.sign({}, seed, {algorithm = "EdDSA", kid = "k2"}), {jwks = url})
        local _, confused = jwt.verify(jwt.sign({}, "secret"), {jwks = url})
        local _, gone = jwt.verify(token, {jwks = "http://127.0.0.1:1/"})
        return {claims.sub, unknown, confused, string.find(gone, "^cannot get the keys of http://127.0.0.1:1/") ~= nil}"#;
    let expected = r#"["u1","none of the keys can have signed the token","algorithm \"HS256\" does not fit the key",true]"#;
    assert_eq!(value(&run(source, &server).await), expected);
    assert_eq!(server.asked().len(), 1, "an unknown key was asked for again at once");
}
