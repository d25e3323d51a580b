//! The admin API of a running server.

use http::Method;
use serde_json::{Value, json};
use weir_tests::{Answer, PATIENCE, Sandbox, Server, eventually};

/// `pick` fails on what `state.set("mood", "pick", "bad")` says, so that events are parked.
fn picky() -> Sandbox {
    Sandbox::builder()
        .config(
            "appName: picky\ntopics: [letters, wide]\nevents: {letters: {APPEND: [pick]}}\n\
             weir:\n  topics: {wide: {partitions: 3}}\n  triggers: {letters/pick: {retry: {attempts: 1}}}\n",
        )
        .file("app/gateway.lua", "return {}")
        .file(
            "app/pick.lua",
            r#"local state = require "state"
            return function(letter)
                if state.get("mood", "pick") == "bad" then error("not in the mood", 0) end
                state.add("picked", letter.name, 1)
            end"#,
        )
        .build()
}

async fn ask(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    Answer::of(server.admin(method, path).json(&body)).await.expect("an answer")
}

async fn look(server: &Server, path: &str) -> Value {
    let answer = Answer::of(server.admin(Method::GET, path)).await.expect("an answer");
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

async fn append(server: &Server, topic: &str, event: Value) -> Value {
    let answer = ask(server, Method::POST, &format!("/v1/topics/{topic}/events"), event).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["appended"].clone()
}

/// Waits until the trigger's line has these members.
async fn trigger_is(server: &Server, wanted: Value) {
    eventually(PATIENCE, || async {
        let triggers = look(server, "/v1/triggers").await;
        let members = wanted.as_object().expect("an object");
        if members.iter().all(|(n, v)| triggers[0][n] == *v) { Ok(()) } else { Err(triggers) }
    })
    .await;
}

async fn picked(server: &Server, name: &str) -> Value {
    let answer = Answer::of(server.admin(Method::GET, &format!("/v1/state/picked/{name}"))).await;
    let answer = answer.expect("an answer");
    if answer.status == 404 { json!(0) } else { answer.json() }
}

#[tokio::test]
async fn a_server_says_that_it_lives_is_ready_and_how_it_is() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    let text =
        |path: &'static str| async { Answer::of(server.admin(Method::GET, path)).await.expect("an answer") };
    assert_eq!((text("/healthz").await.status, text("/readyz").await.status), (200, 200));
    let status = look(&server, "/v1/status").await;
    assert_eq!((&status["app"], &status["env"]), (&json!("picky"), &json!("development")));
    assert_eq!((&status["log"]["driver"], &status["topics"]), (&json!("sqlite"), &json!(2)));
    server.get("/nowhere").await;
    let metrics = text("/metrics").await;
    assert!(metrics.body.lines().any(|l| l.starts_with("weir_")), "{}", metrics.body);
}

#[tokio::test]
async fn events_are_appended_one_a_list_or_lines_and_read_back_by_pages() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    assert_eq!(
        append(&server, "wide", json!({"key": "a", "value": 1})).await.as_array().map(Vec::len),
        Some(1)
    );
    append(
        &server,
        "wide",
        json!([{"key": "b", "value": {"n": 2}, "headers": {"h": "x"}}, {"key": "c", "value": 3}]),
    )
    .await;
    let lines =
        server.admin(Method::POST, "/v1/topics/wide/events").header("content-type", "application/x-ndjson");
    let lines = Answer::of(lines.body("{\"key\":\"d\",\"value\":4}\n{\"key\":\"e\",\"value\":5}\n")).await;
    assert_eq!(lines.expect("an answer").status, 200);

    let mut values = Vec::new();
    let mut path = "/v1/topics/wide/events?limit=2".to_owned();
    loop {
        let page = look(&server, &path).await;
        values.extend(page["events"].as_array().expect("events").iter().map(|e| e["value"].clone()));
        if page["done"] == true {
            break;
        }
        path =
            format!("/v1/topics/wide/events?limit=2&cursor={}", page["cursor"].as_str().expect("a cursor"));
    }
    values.sort_by_key(ToString::to_string);
    assert_eq!(values, [json!(1), json!(3), json!(4), json!(5), json!({"n": 2})]);

    let only = look(&server, "/v1/topics/wide/events?key=b").await;
    let event = &only["events"][0];
    assert_eq!((&event["key"], &event["headers"]["h"]), (&json!("b"), &json!("x")));
    assert!(event["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{event}");
}

