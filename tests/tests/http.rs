//! The gateway and the write proxy, at their edges.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::Method;
use serde_json::json;
use weir_tests::{Answer, Sandbox};

fn edges() -> Sandbox {
    Sandbox::builder()
        .config("appName: edges\ntopics: [notes]\nweir: {limits: {body: 64KiB}}\n")
        .file(
            "app/gateway.lua",
            r#"return {
                {"POST", "/notes", "note"},
                {"GET", "/notes", "notes"},
                {"GET", "/shaped", "shaped"},
            }"#,
        )
        .file(
            "app/note.lua",
            r#"local state, topics = require "state", require "topics"
            return function(args)
                local n = state.incr("counters", "notes", 1)
                topics.append("notes", {{key = "k", value = {text = args.text}}})
                return {n = n}
            end"#,
        )
        .file("app/notes.lua", r#"return function() return {"a", "b"} end"#)
        .file("app/shaped.lua", r#"return function() return response(201, "plain", {["X-A"] = "1"}) end"#)
        .file("app/private/inside.lua", r#"return function(args) return {got = args.x} end"#)
        .build()
}

#[tokio::test]
async fn private_functions_are_for_this_machine_only_and_not_through_a_proxy_on_it() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let inside = || server.request(Method::POST, "/private/inside").json(&json!({"x": 7}));
    let answer = Answer::of(inside()).await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({"data": {"got": 7}})));
    for header in ["Forwarded", "X-Forwarded-For", "X-Real-IP"] {
        let answer = Answer::of(inside().header(header, "127.0.0.1")).await.expect("an answer");
        assert_eq!((answer.status, answer.json()), (403, json!({"error": "forbidden"})), "{header}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_one_at_it_is_taken() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let fits = format!(r#"{{"text":"{}"}}"#, "x".repeat(65_536 - 11));
    assert_eq!(fits.len(), 65_536);
    let send = |body: String| Answer::of(server.request(Method::POST, "/notes").body(body));
    assert_eq!(send(fits.clone()).await.expect("an answer").status, 200);
    let refused = send(format!("{fits} ")).await.expect("an answer");
    assert_eq!((refused.status, refused.json()["code"].clone()), (413, json!("body_too_large")));
}

#[tokio::test]
async fn head_follows_get_without_a_body() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let head = Answer::of(server.request(Method::HEAD, "/notes")).await.expect("an answer");
    let get = server.get("/notes").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_path_with_other_methods_is_404_and_says_which_there_are() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let answer = Answer::of(server.request(Method::DELETE, "/notes")).await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (404, json!({"error": "not found"})));
    assert_eq!(answer.header("allow"), "GET, POST, HEAD");
    assert_eq!(server.get("/nowhere").await.header("allow"), "");
}

#[tokio::test]
async fn an_idempotency_key_replays_the_answer_and_refuses_another_body() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let send = |text: &str| {
        let request = server.request(Method::POST, "/notes").header("Idempotency-Key", "k1");
        Answer::of(request.json(&json!({"text": text})))
    };
    let first = send("a").await.expect("an answer");
    let again = send("a").await.expect("an answer");
    assert_eq!((first.status, first.json()), (200, json!({"data": {"n": 1}})));
    assert_eq!((again.status, again.json()), (200, json!({"data": {"n": 1}})));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    let other = send("b").await.expect("an answer");
    assert_eq!((other.status, other.json()["code"].clone()), (422, json!("idempotency_key_reused")));
    assert_eq!(sandbox.weir(&["events", "notes", "--json"]).await.succeeded().lines().len(), 1);
}

