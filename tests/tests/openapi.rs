//! The admin API answers as `/v1/openapi.json` says: every operation is called, and every answer held against its schema.

use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use weir_tests::{PATIENCE, Sandbox, Server, eventually};

fn project() -> Sandbox {
    Sandbox::builder()
        .config(concat!(
            "appName: described\ntopics: [orders, spare]\nevents: {orders: {APPEND: [on_order]}}\n",
            "weir: {triggers: {orders/on_order: {retry: {attempts: 1}}}}\n",
        ))
        .file("app/gateway.lua", r#"return {{"GET", "/hello", "hello"}}"#)
        .file("app/hello.lua", "return function() return 'hello' end")
        .file(
            "app/on_order.lua",
            r#"local state = require "state"
            return function(order)
                if order.bad then error("no such thing") end
                state.set("orders", order.sku, order)
            end"#,
        )
        .build()
}

/// Calls operations and holds their answers against the description.
struct Checker<'s> {
    server: &'s Server,
    api: Value,
    called: BTreeSet<String>,
}

impl Checker<'_> {
    /// Calls an operation; `path` is the description's, `actual` the one that is asked for.
    async fn call(&mut self, method: Method, path: &str, actual: &str, body: Option<&str>) -> Value {
        let request = self.server.admin(method.clone(), actual);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_owned()),
            None => request,
        };
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").map(|v| v.to_str().expect("text").to_owned());
        let bytes = answer.bytes().await.expect("a body");
        let verb = method.as_str().to_lowercase();
        self.called.insert(format!("{verb} {path}"));
        let responses = &self.api["paths"][path][&verb]["responses"];
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(responses.is_object(), "{verb} {path} is not described");
        let response = responses.get(status.to_string()).unwrap_or_else(|| &responses["default"]);
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(text.clone()));
        if let Some(content) = response["content"].as_object() {
            let kind = kind.unwrap_or_default();
            let found = content.iter().find(|(described, _)| kind.starts_with(described.as_str()));
            let (_, media) =
                found.unwrap_or_else(|| panic!("{verb} {path} → {status}: {kind} is not described: {text}"));
            self.hold(&media["schema"], &value, &format!("{verb} {path} → {status}: {text}"));
        } else {
            assert!(bytes.is_empty(), "{verb} {path} → {status} has no body described: {text}");
        }
        value
    }

    fn hold(&self, schema: &Value, value: &Value, what: &str) {
        let schema = json!({ "allOf": [schema], "components": self.api["components"] });
        let validator = jsonschema::validator_for(&schema).expect("the description's schemas are sound");
        let errors: Vec<_> = validator.iter_errors(value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{what}\n{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_described() {
    let sandbox = project();
    let server = sandbox.dev().await;
    let api = server.admin(Method::GET, "/v1/openapi.json").send().await.expect("an answer");
    let api: Value = serde_json::from_slice(&api.bytes().await.expect("a body")).expect("JSON");
    let mut api = Checker { server: &server, api, called: BTreeSet::new() };
    read(&mut api).await;
    topics(&mut api).await;
    functions_and_state(&mut api).await;
    triggers_and_parked(&mut api).await;
    replays(&mut api).await;
    let described: BTreeSet<String> = api.api["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").keys().map(move |verb| format!("{verb} {path}"))
        })
        .collect();
    assert_eq!(described.difference(&api.called).collect::<Vec<_>>(), Vec::<&String>::new(), "not called");
}

async fn read(api: &mut Checker<'_>) {
    for path in
        ["/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/v1/status", "/v1/topics", "/v1/triggers"]
    {
        api.call(Method::GET, path, path, None).await;
    }
}

async fn topics(api: &mut Checker<'_>) {
    let events = "/v1/topics/{topic}/events";
    api.call(Method::POST, "/v1/topics", "/v1/topics", Some(r#"{"topic":"more","partitions":2}"#)).await;
    api.call(Method::POST, "/v1/topics", "/v1/topics", Some(r#"{"topic":"more","partitions":3}"#)).await;
    api.call(Method::GET, "/v1/topics/{topic}", "/v1/topics/more", None).await;
    api.call(Method::GET, "/v1/topics/{topic}", "/v1/topics/none", None).await;
    api.call(
        Method::POST,
        events,
        "/v1/topics/spare/events",
        Some(r#"[{"key":"k","value":1},{"value":null}]"#),
    )
    .await;
    api.call(Method::POST, events, "/v1/topics/spare/events", Some(r#"{"nothing":1}"#)).await;
    let page = api.call(Method::GET, events, "/v1/topics/spare/events?limit=1", None).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(1));
    let trim = "/v1/topics/{topic}/trim";
    api.call(Method::POST, trim, "/v1/topics/spare/trim", Some(r#"{"before":"1"}"#)).await;
    api.call(Method::GET, events, "/v1/topics/spare/events?from=0", None).await;
}

async fn functions_and_state(api: &mut Checker<'_>) {
    api.call(Method::GET, "/v1/functions", "/v1/functions", None).await;
    api.call(Method::GET, "/v1/routes", "/v1/routes", None).await;
    let call = "/v1/functions/{function}/call";
    api.call(Method::POST, call, "/v1/functions/on_order/call", Some(r#"{"sku":"tea"}"#)).await;
    api.call(Method::POST, call, "/v1/functions/on_order/call?dry_run=true", Some(r#"{"sku":"milk"}"#)).await;
    api.call(Method::POST, call, "/v1/functions/none/call", None).await;
    api.call(Method::GET, "/v1/state", "/v1/state", None).await;
    let (table, row) = ("/v1/state/{table}", "/v1/state/{table}/{key}");
    api.call(Method::GET, table, "/v1/state/orders", None).await;
    api.call(Method::PUT, row, "/v1/state/orders/x", Some("1")).await;
    api.call(Method::GET, row, "/v1/state/orders/x", None).await;
    api.call(Method::DELETE, row, "/v1/state/orders/x", None).await;
    api.call(Method::GET, row, "/v1/state/orders/x", None).await;
    api.call(Method::DELETE, table, "/v1/state/orders", None).await;
}

async fn triggers_and_parked(api: &mut Checker<'_>) {
    let events = "/v1/topics/{topic}/events";
    let bad = r#"[{"key":"a","value":{"sku":"a","bad":true}},{"key":"b","value":{"sku":"b","bad":true}},{"key":"c","value":{"sku":"c","bad":true}}]"#;
    api.call(Method::POST, events, "/v1/topics/orders/events", Some(bad)).await;
    let ids = eventually(PATIENCE, || {
        let request = api.server.admin(Method::GET, "/v1/parked");
        async move {
            let parked: Vec<Value> = request.send().await.expect("an answer").json().await.expect("a list");
            let ids: Vec<_> =
                parked.iter().map(|p| p["id"].as_str().expect("an id").replace('/', "%2F")).collect();
            if ids.len() == 3 { Ok(ids) } else { Err(parked) }
        }
    })
    .await;
    api.call(Method::GET, "/v1/parked", "/v1/parked", None).await;
    api.call(Method::GET, "/v1/parked/{id}", &format!("/v1/parked/{}", ids[0]), None).await;
    api.call(Method::POST, "/v1/parked/{id}/redrive", &format!("/v1/parked/{}/redrive", ids[0]), None).await;
    api.call(Method::POST, "/v1/parked/{id}/skip", &format!("/v1/parked/{}/skip", ids[1]), None).await;
    let value = Some(r#"{"sku":"c"}"#);
    api.call(Method::PUT, "/v1/parked/{id}/value", &format!("/v1/parked/{}/value", ids[2]), value).await;
    api.call(Method::GET, "/v1/refused", "/v1/refused?topic=orders", None).await;
    api.call(Method::POST, "/v1/refused/{id}/retry", "/v1/refused/none/retry", None).await;
    api.call(Method::POST, "/v1/refused/{id}/drop", "/v1/refused/none/drop", None).await;
    let trigger = "/v1/triggers/{topic}/{function}";
    api.call(Method::POST, &format!("{trigger}/pause"), "/v1/triggers/orders/on_order/pause", None).await;
    api.call(Method::POST, &format!("{trigger}/resume"), "/v1/triggers/orders/on_order/resume", None).await;
    let seek = Some(r#"{"to":"latest"}"#);
    api.call(Method::POST, &format!("{trigger}/seek"), "/v1/triggers/orders/on_order/seek", seek).await;
    api.call(Method::DELETE, trigger, "/v1/triggers/orders/on_order", None).await;
    api.call(Method::GET, "/v1/triggers", "/v1/triggers", None).await;
}

async fn replays(api: &mut Checker<'_>) {
    let all = "/v1/replays";
    let new =
        |mode: &str| format!(r#"{{"topic":"orders","function":"on_order","mode":"{mode}","name":"again"}}"#);
    api.call(Method::POST, all, "/v1/replays?plan=true", Some(&new("in-place"))).await;
    api.call(Method::POST, all, all, Some(&new("dry-run"))).await;
    api.call(Method::POST, all, all, Some(&new("in-place"))).await;
    api.call(Method::POST, all, all, Some(&new("shadow"))).await;
    api.call(Method::GET, all, all, None).await;
    api.call(Method::GET, "/v1/replays/{name}", "/v1/replays/again", None).await;
    api.call(Method::GET, "/v1/replays/{name}", "/v1/replays/none", None).await;
    for act in ["pause", "resume", "cancel"] {
        api.call(
            Method::POST,
            &format!("/v1/replays/{{name}}/{act}"),
            &format!("/v1/replays/again/{act}"),
            None,
        )
        .await;
    }
}