#[tokio::test]
async fn whoever_follows_a_topic_goes_on_where_the_connection_broke() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    append(&server, "wide", json!([{"key": "a", "value": 1}, {"key": "a", "value": 2}])).await;
    let follow = |last: Option<String>| {
        let mut request =
            server.admin(Method::GET, "/v1/topics/wide/events").header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        request
    };
    let (values, last) = read_events(follow(None), 1).await;
    assert_eq!(values, [json!(1)]);
    let (values, last) = read_events(follow(Some(last)), 1).await;
    assert_eq!(values, [json!(2)]);
    // and what comes while it is followed
    let later = async {
        append(&server, "wide", json!({"key": "a", "value": 3})).await;
        append(&server, "wide", json!({"key": "b", "value": 4})).await;
    };
    let ((values, _), ()) = tokio::join!(read_events(follow(Some(last)), 2), later);
    assert_eq!(values, [json!(3), json!(4)]);
}

/// The values of the first `n` events of a stream, and the id of the last.
async fn read_events(request: reqwest::RequestBuilder, n: usize) -> (Vec<Value>, String) {
    let mut response = request.send().await.expect("a stream");
    assert_eq!(response.status(), 200);
    let (mut text, mut values, mut last) = (String::new(), Vec::new(), String::new());
    while values.len() < n {
        let piece = response.chunk().await.expect("the stream goes on").expect("the stream does not end");
        text.push_str(std::str::from_utf8(&piece).expect("UTF-8"));
        while let Some((line, rest)) = text.split_once('\n') {
            if let Some(id) = line.strip_prefix("id:") {
                id.trim().clone_into(&mut last);
            } else if let Some(data) = line.strip_prefix("data:") {
                let event: Value = serde_json::from_str(data).expect("an event is JSON");
                values.push(event["value"].clone());
            }
            text = rest.to_owned();
        }
    }
    (values, last)
}

#[tokio::test]
async fn a_paused_trigger_waits_a_resumed_one_goes_on_and_a_seek_runs_events_again() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    append(&server, "letters", json!({"key": "a", "value": {"name": "a"}})).await;
    trigger_is(&server, json!({"topic": "letters", "function": "pick", "lag": 0, "parked": 0})).await;

    assert_eq!(ask(&server, Method::POST, "/v1/triggers/letters/pick/pause", json!({})).await.status, 200);
    append(&server, "letters", json!({"key": "a", "value": {"name": "b"}})).await;
    trigger_is(&server, json!({"state": "paused", "lag": 1})).await;
    assert_eq!(picked(&server, "b").await, 0);

    assert_eq!(ask(&server, Method::POST, "/v1/triggers/letters/pick/resume", json!({})).await.status, 200);
    trigger_is(&server, json!({"lag": 0})).await;
    assert_eq!((picked(&server, "a").await, picked(&server, "b").await), (json!(1), json!(1)));

    let seek = ask(&server, Method::POST, "/v1/triggers/letters/pick/seek", json!({"to": "earliest"})).await;
    assert_eq!(seek.status, 200, "{}", seek.body);
    eventually(PATIENCE, || async {
        let both = (picked(&server, "a").await, picked(&server, "b").await);
        if both == (json!(2), json!(2)) { Ok(()) } else { Err(both) }
    })
    .await;
    let nowhere = ask(&server, Method::POST, "/v1/triggers/letters/nobody/pause", json!({})).await;
    assert_eq!((nowhere.status, nowhere.json()["code"].clone()), (404, json!("not_found")));
}