#[tokio::test]
async fn twins_with_one_idempotency_key_take_effect_once() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let twins = (0..8).map(|_| {
        let request = server.request(Method::POST, "/notes").header("Idempotency-Key", "twin");
        Answer::of(request.json(&json!({"text": "t"})))
    });
    for answer in futures::future::join_all(twins).await {
        let answer = answer.expect("an answer");
        assert_eq!((answer.status, answer.json()), (200, json!({"data": {"n": 1}})));
    }
    assert_eq!(sandbox.weir(&["events", "notes", "--json"]).await.succeeded().lines().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_the_json_it_claims_to_be_is_422() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let request = server.request(Method::POST, "/notes").header("content-type", "application/json").body("{");
    let answer = Answer::of(request).await.expect("an answer");
    assert_eq!((answer.status, answer.json()["code"].clone()), (422, json!("body_not_json")));
    let form =
        server.request(Method::POST, "/notes").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(Answer::of(form.body("text=hello+you")).await.expect("an answer").status, 200);
    let events = sandbox.weir(&["events", "notes", "--json"]).await.succeeded().lines();
    assert_eq!(events[0]["value"], json!({"text": "hello you"}));
}

#[tokio::test]
async fn a_function_may_shape_its_answer_and_every_answer_says_who_gave_it() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = server.request(Method::GET, "/shaped");
    let request = request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = Answer::of(request).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str(), answer.header("x-a")), (201, "plain", "1"));
    assert_eq!(answer.header("x-function"), "shaped");
    assert_eq!(answer.header("x-invocation-id").len(), 32);
    assert!(answer.header("traceparent").starts_with(&format!("00-{trace}-")));
    assert!(answer.header("server-timing").contains("fn;dur="));
}

#[tokio::test]
async fn pages_of_any_origin_may_call_in_development() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let get = server.request(Method::GET, "/notes").header("Origin", "http://localhost:5173");
    let answer = Answer::of(get).await.expect("an answer");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let preflight = server.request(Method::OPTIONS, "/notes").header("Origin", "http://localhost:5173");
    let preflight = preflight.header("Access-Control-Request-Method", "POST");
    let answer = Answer::of(preflight).await.expect("an answer");
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-methods").contains("POST"));
}

#[tokio::test]
async fn the_write_proxy_appends_in_the_order_of_the_text_and_refuses_what_it_does_not_know() {
    let sandbox = edges();
    let server = sandbox.dev().await;
    let send = |body: &'static str| Answer::of(server.write_proxy("/any/path").body(body));
    let entries = r#"{"topic":"notes","entries":{"b":{"n":1},"a":{"n":2}}}"#;
    let answer = send(entries).await.expect("an answer");
    assert_eq!((answer.status, answer.json()), (200, json!({"data": "ok"})));
    let events = sandbox.weir(&["events", "notes", "--json"]).await.succeeded().lines();
    let keys: Vec<_> = events.iter().map(|e| e["key"].clone()).collect();
    assert_eq!(keys, [json!("b"), json!("a")]);
    for bad in [r#"{"topic":"other","entries":{"a":1}}"#, r#"{"topic":"notes"}"#, "no json"] {
        let answer = send(bad).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_str()), (400, ""), "{bad}");
    }
}

/// The first of the two holds the only place for longer than the test takes.
#[tokio::test]
async fn past_the_limit_of_a_function_requests_are_told_to_come_again() {
    let sandbox = Sandbox::builder()
        .config("appName: slots\nweir: {functions: {slow: {maxConcurrent: 1, maxQueued: 0, cpu: 5m, wall: 5m}}}\n")
        .file("app/gateway.lua", r#"return {{"GET", "/slow", "slow"}, {"GET", "/other", "other"}}"#)
        .file("app/other.lua", "return function() return 1 end")
        .file("app/slow.lua", "return function() while true do end end")
        .build();
    let server = sandbox.dev().await;
    let mut asked = FuturesUnordered::new();
    for _ in 0..2 {
        asked.push(Answer::of(server.request(Method::GET, "/slow")));
    }
    let refused = asked.next().await.expect("two were asked").expect("an answer");
    assert_eq!((refused.status, refused.json()["code"].clone()), (503, json!("full")));
    assert_eq!(refused.header("retry-after"), "1");
    let other = Answer::of(server.request(Method::GET, "/other")).await.expect("an answer");
    assert_eq!(other.status, 200, "other functions are not concerned");
}
