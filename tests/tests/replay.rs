//! `weir replay`, as people type it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_tests::{Finished, LogPlace, PATIENCE, Sandbox, Server, eventually};

weir_tests::on_each_log!(
    without_a_mode_the_three_are_explained_with_their_counts_and_nothing_runs,
    a_dry_run_tells_each_effect_with_its_cause_and_changes_nothing,
    in_place_shows_counts_asks_and_runs_the_range_of_a_key_again,
    a_replay_computes_the_times_and_ids_that_the_first_run_computed,
    appends_are_committed_only_with_emit,
    what_cannot_be_applied_is_exit_code_1_and_shown,
    a_replay_is_paused_resumed_and_cancelled_by_its_name,
    a_replay_whose_server_is_killed_goes_on_and_applies_each_event_of_its_range_once,
);

/// What the live trigger and replays run. `applied` counts what took effect by event; a chain of reads and writes does
/// the same for what does not commute.
const TALLY: &str = r#"
local state, topics = require "state", require "topics"
return function(order, ctx)
    local replay = ctx.replay or {name = "live", mode = "none"}
    if order.fails and ctx.replay then error("no such order") end
    state.add("applied", string.format("%05d", ctx.offset), 1)
    state.set("sums", "runs", (state.get("sums", "runs") or 0) + 1)
    state.set("modes", replay.name, replay.mode)
    topics.append("emails", {{key = ctx.key, value = {by = replay.name}}})
end
"#;

fn shop(log: LogPlace) -> Sandbox {
    Sandbox::builder()
        .log(log)
        .config("appName: shop\ntopics: [orders, emails]\nevents: {orders: {APPEND: [tally]}}\n")
        .file("app/gateway.lua", "return {}")
        .file("app/tally.lua", TALLY)
        .build()
}

/// Orders of two customers in turn, `a` first, handled by the live trigger.
async fn handled(sandbox: &Sandbox, events: usize) {
    let key = |n: usize| if n.is_multiple_of(2) { "a" } else { "b" };
    let lines: Vec<_> = (0..events).map(|n| json!({"key": key(n), "value": {"n": n}}).to_string()).collect();
    append(sandbox, &lines).await;
}

async fn append(sandbox: &Sandbox, lines: &[String]) {
    sandbox.weir_with(&["append", "orders"], &lines.join("\n")).await.succeeded();
    sandbox.weir(&["triggers", "wait", "orders/tally", "--timeout", "60s"]).await.succeeded();
}

/// `weir replay orders --function tally …`
async fn replay(sandbox: &Sandbox, args: &[&str]) -> Finished {
    sandbox.weir(&[&["replay", "orders", "--function", "tally"], args].concat()).await
}

/// `weir replay ACT NAME --json`
async fn act(sandbox: &Sandbox, act: &str, name: &str) -> Value {
    sandbox.weir(&["replay", act, name, "--json"]).await.succeeded().lines().remove(0)
}

/// Waits until `weir replay show` says this.
async fn shows(sandbox: &Sandbox, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(PATIENCE, || async {
        let shown = act(sandbox, "show", name).await;
        if is_so(&shown) { Ok(shown) } else { Err(shown) }
    })
    .await
}

async fn rows(sandbox: &Sandbox, table: &str) -> BTreeMap<String, Value> {
    let rows =
        sandbox.weir(&["state", "list", table, "--json", "--limit", "100000"]).await.succeeded().lines();
    rows.iter().map(|row| (row["key"].as_str().expect("a key").to_owned(), row["value"].clone())).collect()
}

/// How often each event took effect, by offset.
async fn applied(sandbox: &Sandbox) -> Vec<u64> {
    rows(sandbox, "applied").await.values().filter_map(Value::as_u64).collect()
}

async fn emails_by(sandbox: &Sandbox, name: &str) -> usize {
    let emails = sandbox.weir(&["events", "emails", "--json"]).await.succeeded().lines();
    emails.iter().filter(|e| e["value"]["by"] == name).count()
}

