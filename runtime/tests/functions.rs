//! What a function sees, and what becomes of what it does.

use std::sync::Arc;
use std::time::Duration;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{
    Args, Code, EventContext, FailureKind, HostError, HttpContext, LogLevel, Origin, Reply, Worker,
    WorkerOptions,
};
use weir_schema::{Cause, FunctionName, Millis, Offset, Op, Source, TopicName};

/// The value of `app/main.lua`, whose body is `source`.
async fn main_of(source: &str) -> Result<String, (FailureKind, String)> {
    let bench = Bench::new(&[("app/main.lua", source)]);
    let outcome = bench.main("").await;
    match outcome.result {
        Ok(_) => Ok(value(&outcome)),
        Err(failure) => Err((failure.kind, failure.message)),
    }
}

#[tokio::test]
async fn a_function_returns_json() {
    let source = "return function(args) return {hello = args.name, n = 3, list = {1, 2}} end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let outcome = bench.main(r#"{"name":"Ada"}"#).await;
    let json: serde_json::Value = serde_json::from_str(&value(&outcome)).expect("JSON");
    assert_eq!(json, serde_json::json!({"hello": "Ada", "n": 3, "list": [1, 2]}));
    assert_eq!(main_of("return function() end").await, Ok("null".into()));
}

#[tokio::test]
async fn invocations_share_no_global_no_upvalue_and_no_module() {
    let source = "
        local up = 0
        local lib = require 'lib'
        return function()
          up = up + 1
          counter = (counter or 0) + 1
          _G.other = (_G.other or 0) + 1
          getfenv(0).third = (getfenv(0).third or 0) + 1
          loadstring('fourth = (fourth or 0) + 1')()
          lib.n = lib.n + 1
          return {up, counter, other, third, fourth, lib.n}
        end";
    let bench = Bench::new(&[("app/main.lua", source), ("lib/lib.lua", "return {n = 0}")]);
    for _ in 0..3 {
        assert_eq!(value(&bench.main("").await), "[1,1,1,1,1,1]");
    }
}

#[tokio::test]
async fn what_invocations_share_cannot_be_changed() {
    for attempt in [
        "string.trim = 1",
        "table.foo = 1",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.x = 1",
        "require('topics').append = 1",
        "require('cjson').empty_array[1] = 1",
        "getmetatable(require('cjson').empty_array).x = 1",
        "setfenv(print, {})",
        "setfenv(require('topics').append, {})",
        "setfenv(string.find, {})",
        "getmetatable(_G).__index = 1",
        "getmetatable(_G).__index.x = 1",
        "rawset(getmetatable(_G).__index, 'x', 1)",
        "rawset(getmetatable(_G), 'x', 1)",
        "getfenv(print).print = nil error('a private copy')",
    ] {
        let source = format!("return function() {attempt} end");
        let (kind, message) = main_of(&source).await.expect_err(attempt);
        assert_eq!(kind, FailureKind::Raised, "{attempt}: {message}");
    }
}

