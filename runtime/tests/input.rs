//! What a function is given, and how it answers: `args`, `ctx`, `response`.

use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{Args, EventContext, FailureKind, HttpContext, Invocation, Origin, ReplayContext, Reply};
use weir_schema::{Headers, Millis, Offset, Op, TopicName};

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

/// One header as events and requests hold it.
fn encoded(name: &str, value: &str) -> Bytes {
    let mut header = Vec::new();
    Headers::encode(&mut header, name, value.as_bytes());
    header.into()
}

fn request() -> Origin {
    Origin::Http(Box::new(HttpContext {
        method: "POST".into(),
        path: "/a".into(),
        params: vec![("id".into(), "1".into())],
        query: vec![("q".into(), Some("2".into()))],
        headers: encoded("x-a", "3"),
        body: "raw".into(),
        remote_addr: [127, 0, 0, 1].into(),
    }))
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
    invocation.origin = request();
    let expected = r#"["00000000000000000000000000000001","0af7651916cd43dd8448eb211c80319c","main",1,"POST","/a","1","2","3","raw","127.0.0.1",true,true,true,true,true]"#;
    assert_eq!(value(&bench.run(&invocation).await), expected);
}

fn event(act: &str) -> Origin {
    let headers = [encoded("Act", act), encoded("weir-hops", "1")].concat();
    Origin::Event(Box::new(EventContext {
        topic: TopicName::new("orders").expect("valid"),
        partition: 2,
        offset: Offset(17),
        key: Some("k".into()),
        timestamp: Millis(1000),
        headers: headers.into(),
    }))
}

#[tokio::test]
async fn the_stub_of_ctx_names_all_that_it_can_have_and_nothing_else() {
    let source = "return function(_, ctx)
        local names = {'deadline'}
        for name in ctx do names[#names + 1] = name end
        for _, name in {'reject', 'retry_after'} do if ctx[name] then names[#names + 1] = name end end
        return names
      end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let mut there = BTreeSet::new();
    for origin in [request(), event("")] {
        let replay = Some(ReplayContext { name: "r".into(), mode: "shadow", allow_http: [].into() });
        let names = value(&bench.run(&Invocation { origin, replay, ..invocation("main", "") }).await);
        there.extend(serde_json::from_str::<Vec<String>>(&names).expect("a list of names"));
    }
    let stub = weir_library::stubs::all().find(|stub| stub.name == "ctx").expect("its stub");
    assert_eq!(there, stub.members().map(str::to_owned).collect());
}

#[tokio::test]
async fn ctx_has_the_fields_of_an_event() {
    let source = "return function(_, ctx)
        if ctx.headers.act == 'reject' then pcall(ctx.reject, 'bad order') end
        if ctx.headers.act == 'later' then pcall(ctx.retry_after, '30s') end
        return {ctx.topic, ctx.partition, ctx.offset, ctx.key, ctx.timestamp, ctx.method == nil and not ctx.headers['weir-hops']}
      end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let mut invocation = invocation("main", "{}");
    let mut run = async |act: &'static str| {
        invocation.origin = event(act);
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
async fn a_loop_over_ctx_meets_every_field_that_it_has() {
    let source = "return function(_, ctx)
        local list, again = {}, {}
        for k, v in pairs(ctx) do assert(rawequal(ctx[k], v)) list[#list + 1] = k end
        for k in ctx do again[#again + 1] = k end
        table.sort(list) table.sort(again)
        assert(table.concat(list) == table.concat(again))
        return table.concat(list, ' ')
      end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let mut invocation = invocation("main", "");
    let replay = ReplayContext { name: "mend".into(), mode: "in-place", allow_http: [].into() };
    for (origin, replay, expected) in [
        (Origin::Call, None, "attempt function_name id trace_id"),
        (
            request(),
            None,
            "attempt body function_name headers id method params path query remote_addr trace_id",
        ),
        (
            event("none"),
            Some(replay),
            "attempt function_name headers id key offset partition replay timestamp topic trace_id",
        ),
    ] {
        (invocation.origin, invocation.replay) = (origin, replay);
        assert_eq!(value(&bench.run(&invocation).await), format!("\"{expected}\""));
    }
}