async fn whole_log(sandbox: &Sandbox) -> (Vec<Value>, [BTreeMap<String, Value>; 3]) {
    let emails = sandbox.weir(&["events", "emails", "--json"]).await.succeeded().lines();
    (emails, [rows(sandbox, "applied").await, rows(sandbox, "sums").await, rows(sandbox, "modes").await])
}

async fn without_a_mode_the_three_are_explained_with_their_counts_and_nothing_runs(log: LogPlace) {
    let sandbox = shop(log);
    let _server = sandbox.dev().await;
    handled(&sandbox, 6).await;
    sandbox.weir(&["triggers", "pause", "orders/tally"]).await.succeeded();
    sandbox.weir(&["append", "orders", "{}", "--key", "a"]).await.succeeded();
    let explained = replay(&sandbox, &["--from", "2"]).await;
    assert_eq!((explained.code, explained.stdout.as_str()), (Some(2), ""));
    for words in ["--dry-run   runs 5 events", "--in-place  runs 4 events", "--shadow", "applied", "counters"]
    {
        assert!(explained.stderr.contains(words), "{words:?} is not in: {}", explained.stderr);
    }
    assert_eq!(sandbox.weir(&["replay", "list", "--json"]).await.succeeded().stdout, "");
    assert_eq!(applied(&sandbox).await, [1; 6]);
}