#[tokio::test]
async fn an_event_that_fails_is_parked_shown_with_its_error_and_redriven_or_skipped() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    assert_eq!(ask(&server, Method::PUT, "/v1/state/mood/pick", json!("bad")).await.status, 204);
    append(&server, "letters", json!({"key": "k", "value": {"name": "a"}})).await;
    append(&server, "letters", json!({"key": "other", "value": {"name": "b"}})).await;
    trigger_is(&server, json!({"lag": 0, "parked": 2})).await;

    let list = look(&server, "/v1/parked").await;
    let first = list.as_array().and_then(|l| l.iter().find(|p| p["key"] == "k")).expect("parked").clone();
    assert_eq!(
        (&first["topic"], &first["function"], &first["attempts"], &first["last_error"]),
        (&json!("letters"), &json!("pick"), &json!(1), &json!("app/pick.lua:3: not in the mood"))
    );
    let path = |event: &Value, act: &str| {
        let id = event["id"].as_str().expect("an id").replace('/', "%2F");
        format!("/v1/parked/{id}{act}")
    };
    let shown = look(&server, &path(&first, "")).await;
    assert_eq!(shown["event"]["value"], json!({"name": "a"}));
    assert_eq!(shown["errors"][0]["error"], "app/pick.lua:3: not in the mood");

    assert_eq!(ask(&server, Method::PUT, "/v1/state/mood/pick", json!("good")).await.status, 204);
    let redriven = ask(&server, Method::POST, &path(&first, "/redrive"), json!({})).await;
    assert_eq!(redriven.status, 200, "{}", redriven.body);
    trigger_is(&server, json!({"parked": 1})).await;
    assert_eq!(picked(&server, "a").await, 1);

    let rest = look(&server, "/v1/parked").await;
    let skipped = ask(&server, Method::POST, &path(&rest[0], "/skip"), json!({})).await;
    assert_eq!(skipped.status, 200, "{}", skipped.body);
    trigger_is(&server, json!({"parked": 0})).await;
    assert_eq!(picked(&server, "b").await, 0);
    let gone = ask(&server, Method::POST, &path(&rest[0], "/skip"), json!({})).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_row_is_written_only_if_it_is_still_the_one_that_was_read() {
    let sandbox = picky();
    let server = sandbox.dev().await;
    let put = |value: u32, tag: &str| {
        let request = server.admin(Method::PUT, "/v1/state/t/k").json(&value);
        Answer::of(if tag.is_empty() { request } else { request.header("If-Match", tag) })
    };
    let first = put(1, "").await.expect("an answer");
    assert_eq!(first.status, 204);
    let tag = first.header("etag").to_owned();
    let read = Answer::of(server.admin(Method::GET, "/v1/state/t/k")).await.expect("an answer");
    assert_eq!((read.body.as_str(), read.header("etag")), ("1", tag.as_str()));
    assert_eq!(put(2, &tag).await.expect("an answer").status, 204);
    let late = put(3, &tag).await.expect("an answer");
    assert_eq!((late.status, late.json()["code"].clone()), (412, json!("changed")));
    assert_eq!(look(&server, "/v1/state/t/k").await, 2);
    let own = ask(&server, Method::PUT, "/v1/state/_weir_parked/k", json!(1)).await;
    assert_eq!(own.status, 422, "the platform's own tables are not written by hand: {}", own.body);
}

#[tokio::test]
async fn with_a_token_only_who_knows_it_is_let_in_and_probes_are_open() {
    let sandbox = Sandbox::builder()
        .config("appName: locked\nweir: {admin: {token: \"s3cret\"}}\n")
        .file("app/gateway.lua", "return {}")
        .build();
    let server = sandbox.dev().await;
    let status = |token: &str| {
        let request = server.admin(Method::GET, "/v1/status");
        Answer::of(if token.is_empty() { request } else { request.bearer_auth(token) })
    };
    let refused = status("").await.expect("an answer");
    assert_eq!((refused.status, refused.json()["code"].clone()), (401, json!("unauthorized")));
    assert_eq!(status("wrong").await.expect("an answer").status, 401);
    assert_eq!(status("s3cret").await.expect("an answer").status, 200);
    let probe = Answer::of(server.admin(Method::GET, "/healthz")).await.expect("an answer");
    assert_eq!(probe.status, 200);
    // commands in the project's folder read the token from its configuration
    sandbox.weir(&["status"]).await.succeeded();
}
