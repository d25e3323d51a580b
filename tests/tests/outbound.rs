//! Requests of functions: what a replay and a configuration let out. The server that is asked is Weir's own gateway.

use serde_json::{Value, json};
use weir_tests::{LogPlace, Sandbox, Server};

weir_tests::on_each_log!(a_replay_sends_no_requests_but_to_the_hosts_that_are_named);

/// Asks the URL of the event, and keeps what came of it.
const ASK: &str = r#"
local http, state = require "http", require "state"
return function(order, ctx)
    local answer, err = http.post(order.url, {json = {offset = ctx.offset}})
    state.set("answers", ctx.replay and ctx.replay.name or "live", answer and answer:json().data or err)
end
"#;

/// Answers with the key that a request is known by when it comes again.
const HOOK: &str = r#"return function(_, ctx) return ctx.headers["idempotency-key"] end"#;

fn shop(log: LogPlace) -> Sandbox {
    Sandbox::builder()
        .log(log)
        .config("appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [ask]}}\n")
        .file("app/gateway.lua", "return {{'POST', '/hook', 'hook'}}")
        .file("app/ask.lua", ASK)
        .file("app/hook.lua", HOOK)
        .build()
}

async fn ask_once(sandbox: &Sandbox, server: &Server) {
    let url = format!("{}/hook", server.at.gateway);
    sandbox.weir(&["append", "orders", &json!({"url": url}).to_string()]).await.succeeded();
    sandbox.weir(&["triggers", "wait", "orders/ask", "--timeout", "60s"]).await.succeeded();
}

async fn answer(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.weir(&["state", "get", "answers", name, "--json"]).await.succeeded().lines().remove(0)
}

async fn a_replay_sends_no_requests_but_to_the_hosts_that_are_named(log: LogPlace) {
    let sandbox = shop(log);
    let server = sandbox.dev().await;
    ask_once(&sandbox, &server).await;
    let live = answer(&sandbox, "live").await.to_string();
    assert!(live.contains("-0\""), "an id and the number of the request: {live}");
    let replay = async |args: &[&str]| {
        let first = ["replay", "orders", "--function", "ask", "--json"];
        sandbox.weir(&[&first, args].concat()).await.succeeded()
    };
    let written = |lines: Vec<Value>| {
        let write = lines.iter().find_map(|line| line.get("write")).expect("one row is written");
        write.to_string()
    };
    let refused = written(replay(&["--dry-run", "--name", "a"]).await.lines());
    assert!(refused.contains("--allow-http 127.0.0.1"), "{refused}");
    let allowed = ["--allow-http", "example.com", "--allow-http", "127.0.0.1"];
    let asked = written(replay(&[&["--dry-run", "--name", "b"], &allowed[..]].concat()).await.lines());
    assert!(asked.contains("-0"), "{asked}");
    replay(&["--in-place", "--yes", "--name", "c"]).await;
    assert!(answer(&sandbox, "c").await.to_string().contains("--allow-http"));
    replay(&[&["--in-place", "--yes", "--name", "d"], &allowed[..]].concat()).await;
    assert!(answer(&sandbox, "d").await.to_string().contains("-0\""));
    let shown = sandbox.weir(&["replay", "show", "d", "--json"]).await.succeeded().lines().remove(0);
    assert_eq!(shown["allow_http"], json!(["example.com", "127.0.0.1"]));
    server.stop().await;
}

#[tokio::test]
async fn outside_development_private_networks_are_reached_only_if_they_are_named() {
    let config = |more: &str| {
        format!("appName: shop\ntopics: []\nlogStorage: {{production: {{driver: memory}}}}\n{more}")
    };
    let sandbox = Sandbox::builder()
        .config(&config(""))
        .file(
            "app/main.lua",
            "return function() return select(2, require('http').get('http://127.0.0.1:1/')) end",
        )
        .build();
    let call = async |env: &str| {
        let called = sandbox.weir(&["call", "main", "--env", env, "--json"]).await.succeeded();
        called.lines().remove(0).to_string()
    };
    assert!(call("development").await.contains("cannot connect to 127.0.0.1"));
    assert!(call("production").await.contains("weir.outbound.private"));
    sandbox.write("config/application.yml", &config("weir: {outbound: {private: [127.0.0.0/8]}}\n"));
    assert!(call("production").await.contains("cannot connect to 127.0.0.1"));
    sandbox.write("config/application.yml", &config("weir: {outbound: {ca: no.pem}}\n"));
    let checked = sandbox.weir(&["check"]).await;
    assert!(checked.stdout.contains("weir.outbound.ca: read no.pem"), "{}", checked.stdout);
}