async fn a_dry_run_tells_each_effect_with_its_cause_and_changes_nothing(log: LogPlace) {
    let sandbox = shop(log);
    let server = sandbox.dev().await;
    handled(&sandbox, 4).await;
    let before = whole_log(&sandbox).await;
    let told = replay(&sandbox, &["--dry-run", "--from", "1", "--to", "3"]).await.succeeded();
    for line in ["2 events, 2 run", "nothing was committed", "append 2 to emails", "write 2 rows of applied"]
    {
        assert!(told.stdout.contains(line), "{line:?} is not in: {}", told.stdout);
    }
    let lines = replay(&sandbox, &["--dry-run", "--key", "b", "--name", "what-if", "--json"])
        .await
        .succeeded()
        .lines();
    let appends: Vec<_> = lines.iter().filter(|line| line.get("append").is_some()).collect();
    assert_eq!(appends.iter().map(|a| &a["cause"]["offset"]).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(appends[0]["append"]["value"], json!({"by": "what-if"}), "the function sees ctx.replay");
    let sums: Vec<_> = lines.iter().filter(|line| line["write"]["table"] == "sums").collect();
    assert_eq!(sums.iter().map(|w| &w["write"]["set"]).collect::<Vec<_>>(), [5, 6], "laid over one another");
    let report = &lines.last().expect("a report")["report"];
    assert_eq!(
        (&report["run"], &report["passed_over"], &report["parked"]),
        (&json!(2), &json!(2), &json!(0))
    );
    assert_eq!((&report["appends"], &report["rows"]["applied"]), (&json!({"emails": 2}), &json!(2)));
    assert_eq!(whole_log(&sandbox).await, before);

    // and on the log alone
    assert!(server.stop().await.success());
    assert!(replay(&sandbox, &["--dry-run"]).await.succeeded().stdout.contains("4 events, 4 run"));
    assert_eq!(whole_log(&sandbox).await, before);
}

async fn a_replay_computes_the_times_and_ids_that_the_first_run_computed(log: LogPlace) {
    let made = r#"
        local state, time, uuid = require "state", require "time", require "uuid"
        return function(order, ctx)
            if order.fails and ctx.attempt < 3 and not ctx.replay then uuid.v4() error("not yet") end
            state.set("made", tostring(ctx.offset), {uuid.v4(), uuid.v7(), time.now_ms(), os.time(), math.random()})
            state.set("seen", tostring(ctx.offset), {time.wall(), ctx.attempt})
        end"#;
    let config = "appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [tally]}}\n\
                  weir: {triggers: {orders/tally: {retry: {backoff: 10ms, jitter: 0}}}}\n";
    let sandbox = Sandbox::builder()
        .log(log)
        .config(config)
        .file("app/gateway.lua", "return {}")
        .file("app/tally.lua", made);
    let sandbox = sandbox.build();
    let _server = sandbox.dev().await;
    append(
        &sandbox,
        &[
            json!({"key": "a", "value": {}}).to_string(),
            json!({"key": "b", "value": {"fails": true}}).to_string(),
        ],
    )
    .await;
    let first = eventually(PATIENCE, || async {
        let rows = rows(&sandbox, "made").await;
        if rows.len() == 2 { Ok(rows) } else { Err(rows) }
    })
    .await;
    assert_eq!(rows(&sandbox, "seen").await["1"][1], 3, "the second event took three attempts");
    let lines = replay(&sandbox, &["--dry-run", "--json"]).await.succeeded().lines();
    let written = |table: &'static str| lines.iter().filter(move |line| line["write"]["table"] == table);
    for write in written("made") {
        let offset = write["write"]["key"].as_str().expect("a key");
        assert_eq!(write["write"]["set"], first[offset], "event {offset}");
    }
    assert_eq!(written("made").count(), 2);
    let seen = rows(&sandbox, "seen").await;
    assert_ne!(
        written("seen").next().expect("a write")["write"]["set"][0],
        seen["0"][0],
        "the real clock goes on"
    );
}

async fn in_place_shows_counts_asks_and_runs_the_range_of_a_key_again(log: LogPlace) {
    let sandbox = shop(log);
    let _server = sandbox.dev().await;
    handled(&sandbox, 8).await;
    let range = ["--in-place", "--from", "1", "--to", "6", "--key", "b", "--name", "mend"];
    let asked = replay(&sandbox, &range).await;
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(1), ""), "nobody there to answer is a no");
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(applied(&sandbox).await, [1; 8]);

    let told = replay(&sandbox, &[&range[..], &["--yes"]].concat()).await.succeeded();
    assert!(told.stdout.contains("mend") && told.stdout.contains("done"), "{}", told.stdout);
    assert_eq!(applied(&sandbox).await, [1, 2, 1, 2, 1, 2, 1, 1]);
    assert_eq!(rows(&sandbox, "modes").await["mend"], "in-place");

    let shown = act(&sandbox, "show", "mend").await;
    let wanted = json!({"name": "mend", "mode": "in-place", "state": "done", "topic": "orders", "function": "tally",
        "from": [1], "to": [6], "done": 5, "total": 5, "lag": 0, "parked": 0, "appended": 0});
    for (field, value) in wanted.as_object().expect("an object") {
        assert_eq!(&shown[field], value, "{field} of {shown}");
    }
    assert!(shown["rate"].is_number() && shown.get("eta_seconds").is_some(), "{shown}");
    let listed = sandbox.weir(&["replay", "list", "--json"]).await.succeeded().lines();
    assert_eq!(listed, [shown]);
    assert_eq!(sandbox.weir(&["replay", "show", "other"]).await.code, Some(1));
}

async fn appends_are_committed_only_with_emit(log: LogPlace) {
    let sandbox = shop(log);
    let _server = sandbox.dev().await;
    handled(&sandbox, 3).await;
    replay(&sandbox, &["--in-place", "--yes", "--name", "quiet"]).await.succeeded();
    replay(&sandbox, &["--in-place", "--yes", "--name", "loud", "--emit"]).await.succeeded();
    let sent = [
        emails_by(&sandbox, "live").await,
        emails_by(&sandbox, "quiet").await,
        emails_by(&sandbox, "loud").await,
    ];
    assert_eq!(sent, [3, 0, 3]);
    assert_eq!(applied(&sandbox).await, [3, 3, 3]);
}

