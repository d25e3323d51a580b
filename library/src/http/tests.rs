use super::resolve::Names;
use super::test_server::{Server, reply};
use super::*;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, LOCATION};
use http::{Method, StatusCode};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn outbound(policy: Policy) -> Outbound {
    Outbound::new(OutboundSettings { policy, ..OutboundSettings::default() }, None).expect("no certificates")
}

fn get(url: &str) -> HttpRequest {
    HttpRequest::new(Method::GET, url, LONG, 1 << 20).expect("a URL")
}

async fn fetch(request: HttpRequest) -> Result<HttpAnswer, HttpError> {
    outbound(Policy::open()).send(request).await
}

#[tokio::test]
async fn an_answer_has_its_status_headers_and_body_whatever_the_status() {
    let server = Server::start(|_| reply(StatusCode::NOT_FOUND, "not here", &[("x-kind", "test")])).await;
    let answer = fetch(get(&server.url("/a"))).await.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::NOT_FOUND, &b"not here"[..]));
    assert_eq!(answer.headers["x-kind"], "test");
    assert_eq!(answer.url.path(), "/a");
}

#[tokio::test]
async fn connections_are_kept_and_shared() {
    let server = Server::start(|_| reply(StatusCode::OK, "hello", &[])).await;
    let (outbound, url) = (std::sync::Arc::new(outbound(Policy::open())), server.url("/"));
    for _ in 0..5 {
        outbound.send(get(&url)).await.expect("an answer");
    }
    // another thread's reactor, as another worker has it
    let other = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a reactor");
        runtime.block_on(outbound.send(get(&url)))
    });
    let other = other.await.expect("no panic");
    assert_eq!(other.expect("an answer").status, StatusCode::OK);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_followed_as_browsers_do() {
    let server = Server::start(|request| match request.uri.path() {
        "/302" => reply(StatusCode::FOUND, "", &[("location", "/end")]),
        "/307" => reply(StatusCode::TEMPORARY_REDIRECT, "", &[("location", "end")]),
        "/loop" => reply(StatusCode::FOUND, "", &[("location", "/loop")]),
        _ => reply(StatusCode::OK, format!("{} {}", request.method, request.text()), &[]),
    })
    .await;
    let post =
        |path: &str| HttpRequest { method: Method::POST, body: "data".into(), ..get(&server.url(path)) };
    let body = async |request| fetch(request).await.expect("an answer").body;
    assert_eq!(&body(post("/302")).await[..], b"GET ");
    assert_eq!(&body(post("/307")).await[..], b"POST data");
    let head = HttpRequest { method: Method::HEAD, ..get(&server.url("/302")) };
    assert_eq!(fetch(head).await.expect("an answer").status, StatusCode::OK);
    assert_eq!(fetch(get(&server.url("/loop"))).await, Err(HttpError::Redirects(5)));
    let none = HttpRequest { redirects: 0, ..get(&server.url("/302")) };
    let answer = fetch(none).await.expect("an answer");
    assert_eq!(
        (answer.status, &answer.headers[LOCATION]),
        (StatusCode::FOUND, &"/end".parse().expect("text"))
    );
}

#[tokio::test]
async fn credentials_do_not_go_to_another_origin() {
    let server = Server::start(|request| {
        reply(
            StatusCode::OK,
            if request.headers.contains_key(AUTHORIZATION) { "told" } else { "not told" },
            &[],
        )
    })
    .await;
    let elsewhere = server.url("/end");
    let first = Server::start(move |request| match request.uri.path() {
        "/away" => reply(StatusCode::FOUND, "", &[("location", &elsewhere)]),
        "/home" => reply(StatusCode::FOUND, "", &[("location", "/end")]),
        _ => reply(
            StatusCode::OK,
            if request.headers.contains_key(AUTHORIZATION) { "told" } else { "not told" },
            &[],
        ),
    })
    .await;
    for (path, expected) in [("/away", "not told"), ("/home", "told")] {
        let mut request = get(&first.url(path));
        request.headers.insert(AUTHORIZATION, "Bearer secret".parse().expect("text"));
        let body = fetch(request).await.expect("an answer").body;
        assert_eq!(&body[..], expected.as_bytes(), "{path}");
    }
}

