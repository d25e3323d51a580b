//! Logs that are copied from one place to another.

use super::{fails_with, kill_when, line};
use std::time::Duration;
use weir_log::conformance::places::Schema;
use weir_tests::{Found, Load, LogPlace, Sandbox, counting};

#[tokio::test]
async fn a_project_goes_on_where_it_was_after_its_log_moved_to_postgres_and_back() {
    let (file, schema) = (counting(LogPlace::sqlite()), Schema::fresh());
    let server = file.dev().await;
    let load = Load::start(4, Duration::from_millis(1), &[&server]);
    load.until_acknowledged(200).await;
    let copy = ["copy", "--to", &schema.conn(), "--json"];
    fails_with(&file.weir(&copy).await, 1, &["a server works on this log", "stop it first"]);
    let mut sent = load.stop().await.acknowledged;
    assert!(server.stop().await.success());
    let there = line(file.weir(&copy).await);
    assert_eq!(there["differences"], serde_json::json!([]));

    let postgres = counting(LogPlace::Postgres(schema.conn()));
    let server = postgres.dev().await;
    Found::of(&postgres).await.check(&sent);
    assert_eq!(server.post("/hits/new", &serde_json::json!({})).await.status, 200);
    sent.insert("new".to_owned());
    assert!(server.stop().await.success());

    let back = counting(LogPlace::sqlite());
    let place = back.project().join(".weir/log.db");
    let moved = line(postgres.weir(&["copy", "--to", place.to_str().expect("text"), "--json"]).await);
    assert_eq!(moved["to"], place.canonicalize().expect("it is there").to_str().expect("text"));
    let server = back.dev().await;
    Found::of(&back).await.check(&sent);
    assert!(server.stop().await.success());
}

/// Enough events that a copy takes many steps.
const EVENTS: usize = 30_000;

async fn full() -> Sandbox {
    let config = "appName: full\ntopics: [notes]\nweir: {topics: {notes: {partitions: 2}}}\n";
    let sandbox = Sandbox::builder().config(config).file("app/gateway.lua", "return {}").build();
    let event = |n| format!("{{\"key\":\"{n}\",\"value\":{{\"n\":{n},\"text\":\"{}\"}}}}\n", "x".repeat(200));
    let lines: String = (0..EVENTS).map(event).collect();
    sandbox.weir_with(&["append", "notes"], &lines).await.succeeded();
    sandbox
}

#[tokio::test]
async fn a_copy_that_is_killed_again_and_again_comes_to_the_same() {
    let (sandbox, schema) = (full().await, Schema::fresh());
    let copy = ["copy", "--to", &schema.conn(), "--json"];
    let stranger = schema.connect().await;
    let copied = async || -> usize {
        // no such table yet: nothing
        let row = stranger.query_one("SELECT count(*) FROM events", &[]).await;
        row.map_or(0, |row| usize::try_from(row.get::<_, i64>(0)).expect("a count"))
    };
    let mut least = 0;
    for _ in 0..3 {
        // somewhere in what is left, but not so late that it is over by then
        least = fastrand::usize(least..EVENTS * 3 / 4).max(1);
        let enough = least;
        let killed = kill_when(sandbox.begin(&copy), async || copied().await >= enough).await;
        assert!(killed, "the copy was over before it could be killed at {enough} of {EVENTS}");
        least = copied().await + 1;
        if least > EVENTS * 3 / 4 {
            break;
        }
    }
    let half = counting_of(&schema).weir(&["events", "notes"]).await;
    fails_with(&half, 1, &["a copy into it has not ended"]);
    let done = line(sandbox.weir(&copy).await);
    assert!(done["copied_before"].as_u64().expect("a number") > 0, "{done}");
    assert_eq!((&done["events"], &done["differences"]), (&EVENTS.into(), &serde_json::json!([])));
    let there = counting_of(&schema).weir(&["events", "notes", "--json"]).await.succeeded();
    let here = sandbox.weir(&["events", "notes", "--json"]).await.succeeded();
    assert_eq!(there.stdout.lines().count(), EVENTS);
    assert_eq!(sorted(&there.stdout), sorted(&here.stdout));
}

/// The project on the log in a schema.
fn counting_of(schema: &Schema) -> Sandbox {
    let config = "appName: full\ntopics: [notes]\nweir: {topics: {notes: {partitions: 2}}}\n";
    let place = LogPlace::Postgres(schema.conn());
    Sandbox::builder().log(place).config(config).file("app/gateway.lua", "return {}").build()
}

/// Partitions may be shown in any order among each other.
fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn a_place_that_cannot_take_a_copy_is_told_in_one_line() {
    let sandbox = counting(LogPlace::sqlite());
    sandbox.weir(&["call", "hit", r#"{"id":"1"}"#]).await.succeeded();
    for (to, word) in [
        ("memory", "it begins and ends with its process"),
        ("mysql://db/shop", "is no log: write postgres://"),
        (".weir", "is no log"),
        (".weir/log.db", "a server works on it, or another command moves it"),
        ("postgres://u:s3cret@127.0.0.1:1/db", "onnection refused"),
    ] {
        let told = sandbox.weir(&["copy", "--to", to]).await;
        fails_with(&told, 1, &[word]);
        assert_eq!(told.stderr.lines().count(), 1, "{}", told.stderr);
        assert!(!told.stderr.contains("s3cret"), "{}", told.stderr);
    }
}