async fn what_cannot_be_applied_is_exit_code_1_and_shown(log: LogPlace) {
    let sandbox = shop(log);
    let _server = sandbox.dev().await;
    let order = |key: &str, value: Value| json!({"key": key, "value": value}).to_string();
    append(&sandbox, &[order("a", json!({"fails": true})), order("a", json!({})), order("b", json!({}))])
        .await;
    let failed = replay(&sandbox, &["--in-place", "--yes", "--name", "fails"]).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stdout.contains("no such order"), "{}", failed.stdout);
    let shown = act(&sandbox, "show", "fails").await;
    assert_eq!((&shown["parked"], &shown["done"]), (&json!(2), &json!(3)));
    assert_eq!(applied(&sandbox).await, [1, 1, 2], "what waited behind the failed one is not applied either");
    assert_eq!(replay(&sandbox, &["--dry-run"]).await.code, Some(1));
}

async fn a_replay_is_paused_resumed_and_cancelled_by_its_name(log: LogPlace) {
    let sandbox = shop(log);
    let _server = sandbox.dev().await;
    handled(&sandbox, 500).await;
    let args = ["--in-place", "--yes", "--name", "slow", "--rate", "5", "--detach", "--json"];
    let begun = replay(&sandbox, &args).await.succeeded().lines();
    assert_eq!((&begun[0]["name"], &begun[0]["total"]), (&json!("slow"), &json!(500)));
    shows(&sandbox, "slow", |shown| shown["done"].as_u64() >= Some(5)).await;
    assert_eq!(act(&sandbox, "pause", "slow").await["state"], "paused");
    let live = sandbox.weir(&["triggers", "--json"]).await.succeeded().lines();
    assert_eq!(live[0]["state"], "replaying", "{live:?}");
    assert_eq!(act(&sandbox, "resume", "slow").await["state"], "running");
    assert_eq!(act(&sandbox, "cancel", "slow").await["state"], "cancelled");
    assert_eq!(sandbox.weir(&["replay", "resume", "slow"]).await.code, Some(1));
    // the live trigger goes on, and what the replay did stays and no more comes
    append(&sandbox, &[json!({"key": "a", "value": {}}).to_string()]).await;
    let shown = act(&sandbox, "show", "slow").await;
    let again = applied(&sandbox).await.iter().filter(|n| **n == 2).count();
    assert!((5..500).contains(&again) && shown["done"] == again, "{again} ran again: {shown}");
}

/// The rate keeps the replay under way for seconds, so that each kill finds it in the middle.
async fn a_replay_whose_server_is_killed_goes_on_and_applies_each_event_of_its_range_once(log: LogPlace) {
    let sandbox = shop(log);
    let mut server = sandbox.dev().await;
    handled(&sandbox, 2000).await;
    let args = [
        "--in-place",
        "--yes",
        "--from",
        "100",
        "--to",
        "1900",
        "--rate",
        "300",
        "--name",
        "long",
        "--detach",
    ];
    replay(&sandbox, &args).await.succeeded();
    for done in [1, 700] {
        server = killed_in_the_middle(&sandbox, server, done).await;
    }
    let over = shows(&sandbox, "long", |shown| shown["state"] != "running").await;
    assert_eq!((&over["state"], &over["done"], &over["parked"]), (&json!("done"), &json!(1800), &json!(0)));
    let wanted: Vec<u64> =
        (0..2000).map(|offset| if (100..1900).contains(&offset) { 2 } else { 1 }).collect();
    assert_eq!(applied(&sandbox).await, wanted);
    assert_eq!(rows(&sandbox, "sums").await["runs"], 3800);
    // and the live trigger is let go
    append(&sandbox, &[json!({"key": "a", "value": {}}).to_string()]).await;
    assert_eq!(applied(&sandbox).await.last(), Some(&1));
    assert!(server.stop().await.success());
}

async fn killed_in_the_middle(sandbox: &Sandbox, server: Server, done: u64) -> Server {
    shows(sandbox, "long", |shown| shown["done"].as_u64() >= Some(done)).await;
    server.kill();
    let found = act(sandbox, "show", "long").await;
    assert!(found["done"].as_u64() < Some(1800) && found["state"] == "running", "not in the middle: {found}");
    sandbox.dev().await
}
