//! The command line: what people type, and what they see when something is wrong.

use serde_json::{Value, json};
use std::net::TcpListener;
use weir_tests::{Finished, PATIENCE, Sandbox, ServerOptions, eventually};

fn notes() -> Sandbox {
    Sandbox::builder()
        .config("appName: notes\ntopics: [notes]\nevents: {notes: {APPEND: [on_note]}}\n")
        .file("app/gateway.lua", r#"return {{"POST", "/notes", "note"}}"#)
        .file(
            "app/note.lua",
            r#"local state, topics = require "state", require "topics"
            return function(args)
                if not args.text then return nil, "text is missing" end
                topics.append("notes", {{key = "k", value = {text = args.text}}})
                return {n = state.incr("counters", "notes", 1)}
            end"#,
        )
        .file(
            "app/on_note.lua",
            r#"local state = require "state"
            return function() state.add("counters", "handled", 1) end"#,
        )
        .build()
}

/// It failed with this exit code and said why in one line.
fn fails_with(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "results only");
    assert_eq!(finished.stderr.lines().count(), 1, "one line: {}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not in: {}", finished.stderr);
    }
}

#[tokio::test]
async fn call_runs_a_function_on_the_log_and_a_dry_run_commits_nothing() {
    let sandbox = notes();
    let dry = sandbox.weir(&["call", "note", r#"{"text":"x"}"#, "--dry-run"]).await.succeeded();
    let dry: Value = serde_json::from_str(&dry.stdout).expect("JSON");
    assert_eq!(dry["reply"]["data"], json!({"n": 1}));
    assert_eq!(dry["appends"][0]["value"], json!({"text": "x"}));
    assert_eq!(dry["writes"][0]["table"], "counters");
    assert_eq!(sandbox.weir(&["events", "notes"]).await.succeeded().stdout, "");

    assert_eq!(sandbox.weir(&["call", "note", r#"{"text":"x"}"#]).await.succeeded().stdout, "{\"n\":1}\n");
    assert_eq!(
        sandbox.weir_with(&["call", "note", "-"], r#"{"text":"y"}"#).await.succeeded().stdout,
        "{\"n\":2}\n"
    );
    assert_eq!(sandbox.weir(&["events", "notes"]).await.succeeded().lines().len(), 2);
    fails_with(&sandbox.weir(&["call", "note"]).await, 1, &["text is missing"]);
    fails_with(&sandbox.weir(&["call", "nobody"]).await, 1, &["there is no function nobody", "note"]);
}

#[tokio::test]
async fn commands_go_to_the_running_server_and_reach_the_log_themselves_when_there_is_none() {
    let sandbox = notes();
    let server = sandbox.dev().await;
    assert_eq!(sandbox.weir(&["call", "note", r#"{"text":"x"}"#]).await.succeeded().stdout, "{\"n\":1}\n");
    let appended =
        sandbox.weir(&["append", "notes", r#"{"text":"by hand"}"#, "--key", "k", "--json"]).await.succeeded();
    assert_eq!(appended.lines(), [json!({"partition": 0, "offset": 1})]);
    let lines = "{\"text\":\"a\"}\n{\"key\":\"b\",\"value\":{\"text\":\"b\"}}\n";
    sandbox.weir_with(&["append", "notes"], lines).await.succeeded();
    sandbox.weir(&["triggers", "wait", "notes/on_note", "--timeout", "60s"]).await.succeeded();
    assert_eq!(sandbox.weir(&["state", "get", "counters", "handled"]).await.succeeded().stdout, "4\n");

    // its run.json stays behind, and must fool nobody
    server.kill();
    assert!(sandbox.project().join(".weir/run.json").exists());
    assert_eq!(sandbox.weir(&["events", "notes"]).await.succeeded().lines().len(), 4);
    assert_eq!(sandbox.weir(&["call", "note", r#"{"text":"z"}"#]).await.succeeded().stdout, "{\"n\":2}\n");
}

#[tokio::test]
async fn a_second_server_on_the_same_file_serves_and_appends() {
    let sandbox = notes();
    let first = sandbox.dev().await;
    let second = sandbox.dev().await;
    assert_ne!(first.at, second.at);
    assert_eq!(first.post("/notes", &json!({"text": "a"})).await.json(), json!({"data": {"n": 1}}));
    assert_eq!(second.post("/notes", &json!({"text": "b"})).await.json(), json!({"data": {"n": 2}}));
    assert_eq!(first.post("/notes", &json!({"text": "c"})).await.json(), json!({"data": {"n": 3}}));
    handled_is(&sandbox, 3).await;
    // whoever stays takes the triggers over
    first.kill();
    assert_eq!(second.post("/notes", &json!({"text": "d"})).await.json(), json!({"data": {"n": 4}}));
    handled_is(&sandbox, 4).await;
}

async fn handled_is(sandbox: &Sandbox, n: u32) {
    eventually(PATIENCE, || async {
        let row = sandbox.weir(&["state", "get", "counters", "handled"]).await;
        if row.stdout == format!("{n}\n") { Ok(()) } else { Err(row) }
    })
    .await;
}

#[tokio::test]
async fn an_address_in_use_is_one_clear_line() {
    let sandbox = notes();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let dev = sandbox.weir(&["dev", "--port", "0", "--listen", &address, "--log-level", "off"]).await;
    fails_with(&dev, 1, &["gateway", &address, "--listen"]);
    let dev = sandbox.weir(&["dev", "--port", "0", "--admin", &address, "--log-level", "off"]).await;
    fails_with(&dev, 1, &["admin API", &address, "--admin"]);
}

#[tokio::test]
async fn a_folder_that_is_no_project_is_one_clear_line() {
    let sandbox = Sandbox::builder().build();
    fails_with(&sandbox.weir(&["dev", "nowhere"]).await, 1, &["there is no folder nowhere", "weir init"]);
    fails_with(&sandbox.weir(&["dev", "."]).await, 1, &["config/application.yml"]);
    fails_with(&sandbox.weir(&["-C", "nowhere", "topics"]).await, 1, &["nowhere"]);
}

#[tokio::test]
async fn every_mistake_of_the_configuration_is_told_with_its_line() {
    let sandbox = notes();
    sandbox.write("config/application.yml", "appName: notes\nweir:\n  limit: {}\n  limits: {cpu: fast}\n");
    for command in [["dev", "."], ["check", "."]] {
        let failed = sandbox.weir(&command).await;
        assert_eq!(failed.code, Some(1), "{failed:?}");
        for words in ["config/application.yml:3", "limits", "config/application.yml:4", "fast"] {
            assert!(failed.stderr.contains(words), "{words} is not in: {}", failed.stderr);
        }
    }
}

#[tokio::test]
async fn check_finds_every_mistake_and_touches_nothing() {
    let sandbox = notes();
    assert!(sandbox.weir(&["check"]).await.succeeded().stdout.contains("in order"));
    sandbox.write("app/broken.lua", "return function(");
    sandbox.write("app/gateway.lua", r#"return {{"POST", "/notes", "nobody"}}"#);
    let check = sandbox.weir(&["check"]).await;
    assert_eq!(check.code, Some(1));
    let said = format!("{}{}", check.stdout, check.stderr);
    assert!(said.contains("app/broken.lua:1") && said.contains("app/nobody.lua"), "{said}");
    assert!(!sandbox.project().join(".weir").exists(), "it opened the log");
}

#[tokio::test]
async fn wrong_usage_is_exit_code_2() {
    let sandbox = notes();
    for words in [
        &["no-such-command"][..],
        &["call"],
        &["dev", "--port", "many"],
        &["triggers", "seek", "notes/on_note"],
    ] {
        let failed = sandbox.weir(words).await;
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(2), ""), "{words:?}: {}", failed.stderr);
        assert!(failed.stderr.contains("--help"), "{}", failed.stderr);
    }
}

#[tokio::test]
async fn what_cannot_be_undone_asks_and_nobody_there_is_a_no() {
    let sandbox = notes();
    sandbox.weir(&["append", "notes", "1"]).await.succeeded();
    let trim = sandbox.weir(&["topics", "trim", "notes", "--before", "latest"]).await;
    fails_with(&trim, 1, &["--yes"]);
    assert_eq!(sandbox.weir(&["events", "notes"]).await.succeeded().lines().len(), 1);
    sandbox.weir(&["topics", "trim", "notes", "--before", "latest", "--yes"]).await.succeeded();
    assert_eq!(sandbox.weir(&["events", "notes"]).await.succeeded().stdout, "");
}

#[tokio::test]
async fn completions_are_written_for_each_shell() {
    let sandbox = Sandbox::builder().build();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.weir(&["completions", shell]).await.succeeded().stdout;
        assert!(script.contains("weir") && script.contains("redrive"), "{shell}: {} bytes", script.len());
    }
}

#[tokio::test]
async fn what_reads_can_answer_in_json_one_object_a_line() {
    let sandbox = notes();
    let server = sandbox.dev().await;
    server.post("/notes", &json!({"text": "x"})).await;
    let has = |finished: Finished, fields: &[&str]| {
        let lines = finished.succeeded().lines();
        assert!(!lines.is_empty(), "no line to look at");
        for line in lines {
            for field in fields {
                assert!(line.get(field).is_some(), "{field} is not in {line}");
            }
        }
    };
    has(sandbox.weir(&["topics", "--json"]).await, &["topic", "partitions", "events", "bytes", "tail"]);
    let trigger = ["topic", "function", "group", "state", "lag", "lag_seconds", "parked", "positions"];
    has(sandbox.weir(&["triggers", "--json"]).await, &trigger);
    let event = ["topic", "partition", "offset", "key", "value", "headers", "timestamp"];
    has(sandbox.weir(&["events", "notes", "--json"]).await, &event);
    has(sandbox.weir(&["routes", "--json"]).await, &["method", "path", "function"]);
    has(sandbox.weir(&["functions", "--json"]).await, &["function"]);
    has(sandbox.weir(&["state", "--json"]).await, &["table", "keys", "bytes", "writers"]);
    has(sandbox.weir(&["state", "list", "counters", "--json"]).await, &["key", "value"]);
    has(sandbox.weir(&["status", "--json"]).await, &["app", "log", "triggers"]);
    has(sandbox.weir(&["config", "show", "--json"]).await, &["key", "value", "origin"]);
}

#[tokio::test]
async fn init_makes_a_project_that_runs_and_keeps_off_full_folders() {
    let sandbox = Sandbox::builder().build();
    let listed = sandbox.weir(&["init", "--list"]).await.succeeded().stdout;
    let templates: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(templates, ["hello", "shop", "api", "webhook", "cron", "spacer-blog"]);
    for template in templates {
        sandbox.weir(&["init", template, "--template", template]).await.succeeded();
        sandbox.weir(&["check", template]).await.succeeded();
        let tested = sandbox.weir(&["test", "-C", template]).await.succeeded().stdout;
        assert!(tested.ends_with(" tests, 0 failed\n") && !tested.contains("# 0 tests"), "{tested}");
    }
    fails_with(&sandbox.weir(&["init", "hello"]).await, 1, &["hello", "not empty"]);
    let made = |file: &str| std::fs::read_to_string(sandbox.project().join("hello").join(file)).expect(file);
    assert!(made(".luarc.json").contains(".weir/types"));
    assert!(made(".weir/types/time.lua").starts_with("---@meta time\n"));
    assert!(made("llms.txt").contains("`time.now()`"));
}

#[tokio::test]
async fn status_is_1_when_someone_must_act() {
    let sandbox = notes();
    let server = sandbox.dev().await;
    assert_eq!(sandbox.weir(&["status"]).await.code, Some(0));
    sandbox.write("app/broken.lua", "return function(");
    eventually(PATIENCE, || async {
        let status = sandbox.weir(&["status"]).await;
        if status.code == Some(1) && status.stdout.contains("app/broken.lua") { Ok(()) } else { Err(status) }
    })
    .await;
    drop(server);
}

#[tokio::test]
async fn production_wants_to_be_told_where_the_log_is() {
    let sandbox = notes();
    let refused = sandbox.weir(&["start", "--port", "0"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("logStorage"), "{}", refused.stderr);
    let args = vec!["--log".to_owned(), "sqlite".to_owned()];
    let options = ServerOptions { command: "start", args, env: Vec::new() };
    let server = sandbox.serve(&options).await;
    let raised = server.post("/notes", &json!({"text": "x"})).await;
    assert_eq!(raised.json(), json!({"data": {"n": 1}}));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn check_tells_mistakes_and_warnings_at_once_as_text_and_as_json() {
    let sandbox = Sandbox::builder()
        .config("appName: ported\n")
        .file("app/a.lua", "return function()\n  os.execute('ls')\nend")
        .file("app/b.lua", "goto done\nf()\n::done::")
        .file("lib/c.lua", "return 6 & 3")
        .build();
    let checked = sandbox.weir(&["check"]).await;
    assert_eq!(checked.code, Some(1));
    let lines: Vec<_> = checked.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("warning: app/a.lua:2: os.execute: functions start no processes"),
        "{lines:?}"
    );
    assert!(lines[1].starts_with("app/b.lua:1: goto done: "), "{lines:?}");
    assert!(
        lines[2].starts_with("lib/c.lua:1: the operator & is Lua 5.3's: write bit.band(a, b)"),
        "{lines:?}"
    );

    let told = sandbox.weir(&["check", "--json"]).await.lines();
    let told: Vec<_> = told.iter().map(|t| (&t["level"], &t["file"], &t["line"])).collect();
    let expected = [("warning", "app/a.lua", 2), ("error", "app/b.lua", 1), ("error", "lib/c.lua", 1)];
    let expected = expected.map(|(level, file, line)| (json!(level), json!(file), json!(line)));
    assert_eq!(told, expected.iter().map(|(l, f, n)| (l, f, n)).collect::<Vec<_>>());
}
