//! Runs an example's `walkthrough.json` (its form: `examples/README.md`).

use crate::answer::Answer;
use crate::eventually::{PATIENCE, eventually};
use crate::sandbox::Sandbox;
use crate::server::Server;
use http::Method;
use serde_json::Value;

/// Walks through every step of the project's `walkthrough.json` against a fresh server.
pub async fn walk(sandbox: &Sandbox) {
    let text = std::fs::read_to_string(sandbox.project().join("walkthrough.json"));
    let steps: Vec<Value> =
        serde_json::from_str(&text.expect("read walkthrough.json")).expect("a list of steps");
    assert!(!steps.is_empty(), "walkthrough.json has no step");
    let server = sandbox.dev().await;
    for (i, step) in steps.iter().enumerate() {
        check_members(step, &["request", "command", "expect", "eventually"]);
        let take = || async {
            let differs = try_step(sandbox, &server, step).await.err();
            differs.map_or(Ok(()), |why| Err(format!("step {}: {step}: {why}", i + 1)))
        };
        if step["eventually"] == true {
            eventually(PATIENCE, take).await;
        } else if let Err(differs) = take().await {
            panic!("{differs}");
        }
    }
    assert!(server.stop().await.success(), "the server did not stop cleanly");
}

async fn try_step(sandbox: &Sandbox, server: &Server, step: &Value) -> Result<(), String> {
    let expect = &step["expect"];
    if step["request"].is_object() {
        check_members(expect, &["status", "json"]);
        let answer = request(server, &step["request"]).await;
        return answer_matches(&answer, expect);
    }
    check_members(expect, &["exit", "lines"]);
    let words = step["command"].as_array().expect("a step has a request or a command");
    let words: Vec<_> = words.iter().map(|word| word.as_str().expect("a word is text")).collect();
    let finished = sandbox.weir(&words).await;
    let said = || format!("{}{}", finished.stdout, finished.stderr);
    if expect["exit"].as_i64() != finished.code.map(i64::from) && expect.get("exit").is_some() {
        return Err(format!("exit code {:?}: {}", finished.code, said()));
    }
    let lines: Vec<Value> = finished.stdout.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    for wanted in expect["lines"].as_array().into_iter().flatten() {
        if !lines.iter().any(|line| has_members(line, wanted)) {
            return Err(format!("no line has the members {wanted}: {}", said()));
        }
    }
    Ok(())
}

async fn request(server: &Server, request: &Value) -> Answer {
    check_members(request, &["to", "method", "path", "headers", "body", "text"]);
    let text = |name: &str| request[name].as_str().unwrap_or_default();
    let method: Method = text("method").parse().expect("a method");
    let mut builder = match text("to") {
        "" | "gateway" => server.request(method, text("path")),
        "admin" => server.admin(method, text("path")),
        "write_proxy" => server.write_proxy(text("path")),
        other => panic!("a request goes to gateway, admin or write_proxy, not to {other:?}"),
    };
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        builder = builder.header(name, value.as_str().expect("a header's value is text"));
    }
    if let Some(body) = request.get("body") {
        builder = builder.json(body);
    } else if let Some(text) = request["text"].as_str() {
        builder = builder.body(text.to_owned());
    }
    Answer::of(builder).await.expect("an answer")
}

fn answer_matches(answer: &Answer, expect: &Value) -> Result<(), String> {
    if expect["status"].as_u64().is_some_and(|status| status != u64::from(answer.status)) {
        return Err(format!("status {}: {}", answer.status, answer.body));
    }
    match expect.get("json") {
        Some(json) if serde_json::from_str::<Value>(&answer.body).ok().as_ref() != Some(json) => {
            Err(format!("body {}", answer.body))
        }
        _ => Ok(()),
    }
}

fn has_members(line: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().expect("what a line has is an object");
    wanted.iter().all(|(name, value)| line.get(name) == Some(value))
}

/// A word that is misspelt must not make a step weaker.
fn check_members(object: &Value, known: &[&str]) {
    let object = object.as_object().unwrap_or_else(|| panic!("{object} is no object"));
    let unknown: Vec<_> = object.keys().filter(|name| !known.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "unknown members {unknown:?}: known are {known:?}");
}
