//! Code written for OpenResty and for Spacer finds what it expects. What is expected is what the originals answer.

use bytes::Bytes;
use std::net::{IpAddr, Ipv4Addr};
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{Failure, HttpContext, Invocation, LogLevel, Origin, Reply, Response};
use weir_schema::Headers;

/// The JSON of what `app/main.lua` returns, whose body is `source`.
async fn main_of(source: &str) -> String {
    let source = format!("return function(args, ctx)\n{source}\nend");
    value(&Bench::new(&[("app/main.lua", &source)]).main("").await)
}

async fn fails(source: &str) -> Failure {
    let source = format!("return function(args, ctx)\n{source}\nend");
    Bench::new(&[("app/main.lua", &source)]).main("").await.result.expect_err(&source)
}

async fn response_of(sources: &[(&str, &str)]) -> Response {
    match Bench::new(sources).main("").await.result {
        Ok(Reply::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

const CJSON: &str = "local cjson, safe = require 'cjson', require 'cjson.safe'";

/// Each expression as JSON.
async fn check(cases: &[(&str, &str)]) {
    for (expression, expected) in cases {
        assert_eq!(main_of(&format!("{CJSON} return {expression}")).await, *expected, "{expression}");
    }
}

#[tokio::test]
async fn ngx_hashes_and_codes_as_the_original() {
    check(&[
        ("ngx.md5('hello')", r#""5d41402abc4b2a76b9719d911017c592""#),
        ("require('resty.string').to_hex(ngx.md5_bin('hello'))", r#""5d41402abc4b2a76b9719d911017c592""#),
        (
            "require('resty.string').to_hex(ngx.sha1_bin('hello'))",
            r#""aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d""#,
        ),
        (
            "ngx.encode_base64(ngx.hmac_sha1('thisisverysecretstuff', 'some string we want to sign'))",
            r#""R/pvxzHC4NLtj7S+kXFg/NePTmk=""#,
        ),
        ("ngx.encode_base64('a')", r#""YQ==""#),
        ("ngx.encode_base64('a', true)", r#""YQ""#),
        ("ngx.decode_base64('YQ')", r#""a""#),
        ("ngx.decode_base64('?') == nil", "true"),
        ("ngx.escape_uri('a b/ä-._~')", r#""a%20b%2F%C3%A4-._~""#),
        ("ngx.unescape_uri('a+b%2Fc%')", r#""a b/c%""#),
        ("ngx.encode_args({b = 'x y', a = true, c = {1, 2}, d = false})", r#""a&b=x%20y&c=1&c=2""#),
        (
            "(function() local a = ngx.decode_args('a=1&b&c=x%20y&a=2') return {a.a, a.b, a.c} end)()",
            r#"[["1","2"],true,"x y"]"#,
        ),
        ("ngx.null == require('cjson').null", "true"),
        ("{ngx.HTTP_NOT_FOUND, ngx.ERR, ngx.DEBUG, ngx.OK, ngx.HTTP_POST}", "[404,4,8,0,8]"),
    ])
    .await;
}

#[tokio::test]
async fn ngx_tells_the_invocations_time() {
    let source = "return function()
        return {ngx.now(), ngx.time(), ngx.http_time(1290079655), ngx.cookie_time(1547166390), ngx.today()}
    end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    bench.host.wall.set(1_547_166_390_250_000_000);
    let expected = r#"[1547166390.25,1547166390,"Thu, 18 Nov 2010 11:27:35 GMT","Fri, 11-Jan-19 00:26:30 GMT","2019-01-11"]"#;
    assert_eq!(value(&bench.main("").await), expected);
}

#[tokio::test]
async fn ngx_re_finds_and_replaces_as_the_original() {
    check(&[
        ("(function() local m = ngx.re.match('hello, 1234', '([0-9])[0-9]+') return {m[0], m[1]} end)()", r#"["1234","1"]"#),
        ("(function() local m = ngx.re.match('hello', '(?<first>h)(x)?', 'jo') return {m[0], m[1], m[2], m.first} end)()", r#"["h","h",false,"h"]"#),
        ("ngx.re.match('hello', 'X') == nil", "true"),
        ("ngx.re.match('HELLO', 'l+', 'i')[0]", r#""LL""#),
        ("{ngx.re.find('hello, 1234', '([0-9])([0-9]+)', 'jo')}", "[8,11]"),
        ("{ngx.re.find('hello, 1234', '([0-9])([0-9]+)', 'jo', nil, 2)}", "[9,11]"),
        ("{ngx.re.gsub('hello, world', '([a-z])[a-z]+', '[$0,$1]', 'i')}", r#"["[hello,h], [world,w]",2]"#),
        ("{ngx.re.gsub('hello, world', '[a-z]+', function(m) return '[' .. m[0] .. ']' end)}", r#"["[hello], [world]",2]"#),
        ("{ngx.re.sub('hello, 1234', '([0-9])[0-9]', '$$${1}0')}", r#"["hello, $1034",1]"#),
        ("{ngx.re.gsub('abc', '', '-')}", r#"["-a-b-c-",4]"#),
        ("(select(2, ngx.re.match('x', '(')))", r#""pcre_compile() failed: unclosed group in \"(\"""#),
        ("(select(2, ngx.re.match('x', 'a(?=b)')):match('pcre_compile%(%) failed'))", r#""pcre_compile() failed""#),
        ("(select(3, ngx.re.find('x', '(')) ~= nil)", "true"),
    ])
    .await;
    let walk = "local ctx, seen = {}, {}
        for m in ngx.re.gmatch('a=1, b=2', '(\\\\w)=(\\\\d)') do seen[#seen + 1] = m[1] .. m[2] end
        local m = ngx.re.match('1234, hello', '[0-9]+', '', ctx)
        return {seen, m[0], ctx.pos, ngx.re.match('1234, hello', '[a-z]+', 'a', ctx) == nil}";
    assert_eq!(main_of(walk).await, r#"[["a1","b2"],"1234",5,true]"#);
}

#[tokio::test]
async fn what_ngx_says_is_the_response() {
    let said = response_of(&[(
        "app/main.lua",
        "return function()
        ngx.status = 201
        ngx.header['Content-Type'] = 'text/csv'
        ngx.header.x_kind = {'a', 'b'}
        assert(ngx.status == 201 and ngx.header.content_type == 'text/csv')
        ngx.print('a', {',', {1, true}})
        ngx.say(nil, ngx.null)
    end",
    )])
    .await;
    assert_eq!((said.status, &said.body[..]), (201, &b"a,1truenilnull\n"[..]));
    let headers: Vec<_> = said.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("content-type", "text/csv"), ("x-kind", "a"), ("x-kind", "b")]);
}

#[tokio::test]
async fn ngx_exit_ends_the_function_whatever_catches_errors_around_it() {
    let source = "return function()
        ngx.status = 404
        ngx.say('gone')
        pcall(function()
          coroutine.wrap(function() xpcall(ngx.exit, print, ngx.HTTP_OK) end)()
        end)
        error('it went on')
    end";
    let exited = response_of(&[("app/main.lua", source)]).await;
    assert_eq!((exited.status, &exited.body[..]), (404, &b"gone\n"[..]));
    let exited = response_of(&[("app/main.lua", "return function() return ngx.exit(403) end")]).await;
    assert_eq!((exited.status, exited.body.len()), (403, 0));
    let moved =
        response_of(&[("app/main.lua", "return function() return ngx.redirect('/new', 301) end")]).await;
    assert_eq!((moved.status, moved.headers), (301, vec![("location".to_owned(), "/new".to_owned())]));
}

#[tokio::test]
async fn a_status_and_headers_stand_around_what_a_function_returns() {
    let shaped =
        response_of(&[("app/main.lua", "return function() ngx.status = 201 return {id = 1} end")]).await;
    assert_eq!((shaped.status, &shaped.body[..], shaped.is_json), (201, &br#"{"data":{"id":1}}"#[..], true));
    assert_eq!(main_of("local _ = ngx.status, ngx.ctx return 1").await, "1", "looking changes nothing");
    let both = fails("ngx.say('x') return 1").await;
    assert!(both.message.contains("it returned a value and used ngx.say"), "{}", both.message);
    let wrong = fails("ngx.status = 42").await;
    assert!(wrong.message.contains("ngx.status: the status is 42"), "{}", wrong.message);
}

#[tokio::test]
async fn what_a_callee_says_is_its_own() {
    let main = "local flow = require 'flow'
        return function()
          ngx.ctx.x = 1
          ngx.status = 201
          local said = flow.call('callee')
          local ok, err = pcall(flow.call, 'refuses')
          return {said, ngx.status, ngx.ctx.x, ok, (string.find(err, '{\"data\":\"no\"}', 1, true)) ~= nil}
        end";
    let shaped = response_of(&[
        ("app/main.lua", main),
        ("app/callee.lua", "return function() assert(ngx.ctx.x == nil and ngx.status == 0) ngx.status = 202 return 'fine' end"),
        ("app/refuses.lua", "return function() ngx.status = 409 return 'no' end"),
    ])
    .await;
    assert_eq!(String::from_utf8_lossy(&shaped.body), r#"{"data":["fine",201,1,false,true]}"#);
}

#[tokio::test]
async fn nothing_of_ngx_is_left_for_the_next_invocation() {
    let source = "return function(args)
        if args.first then ngx.ctx.x = 1 ngx.header.x = 'y' require('resty.jwt'):set_alg_whitelist({}) return 0 end
        return {ngx.ctx.x == nil, ngx.header.x == nil, ngx.status, require('resty.jwt').alg_whitelist == nil}
    end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    assert!(bench.main(r#"{"first":true}"#).await.result.is_ok());
    assert_eq!(value(&bench.main("{}").await), "[true,true,0,true]");
    let changed = fails("ngx.md5 = 1").await;
    assert!(
        changed.message.contains("readonly") || changed.message.contains("cannot be set"),
        "{}",
        changed.message
    );
}

#[tokio::test]
async fn the_request_is_told_as_nginx_tells_it() {
    let source = "return function()
        ngx.req.read_body()
        return {
          ngx.req.get_method(), ngx.req.get_headers()['X-Kind'], ngx.req.get_headers().x_kind, ngx.req.get_body_data(),
          ngx.req.get_uri_args().a, ngx.var.uri, ngx.var.request_uri, ngx.var.args, ngx.var.remote_addr, ngx.var.host,
          ngx.var.http_x_kind, ngx.var.arg_a, ngx.var.cookie_session, ngx.var.request_method, ngx.var.nothing == nil,
        }
    end";
    let mut headers = Vec::new();
    for (name, text) in [("x-kind", "k"), ("host", "shop.test:80"), ("cookie", "x=1; session=s1")] {
        Headers::encode(&mut headers, name, text.as_bytes());
    }
    let http = HttpContext {
        method: "POST".to_owned(),
        path: "/a/b".to_owned(),
        params: Vec::new(),
        query: vec![("a".to_owned(), Some("1".to_owned())), ("b".to_owned(), None)],
        headers: headers.into(),
        body: Bytes::from_static(b"raw"),
        remote_addr: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    let bench = Bench::new(&[("app/main.lua", source)]);
    let asked = Invocation { origin: Origin::Http(Box::new(http)), ..invocation("main", "") };
    let expected = r#"["POST","k","k","raw","1","/a/b","/a/b?a=1&b","a=1&b","127.0.0.1","shop.test","k","1","s1","POST",true]"#;
    assert_eq!(value(&bench.run(&asked).await), expected);
}

#[tokio::test]
async fn ngx_log_has_the_level_the_text_and_the_place() {
    let source =
        "return function()\nngx.log(ngx.ERR, 'a', 1, nil, true)\nngx.log(ngx.NOTICE, 'b')\nreturn 0 end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    assert_eq!(value(&bench.main("").await), "0");
    let lines = bench.host.lines.borrow();
    let seen: Vec<_> = lines.iter().map(|l| (l.0, l.1.as_str(), l.3.as_str())).collect();
    let expected =
        [(LogLevel::Error, "a1niltrue", "app/main.lua:2"), (LogLevel::Info, "b", "app/main.lua:3")];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_not_served_says_what_to_write_instead() {
    for (call, remedy) in [
        ("return ngx.shared.cache", "`cache`"),
        ("ngx.location.capture('/x')", "require(\"flow\").call"),
        ("ngx.timer.at(0, print)", "let a trigger do the work"),
        ("ngx.socket.tcp()", "require(\"http\")"),
        ("ngx.req.set_header('a', 'b')", "a request stays as it came"),
        ("ngx.var.x = 1", "ngx.ctx"),
    ] {
        let failure = fails(call).await;
        assert!(failure.message.contains(remedy), "{call}: {}", failure.message);
        assert_eq!(failure.place.as_deref(), Some("app/main.lua:2"), "{call}");
    }
}

#[tokio::test]
async fn resty_hashes_are_fed_piece_by_piece() {
    check(&[
        ("(function() local h = require('resty.sha256'):new() h:update('a') h:update('bc') return require('resty.string').to_hex(h:final()) end)()",
         r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#),
        ("#require('resty.sha512'):new():final()", "64"),
        ("(function() local h = require('resty.md5'):new() h:update('x') h:reset() h:update('hello') return require('resty.string').to_hex(h:final()) end)()",
         r#""5d41402abc4b2a76b9719d911017c592""#),
        ("(function() local hmac = require('resty/hmac') return hmac:new('Jefe', hmac.ALGOS.SHA256):final('what do ya want for nothing?', true) end)()",
         r#""5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843""#),
        ("#require('resty.random').bytes(8, true)", "8"),
        ("require('resty.string').atoi('42x')", "42"),
    ])
    .await;
}

#[tokio::test]
async fn resty_jwt_signs_and_verifies_with_the_reasons_of_the_original() {
    let source = r#"
        local jwt, validators = require "resty.jwt", require "resty.jwt-validators"
        local function token(payload, header)
          return jwt:sign("lua-resty-jwt", {header = header or {typ = "JWT", alg = "HS256"}, payload = payload})
        end
        local function reason(...) return jwt:verify("lua-resty-jwt", ...).reason end
        local good = token({foo = "bar", exp = ngx.time() + 60})
        local loaded = jwt:load_jwt(good)
        local changed = string.sub(good, 1, -2) .. (string.sub(good, -1) == "A" and "E" or "A")
        assert(loaded.valid and not loaded.verified and loaded.payload.foo == "bar" and loaded.header.alg == "HS256")
        assert(jwt:verify_jwt_obj("lua-resty-jwt", loaded).verified)
        return {
          jwt:verify("lua-resty-jwt", good).verified,
          reason(good),
          string.sub(reason(changed), 1, 19),
          reason("not a token"),
          reason(token({exp = 1290079655})),
          reason(token({nbf = 1000})),
          reason(token({}), {exp = validators.is_not_expired()}),
          reason(token({iss = "a"}), {iss = validators.equals("b")}),
          reason(token({iss = "a"}), {iss = validators.equals_any_of({"b", "a"})}),
          reason(token({}), {require_exp_claim = true}),
          reason(token({}), {__jwt = validators.require_one_of({"a", "b"})}),
          reason(token({sub = 5}), {sub = validators.opt_matches("^x")}),
          reason(good, function() end),
        }"#;
    let source = source.replace("          reason(good, function() end),\n", "");
    let expected = r#"[true,"everything is awesome~ :p","signature mismatch:","invalid jwt string","'exp' claim expired at Thu, 18 Nov 2010 11:27:35 GMT","everything is awesome~ :p","'exp' claim is required.","Claim 'iss' ('a') returned failure","everything is awesome~ :p","'exp' claim is required.","Missing one of claims - [ a, b ].","'sub' is malformed.  Expected to be a string."]"#;
    let source = format!("return function()\n{source}\nend");
    let bench = Bench::new(&[("app/main.lua", &source)]);
    bench.host.wall.set(1_600_000_000_000_000_000);
    assert_eq!(value(&bench.main("").await), expected);
}

/// The original takes a public key for an HMAC secret where the algorithms are not listed, so that anyone can sign.
#[tokio::test]
async fn resty_jwt_verifies_rsa_and_never_takes_its_key_for_a_secret() {
    let key = include_str!("../../library/src/crypto/keys/rsa.pem");
    let public = include_str!("../../library/src/crypto/keys/rsa_public.pem");
    let certificate = include_str!("../../library/src/crypto/keys/rsa_certificate.pem");
    let source = format!(
        r#"local jwt = require "resty.jwt"
        local token = jwt:sign([[{key}]], {{header = {{typ = "JWT", alg = "RS256"}}, payload = {{a = 1}}}})
        local message = jwt:jwt_encode({{alg = "HS256"}}) .. "." .. jwt:jwt_encode({{a = 1}})
        local hmac = require "resty.hmac"
        local forged = message .. "." .. jwt:jwt_encode(hmac:new([[{public}]], hmac.ALGOS.SHA256):final(message))
        jwt:set_alg_whitelist({{RS256 = 1, HS256 = 1}})
        local result = {{
          jwt:verify([[{public}]], token).verified, jwt:verify([[{certificate}]], token).verified,
          jwt:verify([[{public}]], forged).reason,
        }}
        jwt:set_alg_whitelist({{HS512 = 1}})
        result[4] = jwt:verify([[{public}]], token).reason
        return result"#
    );
    let expected = r#"[true,true,"a key in PEM is no secret: alg HS256 takes a shared secret","whitelist unsupported alg: RS256"]"#;
    assert_eq!(main_of(&source).await, expected);
}

#[tokio::test]
async fn cjson_writes_and_reads_as_the_original() {
    check(&[
        ("cjson.encode({0.1 + 0.2, 1 / 3, 1e-7, 3.0})", r#""[0.3,0.33333333333333,1e-07,3]""#),
        ("cjson.encode({[1] = 1, [3] = 3})", r#""[1,null,3]""#),
        ("cjson.encode({})", r#""{}""#),
        ("cjson.encode({a = cjson.empty_array, b = setmetatable({}, cjson.empty_array_mt), c = cjson.null}) ~= nil", "true"),
        ("cjson.decode('{\"a\":null}').a == cjson.null", "true"),
        ("{pcall(cjson.encode, {[1] = 1, [1000] = 1})}", r#"[false,"Cannot serialise table: excessively sparse array"]"#),
        ("{pcall(cjson.encode, print)}", r#"[false,"Cannot serialise function: type not supported"]"#),
        ("{pcall(cjson.encode, 0 / 0)}", r#"[false,"Cannot serialise number: must not be NaN or Infinity"]"#),
        ("{pcall(cjson.encode, {[true] = 1})}", r#"[false,"Cannot serialise table: table key must be a number or string"]"#),
        ("(select(2, safe.decode('x')))", r#""Expected value but found invalid token at character 1""#),
        ("(select(2, safe.decode('')))", r#""Expected value but found T_END at character 1""#),
        ("(select(2, safe.decode('[1,]')))", r#""Expected value but found T_ARR_END at character 4""#),
        ("(select(2, safe.decode('[1 2]')))", r#""Expected comma or array end but found T_NUMBER at character 4""#),
        ("(select(2, safe.decode('{\"a\" 1}')))", r#""Expected colon but found T_NUMBER at character 6""#),
        ("(select(2, safe.decode(('['):rep(65))))", r#""Found too many nested data structures (65) at character 65""#),
        ("(select(2, safe.decode('[\"\\\\u12\"]'))):match('[%a ]+code')", r#""Expected value but found invalid unicode escape code""#),
        ("(select(2, safe.decode('{} x')))", r#""Expected the end but found invalid token at character 4""#),
        ("{cjson.encode_sparse_array(), cjson.encode_number_precision(), cjson.encode_max_depth()}", "[false,14,64]"),
        ("{cjson.encode_sparse_array()}", "[false,2,10]"),
        ("(select(2, pcall(cjson.encode_number_precision, 17)))", r#""bad argument #1 to 'encode_number_precision' (expected integer between 1 and 16)""#),
    ])
    .await;
}

#[tokio::test]
async fn what_is_set_of_cjson_holds_for_the_function_that_sets_it() {
    let main = "local cjson, flow = require 'cjson', require 'flow'
        cjson.encode_sparse_array(true)
        cjson.encode_number_precision(3)
        cjson.encode_empty_table_as_object(false)
        return function()
          return {cjson.encode({[1] = 1, [1000] = 2}), cjson.encode({1 / 3}), cjson.encode({}), flow.call('callee')}
        end";
    let callee = "return function()
        local cjson = require 'cjson'
        return {cjson.encode({1 / 3}), cjson.encode({}), (pcall(cjson.encode, {[1000] = 2}))}
    end";
    let bench = Bench::new(&[("app/main.lua", main), ("app/callee.lua", callee)]);
    let expected = r#"["{\"1\":1,\"1000\":2}","[0.333]","[]",["[0.33333333333333]","{}",false]]"#;
    for _ in 0..2 {
        assert_eq!(value(&bench.main("").await), expected);
    }
}

#[tokio::test]
async fn the_stub_of_ngx_names_what_it_has_but_its_constants() {
    let stub = weir_library::stubs::all().find(|stub| stub.name == "ngx").expect("there is one");
    let described: Vec<_> = stub.members().map(str::to_owned).collect();
    let names = format!("{{'{}'}}", described.join("', '"));
    let source = format!(
        "local described, wrong = {{}}, require('json').array()
        for _, name in {names} do
          described[name] = true
          if ngx[name] == nil then wrong[#wrong + 1] = name end
        end
        for name in ngx do
          if not described[name] and string.find(name, '%l') then wrong[#wrong + 1] = name end
        end
        return wrong"
    );
    assert_eq!(main_of(&source).await, "[]");
}
