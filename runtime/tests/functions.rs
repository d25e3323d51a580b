//! What becomes of a function: its result, its failure, its isolation, its version.

use bytes::Bytes;
use std::sync::Arc;
use weir_runtime::test_support::{Bench, invocation, main_of, value};
use weir_runtime::{Code, EventContext, FailureKind, HostError, Origin, Worker, WorkerOptions};
use weir_schema::{Cause, FunctionName, Millis, Offset, TopicName};

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
        let env = [("STAGE".to_owned(), "test".to_owned())].into();
        bench.worker.routes(&bench.code, &env)
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
    let by_stage = routes("return os.getenv('HOME') and {} or {{'GET', '/' .. os.getenv('STAGE'), 'a'}}");
    assert_eq!(by_stage.expect("valid")[0].path, "/test");
    assert_eq!(routes("return {{'GET', '/x'}}").expect_err("wrong").kind, FailureKind::Load);
    assert_eq!(routes("return 7").expect_err("wrong").kind, FailureKind::Load);
    assert_eq!(routes("error('boom')").expect_err("wrong").place.as_deref(), Some("app/gateway.lua:1"));
    assert_eq!(routes("while true do end").expect_err("endless").kind, FailureKind::Cpu);
    let none = Bench::new(&[]).worker.routes(&Arc::new(Code::from_sources([])), &[].into());
    assert!(none.expect("none").is_empty());
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
    let event = EventContext {
        topic: TopicName::new("orders").expect("valid"),
        partition: 1,
        offset: Offset(5),
        key: None,
        timestamp: Millis(0),
        headers: Bytes::new(),
    };
    let source = event.source();
    invocation.origin = Origin::Event(Box::new(event));
    let outcome = bench.run(&invocation).await;
    let causes: Vec<_> = outcome.effects.appends.iter().filter_map(|r| Cause::of(&r)).collect();
    let functions: Vec<_> = causes.iter().map(|c| c.function.as_ref().map(ToString::to_string)).collect();
    assert_eq!(functions, [Some("callee".to_owned()), Some("main".to_owned())]);
    assert!(causes.iter().all(|c| c.hops == 3 && c.version == *bench.code.version() && c.source == source));
    assert_eq!(causes[0].trace, Some(invocation.trace));
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