#[tokio::test]
async fn require_looks_in_the_documented_order() {
    let bench = Bench::new(&[
        ("app/main.lua", "
            local seen = {}
            for _, name in ipairs {'both', 'only_lib', 'models/foo', 'models.foo', 'app/both', 'test/helper', 'log'} do
              seen[#seen + 1] = require(name)
            end
            assert(require('both') == require('both'))
            assert(type(require('topics').append) == 'function')
            assert(type(require('weir/log').info) == 'function')
            assert(type(require('weir/topics').append) == 'function')
            assert(type(require('json').encode) == 'function')
            return function() return seen end"),
        ("app/both.lua", "return 'app'"),
        ("lib/both.lua", "return 'lib'"),
        ("lib/only_lib.lua", "return 'lib'"),
        ("lib/models/foo.lua", "return 'foo'"),
        ("test/helper.lua", "return 'helper'"),
        ("lib/topics.lua", "error('Spacer copied this')"),
        ("lib/log.lua", "return 'own log'"),
    ]);
    let expected = r#"["app","lib","foo","foo","app","helper","own log"]"#;
    assert_eq!(value(&bench.main("").await), expected);
}

#[tokio::test]
async fn require_says_what_is_wrong() {
    let cases = [
        ("require 'nowhere'", "no app/nowhere.lua, lib/nowhere.lua"),
        ("require 'uuid'", "comes with a later version"),
        ("require 'resty.jwt'", "comes with a later version"),
        ("require 'a'", "while it is being loaded"),
        ("require 'broken'", "lib/broken.lua:1"),
        ("require 'raises'", "lib/raises.lua:1: boom"),
    ];
    for (source, expected) in cases {
        let bench = Bench::new(&[
            ("app/main.lua", &format!("{source}\nreturn function() end")),
            ("lib/a.lua", "return require 'b'"),
            ("lib/b.lua", "return require 'a'"),
            ("lib/broken.lua", "return = 1"),
            ("lib/raises.lua", "error('boom')"),
        ]);
        let failure = bench.main("").await.result.expect_err(source);
        assert_eq!(failure.kind, FailureKind::Load, "{source}");
        assert!(failure.message.contains(expected), "{source}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_module_that_raised_is_loaded_anew_when_it_is_required_again() {
    let bench = Bench::new(&[
        ("app/main.lua", "return function() return {pcall(require, 'once'), (pcall(require, 'once'))} end"),
        ("lib/once.lua", "error('boom')"),
    ]);
    assert_eq!(value(&bench.main("").await), "[false,false]");
}

#[tokio::test]
async fn a_failure_tells_its_kind_payload_place_frame_and_stack() {
    // a global function, since the compiler inlines small local ones
    let source = "function inner()\n  error('boom')\nend\nreturn function()\n  inner()\nend";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let failure = bench.main("").await.result.expect_err("raises");
    assert_eq!(failure.kind, FailureKind::Raised);
    assert_eq!(failure.message, "app/main.lua:2: boom");
    assert_eq!(&failure.payload[..], br#""app/main.lua:2: boom""#);
    assert_eq!(failure.place.as_deref(), Some("app/main.lua:2"));
    assert_eq!(failure.frame, "  1 | function inner()\n> 2 |   error('boom')\n  3 | end\n");
    assert_eq!(failure.stack, ["app/main.lua:2 in inner", "app/main.lua:5"]);
}

#[tokio::test]
async fn each_way_to_fail_has_its_kind() {
    let cases = [
        ("return function() return nil, 'no stock' end", FailureKind::Refused, r#""no stock""#),
        ("return function() return nil, {code = 7} end", FailureKind::Refused, r#"{"code":7}"#),
        ("return function() error({code = 7}) end", FailureKind::Raised, r#"{"code":7}"#),
        ("return function() error('x', 0) end", FailureKind::Raised, r#""x""#),
        (
            "return {}",
            FailureKind::Load,
            r#""app/main.lua returns table; it must `return function(args, ctx) … end`""#,
        ),
        ("error('boom')", FailureKind::Load, r#""app/main.lua:1: boom""#),
        ("return function( end", FailureKind::Load, ""),
    ];
    for (source, kind, payload) in cases {
        let bench = Bench::new(&[("app/main.lua", source)]);
        let outcome = bench.main("").await;
        let failure = outcome.result.expect_err(source);
        assert_eq!(failure.kind, kind, "{source}");
        if !payload.is_empty() {
            assert_eq!(String::from_utf8_lossy(&failure.payload), payload, "{source}");
        }
        assert!(outcome.effects.is_empty());
    }
    let bench = Bench::new(&[]);
    assert_eq!(bench.main("").await.result.expect_err("none").kind, FailureKind::NotFound);
}

#[tokio::test]
async fn a_second_value_that_is_false_is_no_failure() {
    assert_eq!(main_of("return function() return 1, false end").await, Ok("1".into()));
    assert_eq!(main_of("return function() return 1, nil end").await, Ok("1".into()));
}

#[tokio::test]
async fn args_merge_params_query_and_body_in_falling_precedence() {
    let bench = Bench::new(&[("app/main.lua", "return function(args) return args end")]);
    let mut invocation = invocation("main", "");
    let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    let merged = |body: Option<&'static str>| Args::Merged {
        params: vec![pair("id", "param")],
        query: vec![
            ("id".into(), Some("query".into())),
            ("tag".into(), Some("a".into())),
            ("flag".into(), None),
            ("tag".into(), Some("b".into())),
        ],
        body: body.map(Into::into),
        form: vec![pair("tag", "form"), pair("name", "form")],
    };
    let mut run = async |body| {
        invocation.args = merged(body);
        serde_json::from_str::<serde_json::Value>(&value(&bench.run(&invocation).await)).expect("JSON")
    };
    let expected = serde_json::json!({"id": "param", "tag": ["a", "b"], "flag": true, "deep": [null]});
    assert_eq!(run(Some(r#"{"id":1,"tag":2,"deep":[null]}"#)).await, expected);
    let expected = serde_json::json!({"id": "param", "tag": ["a", "b"], "flag": true, "name": "form"});
    assert_eq!(run(None).await, expected);
    assert_eq!(run(Some("not json")).await, expected);
    assert_eq!(run(Some("7")).await["id"], "param");
}

#[tokio::test]
async fn args_that_are_null_are_nil_and_other_bytes_are_a_string() {
    let bench =
        Bench::new(&[("app/main.lua", "return function(args) return type(args) .. tostring(args) end")]);
    assert_eq!(value(&bench.main("null").await), r#""nilnil""#);
    assert_eq!(value(&bench.main("not json").await), r#""stringnot json""#);
    assert_eq!(value(&bench.main("\"text\"").await), r#""stringtext""#);
}

#[tokio::test]
async fn what_passes_through_untouched_keeps_its_bytes() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local state, topics = require 'state', require 'topics'
         return function(args)
           topics.append('orders', {k = args})
           state.set('copies', 'c', state.get('stock', 's'))
           return args
         end",
    )]);
    let exact = r#"{"id": 9007199254740993,   "price": 1.0}"#;
    bench.host.put("stock", "s", exact);
    let outcome = bench.main(exact).await;
    assert_eq!(value(&outcome), exact);
    let event = outcome.effects.appends.get(0).expect("one event");
    assert_eq!(event.value(), Some(exact.as_bytes()));
    assert_eq!(outcome.effects.writes[0].1, Op::Put { value: exact.into(), expires: None });
    let warnings = bench.host.messages();
    assert_eq!(warnings.len(), 1, "once per function: {warnings:?}");
    assert!(warnings[0].contains("the integer at id is beyond 2^53"), "{warnings:?}");
}

#[tokio::test]
async fn ctx_has_the_fields_of_a_request() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function(_, ctx)
           return {ctx.id, ctx.trace_id, ctx.function_name, ctx.attempt, ctx.method, ctx.path, ctx.params.id,
             ctx.query.q, ctx.headers['x-a'], ctx.body, ctx.remote_addr, ctx.deadline() > 29000,
             ctx.topic == nil, ctx.reject == nil, ctx.retry_after == nil, ctx.replay == nil}
         end",
    )]);
    let mut invocation = invocation("main", "");
    invocation.origin = Origin::Http(Box::new(HttpContext {
        method: "POST".into(),
        path: "/a".into(),
        params: vec![("id".into(), "1".into())],
        query: vec![("q".into(), Some("2".into()))],
        headers: vec![("x-a".into(), "3".into())],
        body: "raw".into(),
        remote_addr: "127.0.0.1".into(),
    }));
    let expected = r#"["test-1","0af7651916cd43dd8448eb211c80319c","main",1,"POST","/a","1","2","3","raw","127.0.0.1",true,true,true,true,true]"#;
    assert_eq!(value(&bench.run(&invocation).await), expected);
}

#[tokio::test]
async fn ctx_has_the_fields_of_an_event() {
    let source = "return function(_, ctx)
        if ctx.headers.act == 'reject' then pcall(ctx.reject, 'bad order') end
        if ctx.headers.act == 'later' then pcall(ctx.retry_after, '30s') end
        return {ctx.topic, ctx.partition, ctx.offset, ctx.key, ctx.timestamp, ctx.method == nil}
      end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let mut invocation = invocation("main", "{}");
    let mut run = async |act: &'static str| {
        invocation.origin = Origin::Event(Box::new(EventContext {
            topic: TopicName::new("orders").expect("valid"),
            partition: 2,
            offset: Offset(17),
            key: Some("k".into()),
            timestamp: Millis(1000),
            headers: vec![("act".into(), act.into())],
        }));
        bench.run(&invocation).await
    };
    assert_eq!(value(&run("").await), r#"["orders",2,17,"k",1000,true]"#);
    let failure = run("reject").await.result.expect_err("rejected");
    assert_eq!((failure.kind, &failure.payload[..]), (FailureKind::Rejected, &br#""bad order""#[..]));
    let failure = run("later").await.result.expect_err("retry");
    assert_eq!(failure.kind, FailureKind::RetryAfter(Duration::from_secs(30)));
}

#[tokio::test]
async fn response_shapes_status_headers_and_body() {
    let run = async |source: &str| {
        let bench = Bench::new(&[("app/main.lua", &format!("return function() return {source} end"))]);
        bench.main("").await.result
    };
    let Ok(Reply::Response(response)) =
        run("response(201, {id = 1}, {['X-Total'] = 3, ['Set-Cookie'] = {'a', 'b'}})").await
    else {
        panic!("no response")
    };
    assert_eq!((response.status, &response.body[..], response.is_json), (201, &br#"{"id":1}"#[..], true));
    let headers: Vec<_> = response.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(headers, [("Set-Cookie", "a"), ("Set-Cookie", "b"), ("X-Total", "3")]);
    let Ok(Reply::Response(response)) = run("response(404, 'raw')").await else { panic!("no response") };
    assert_eq!((&response.body[..], response.is_json), (&b"raw"[..], false));
    for bad in [
        "response(99)",
        "response('200')",
        "response(200, '', {a = 'x\\r\\ny'})",
        "response(200, '', {['a b'] = ''})",
    ] {
        let failure = run(bad).await.expect_err(bad);
        assert!(failure.message.starts_with("app/main.lua:1: response:"), "{bad}: {}", failure.message);
    }
}

#[tokio::test]
async fn logs_carry_level_fields_and_place() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local log = require 'log'\nreturn function()\n  log.warn('low', {sku = 'x'})\n  print('a', 1, nil)\n  log.debug('d', {f = print})\nend",
    )]);
    assert_eq!(value(&bench.main("").await), "null");
    let lines = bench.host.lines.borrow();
    let line = |level, message: &str, fields: &str, place: &str| {
        (level, message.to_owned(), fields.to_owned(), place.to_owned())
    };
    assert_eq!(lines[0], line(LogLevel::Warn, "low", r#"{"sku":"x"}"#, "app/main.lua:3"));
    assert_eq!(lines[1], line(LogLevel::Info, "a\t1\tnil", "", "app/main.lua:4"));
    assert_eq!(lines[2].2, r#"{"fields_error":"at f: a function has no JSON form"}"#);
}

#[tokio::test]
async fn only_listed_variables_are_seen() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function() return {os.getenv 'A', os.getenv 'HOME' == nil, io == nil, os.execute == nil} end",
    )]);
    bench.host.env.borrow_mut().insert("A".into(), "1".into());
    assert_eq!(value(&bench.main("").await), r#"["1",true,true,true]"#);
}

#[tokio::test]
async fn lua_5_1_code_finds_what_it_expects() {
    let cases = [
        ("string.format('%s %s %5s|%d%%', true, nil, {} ~= nil, 3)", r#""true nil  true|3%""#),
        ("('a'):rep(3, ',')", r#""a,a,a""#),
        ("('a'):rep(1, ',') .. ('a'):rep(0) .. ('a'):rep(-1)", r#""a""#),
        ("load('return 3')()", "3"),
        ("loadstring('return 1 + 1')()", "2"),
        (
            "load((function() local n = 0 return function() n = n + 1 return ({'return ', '7'})[n] end end)())()",
            "7",
        ),
        (
            "(select(2, loadstring('return =', '=mine')))",
            r#""mine:1: Expected identifier when parsing expression, got '='""#,
        ),
        ("collectgarbage() .. collectgarbage('collect')", r#""00""#),
        ("require('bit').band(0xffffffff, 0xffffffff)", "-1"),
        ("require('bit').tohex(255, 4)", r#""00ff""#),
        ("require('bit').lshift(1, 31)", "-2147483648"),
        ("setfenv(function() return x end, {x = 5})()", "5"),
        (
            "(function(...) local a, b = ... return b end)(coroutine.wrap(function() coroutine.yield(1) end)(), 2)",
            "2",
        ),
        ("type(os.time()) .. type(os.clock()) .. os.date('!%Y', 0)", r#""numbernumber1970""#),
        ("table.getn({1, 2}) + #('x')", "3"),
    ];
    for (source, expected) in cases {
        let got = main_of(&format!("return function() return {source} end")).await;
        assert_eq!(got.as_deref(), Ok(expected), "{source}");
    }
}

#[tokio::test]
async fn cjson_and_json_encode_and_decode() {
    let cases = [
        ("require('cjson').encode({a = require('cjson').null})", r#""{\"a\":null}""#),
        ("require('cjson').decode('[1,null]')[2] == require('cjson').null", "true"),
        ("require('cjson').encode(require('cjson').empty_array)", r#""[]""#),
        ("require('json').encode(require('json').array())", r#""[]""#),
        ("require('json').encode(require('json').decode('[]'))", r#""[]""#),
        ("select('#', require('cjson.safe').decode('{'))", "2"),
        ("(select(2, require('cjson.safe').decode('{')))", r#""not JSON at byte 1: a key is missing""#),
        ("(pcall(require('cjson').decode, '{'))", "false"),
        ("(pcall(require('cjson').encode, {[1] = 1, [1000] = 1}))", "false"),
    ];
    for (source, expected) in cases {
        let got = main_of(&format!("return function() return {source} end")).await;
        assert_eq!(got.as_deref(), Ok(expected), "{source}");
    }
}

#[tokio::test]
async fn host_functions_may_wait_anywhere_that_lua_can_yield() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local state = require 'state'
         return function()
           local gen = coroutine.wrap(function()
             for i = 1, 2 do coroutine.yield(state.get('t', 'k')) end
             local inner = coroutine.wrap(function() return state.get('t', 'k') + 1 end)
             return inner()
           end)
           local ok, v = pcall(function() return state.get('t', 'k') end)
           return {gen(), gen(), gen(), v}
         end",
    )]);
    bench.host.put("t", "k", "7");
    bench.host.is_slow.set(true);
    assert_eq!(value(&bench.main("").await), "[7,7,8,7]");
}

#[tokio::test]
async fn a_host_that_does_not_answer_cannot_be_caught() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function() pcall(require('state').get, 't', 'k') return 1 end",
    )]);
    for (error, kind) in [
        (HostError::Unavailable("log gone".into()), FailureKind::Unavailable),
        (HostError::Cancelled, FailureKind::Cancelled),
    ] {
        *bench.host.error.borrow_mut() = Some(error);
        assert_eq!(bench.main("").await.result.expect_err("over").kind, kind);
    }
}

#[tokio::test]
async fn routes_are_read_from_the_gateway_file() {
    let routes = |source: &str| {
        let bench = Bench::new(&[("app/gateway.lua", source)]);
        bench.worker.routes(&bench.code)
    };
    let list = routes(
        "local R = {} R[1] = {'GET', '/hello', 'hello'} R[2] = {'POST', '/users/:id', 'users/update'} return R",
    );
    let list: Vec<_> = list.expect("valid").into_iter().map(|r| (r.method, r.path, r.function)).collect();
    assert_eq!(list.len(), 2);
    assert_eq!(
        list[1],
        ("POST".into(), "/users/:id".into(), FunctionName::new("users/update").expect("valid"))
    );
    assert_eq!(routes("return {{'GET', '/x'}}").expect_err("wrong").kind, FailureKind::Load);
    assert_eq!(routes("return 7").expect_err("wrong").kind, FailureKind::Load);
    assert_eq!(routes("error('boom')").expect_err("wrong").place.as_deref(), Some("app/gateway.lua:1"));
    assert_eq!(routes("while true do end").expect_err("endless").kind, FailureKind::Cpu);
    assert!(Bench::new(&[]).worker.routes(&Arc::new(Code::from_sources([]))).expect("none").is_empty());
}

#[tokio::test]
async fn a_reload_is_seen_by_the_next_invocation_and_old_code_still_runs() {
    let bench = Bench::new(&[("app/main.lua", "return function() return 1 end")]);
    let new = Arc::new(Code::from_sources([("app/main.lua", "return function() return 2 end")]));
    let invocation = invocation("main", "");
    for (code, expected) in [(&bench.code, "1"), (&new, "2"), (&bench.code, "1")] {
        let outcome = bench.worker.run(code, &invocation, bench.host.clone()).await;
        assert_eq!(value(&outcome), expected);
    }
}

#[tokio::test]
async fn events_record_their_cause() {
    let bench = Bench::new(&[
        (
            "app/main.lua",
            "return function() require('flow').call('callee') require('topics').append('orders', {a = 1}) end",
        ),
        ("app/callee.lua", "return function() require('topics').append('orders', {b = 2}) end"),
    ]);
    let mut invocation = invocation("main", "");
    invocation.hops = 3;
    invocation.cause =
        Source::Event { topic: TopicName::new("orders").expect("valid"), partition: 1, offset: Offset(5) };
    let outcome = bench.run(&invocation).await;
    let causes: Vec<_> = outcome.effects.appends.iter().filter_map(|r| Cause::of(&r)).collect();
    let functions: Vec<_> = causes.iter().map(|c| c.function.as_ref().map(ToString::to_string)).collect();
    assert_eq!(functions, [Some("callee".to_owned()), Some("main".to_owned())]);
    assert!(
        causes
            .iter()
            .all(|c| c.hops == 3 && c.version == bench.code.version() && c.source == invocation.cause)
    );
    assert_eq!(causes[0].traceparent.as_deref(), Some(&*invocation.traceparent));
}

#[tokio::test]
async fn workers_can_be_closed_one_after_the_other() {
    let watchdog = weir_runtime::Watchdog::start().expect("a thread");
    for _ in 0..3 {
        let worker = Worker::new(&WorkerOptions::new(watchdog.clone())).expect("a VM");
        let code = Arc::new(Code::from_sources([("app/main.lua", "return function() return 1 end")]));
        let host = weir_runtime::test_support::TestHost::new();
        assert_eq!(value(&worker.run(&code, &invocation("main", ""), host).await), "1");
    }
}