#[tokio::test]
async fn a_redirect_to_a_place_that_is_denied_is_not_followed() {
    let secret = Server::start(|_| reply(StatusCode::OK, "metadata", &[])).await;
    let inside = secret.url("/").replace("127.0.0.1", "localhost");
    let server = Server::start(move |_| reply(StatusCode::FOUND, "", &[("location", &inside)])).await;
    let policy = Policy { deny: vec!["localhost".parse().expect("a place")], ..Policy::open() };
    let denied = outbound(policy).send(get(&server.url("/"))).await.expect_err("denied");
    assert_eq!(denied, HttpError::Denied("host localhost is denied (weir.outbound.deny)".to_owned()));
    assert_eq!(secret.connections(), 0);
}

#[tokio::test]
async fn outside_development_nothing_private_is_reached_by_address_or_by_name() {
    let server = Server::start(|_| reply(StatusCode::OK, "inside", &[])).await;
    let strict = outbound(Policy::default());
    for host in ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let url = server.url("/").replace("127.0.0.1", host);
        let denied = strict.send(get(&url)).await.expect_err("denied");
        assert!(
            matches!(&denied, HttpError::Denied(text) if text.contains("weir.outbound.private")),
            "{denied}"
        );
    }
    assert_eq!(server.connections(), 0);
}

static LOOKS: AtomicU32 = AtomicU32::new(0);

/// A name whose owner answers with an address that is allowed first, and then with one that is not.
fn rebinding(_: String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
    let looks = LOOKS.fetch_add(1, Ordering::SeqCst);
    let address = if looks == 0 { [127, 0, 0, 2] } else { [127, 0, 0, 1] };
    Box::pin(async move { Ok(vec![IpAddr::from(address)]) })
}

#[tokio::test]
async fn a_name_that_changes_between_check_and_connection_gains_nothing() {
    let server = Server::start(|_| reply(StatusCode::OK, "inside", &[])).await;
    let allowed = vec!["127.0.0.2/32".parse().expect("a network")];
    let policy = Policy { private: allowed, ..Policy::default() };
    let settings = OutboundSettings { policy, ..OutboundSettings::default() };
    let outbound = Outbound::with_names(settings, Vec::new(), rebinding as Names);
    let url = server.url("/").replace("127.0.0.1", "evil.test");
    let refused = outbound.send(get(&url)).await.expect_err("nobody listens there");
    assert!(matches!(&refused, HttpError::Connect(..)), "{refused}");
    let denied = outbound.send(get(&url)).await.expect_err("denied");
    assert!(matches!(&denied, HttpError::Denied(text) if text.contains("evil.test (127.0.0.1)")), "{denied}");
    assert_eq!((server.connections(), LOOKS.load(Ordering::SeqCst)), (0, 2));
}

#[tokio::test]
async fn in_a_replay_only_the_hosts_that_are_named_are_asked() {
    let server = Server::start(|_| reply(StatusCode::OK, "asked", &[])).await;
    let only = |hosts: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        HttpRequest { only: Some(hosts.into()), ..get(&server.url("/")) }
    };
    let denied = fetch(only(&[])).await.expect_err("denied").to_string();
    assert_eq!(
        denied,
        "a replay sends no requests to 127.0.0.1: start it with --allow-http 127.0.0.1 if it may"
    );
    assert!(fetch(only(&["example.com", "127.0.0.1"])).await.is_ok());
    assert!(fetch(only(&["example.com"])).await.is_err());
}

fn packed(text: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..times {
        encoder.write_all(text).expect("memory");
    }
    encoder.finish().expect("memory")
}

#[tokio::test]
async fn what_comes_packed_is_unpacked_up_to_the_limit() {
    let (small, bomb) = (packed(b"hello ", 3), packed(&[0; 1 << 20], 200));
    assert!(bomb.len() < 1 << 20, "a bomb is small");
    let cut = small[..small.len() - 6].to_vec();
    let server = Server::start(move |request| {
        let body = match request.uri.path() {
            "/small" => &small,
            "/bomb" => &bomb,
            _ => &cut,
        };
        let mut reply = reply(StatusCode::OK, body.clone(), &[]);
        reply.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().expect("text"));
        reply
    })
    .await;
    let answer = fetch(get(&server.url("/small"))).await.expect("an answer");
    assert_eq!(&answer.body[..], b"hello hello hello ");
    assert!(!answer.headers.contains_key(CONTENT_ENCODING));
    assert_eq!(fetch(get(&server.url("/bomb"))).await, Err(HttpError::Unpacked(1 << 20)));
    let cut = fetch(get(&server.url("/cut"))).await.expect_err("cut off");
    assert!(cut.to_string().contains("cannot be unpacked"), "{cut}");
    let mut own = get(&server.url("/small"));
    own.headers.insert("accept-encoding", "gzip".parse().expect("text"));
    let answer = fetch(own).await.expect("an answer");
    assert_eq!(answer.headers[CONTENT_ENCODING], "gzip", "who asks for it unpacks it");
}

#[tokio::test]
async fn a_body_past_the_limit_is_an_error() {
    let server = Server::start(|_| reply(StatusCode::OK, vec![b'x'; 1001], &[])).await;
    let limited = |max_body| HttpRequest { max_body, ..get(&server.url("/")) };
    assert_eq!(fetch(limited(1000)).await, Err(HttpError::Body(1000)));
    assert_eq!(fetch(limited(1001)).await.expect("an answer").body.len(), 1001);
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_an_error() {
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("bound"));
    let short = Duration::from_millis(50);
    assert_eq!(fetch(HttpRequest { timeout: short, ..get(&url) }).await, Err(HttpError::Timeout(short)));
    drop(silent);
    let refused = fetch(get(&url)).await.expect_err("nobody listens");
    assert!(matches!(&refused, HttpError::Connect(host, _) if host == "127.0.0.1"), "{refused}");
}

/// Tells when it is dropped.
struct Told(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.take().map(|told| told.send(()));
    }
}

#[tokio::test]
async fn who_waits_no_more_ends_the_exchange() {
    let (asked, mut is_asked) = tokio::sync::mpsc::channel(1);
    let server = Server::start_async(move |_| {
        let asked = asked.clone();
        async move {
            let (told, ended) = tokio::sync::oneshot::channel();
            let _held = Told(Some(told));
            asked.send(ended).await.expect("the test waits");
            std::future::pending().await
        }
    })
    .await;
    let outbound = outbound(Policy::open());
    let mut request = Box::pin(outbound.send(get(&server.url("/"))));
    let ended = tokio::select! {
        _ = &mut request => panic!("there is no answer"),
        ended = is_asked.recv() => ended.expect("asked"),
    };
    drop(request);
    ended.await.expect("the connection is gone, and with it its handler");
}

#[tokio::test]
async fn the_certificate_of_a_server_is_looked_at() {
    let (server, ca) = Server::start_tls(|_| reply(StatusCode::OK, "safe", &[])).await;
    let url = server.url("/").replace("http://127.0.0.1", "https://localhost");
    let stranger = fetch(get(&url)).await.expect_err("nobody vouches for it");
    assert!(
        matches!(&stranger, HttpError::Connect(..)) && stranger.to_string().contains("UnknownIssuer"),
        "{stranger}"
    );
    let settings = OutboundSettings { policy: Policy::open(), ..OutboundSettings::default() };
    let trusting = Outbound::new(settings.clone(), Some(ca.as_bytes())).expect("a certificate");
    assert_eq!(&trusting.send(get(&url)).await.expect("an answer").body[..], b"safe");
    let other_name = url.replace("localhost", "127.0.0.1");
    assert!(trusting.send(get(&other_name)).await.is_err(), "the certificate is for another name");
    assert!(Outbound::new(settings.clone(), Some(b"")).is_err());
    assert!(
        Outbound::new(settings, Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
            .is_err()
    );
}

#[tokio::test]
async fn what_is_under_way_ends_when_the_client_is_dropped() {
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("bound"));
    let outbound = outbound(Policy::open());
    let waiting = outbound.send(get(&url));
    drop(outbound);
    assert!(matches!(waiting.await, Err(HttpError::Unusable(_))));
}
