//! Kill the server while it works, start it again: nothing that was acknowledged is missing, and nothing took effect
//! twice.
//!
//! Each POST carries an id of its own, is sent once, appends an event and adds to a counter in one transaction; a
//! trigger counts each id and all of them. `SOAK_KILLS` says how often to kill (`make soak`).

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use weir_tests::{Answer, PATIENCE, Sandbox, Server, eventually};

const CLIENTS: u64 = 8;

fn counting() -> Sandbox {
    Sandbox::builder()
        .config(
            "appName: counting\ntopics: [hits]\nevents: {hits: {APPEND: [on_hit]}}\n\
             weir: {topics: {hits: {partitions: 3}}}\n",
        )
        .file("app/gateway.lua", r#"return {{"POST", "/hits/:id", "hit"}}"#)
        .file(
            "app/hit.lua",
            r#"local state, topics = require "state", require "topics"
            return function(args)
                topics.append("hits", {{key = args.id, value = {id = args.id}}})
                state.add("sums", "requests", 1)
            end"#,
        )
        .file(
            "app/on_hit.lua",
            r#"local state = require "state"
            return function(hit)
                state.add("seen", hit.id, 1)
                state.add("sums", "seen", 1)
                -- a read and a write as well: not only what commutes
                state.set("last", "id", {id = hit.id, n = (state.get("last", "id") or {n = 0}).n + 1})
            end"#,
        )
        .build()
}

/// What the clients of all rounds know.
#[derive(Default)]
struct Clients {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<String>>,
    enough: Notify,
}

impl Clients {
    /// Sends requests until the server is gone.
    async fn send(&self, server: &Server, stop_at: usize) {
        loop {
            let id = format!("{:06}", self.next.fetch_add(1, Ordering::Relaxed));
            let request = server.request(http::Method::POST, &format!("/hits/{id}"));
            let Ok(answer) = Answer::of(request).await else { return };
            assert_eq!(answer.status, 200, "{}", answer.body);
            let mut acknowledged = self.acknowledged.lock().expect("no client panics while it holds this");
            acknowledged.insert(id);
            if acknowledged.len() >= stop_at {
                self.enough.notify_one();
            }
        }
    }

    fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().expect("no client panics while it holds this").clone()
    }
}

#[tokio::test]
async fn a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice() {
    let kills = std::env::var_os("SOAK_KILLS")
        .map_or(6, |n| n.to_str().and_then(|n| n.parse::<usize>().ok()).expect("SOAK_KILLS is a number"));
    assert!(kills > 0, "SOAK_KILLS=0 would test nothing");
    let (sandbox, clients) = (counting(), Clients::default());
    for round in 0..kills {
        let server = sandbox.dev().await;
        // a different moment each time: right away, amid the first commits, amid the triggers' work
        let stop_at = clients.acknowledged().len() + [1, 40, 150, 7, 300, 90][round % 6];
        let sending: FuturesUnordered<_> = (0..CLIENTS).map(|_| clients.send(&server, stop_at)).collect();
        tokio::select! {
            _ = sending.collect::<Vec<_>>() => panic!("the server went away by itself:\n{}", server.said()),
            () = clients.enough.notified() => {}
        }
        server.kill();
        if kills > 6 {
            println_round(round, clients.acknowledged().len());
        }
    }
    let server = sandbox.dev().await;
    sandbox.weir(&["triggers", "wait", "--timeout", "60s"]).await.succeeded();
    redrive_suspects(&sandbox).await;
    check(&sandbox, &clients.acknowledged()).await;
    assert!(server.stop().await.success());
}

#[expect(clippy::print_stdout, reason = "a soak is watched")]
fn println_round(round: usize, acknowledged: usize) {
    println!("kill {}: {acknowledged} acknowledged so far", round + 1);
}

/// An event that ran at the moment of several kills is held as a suspect for having caused them. It did not, so it is
/// let go, as a human would. Nothing else may be parked.
async fn redrive_suspects(sandbox: &Sandbox) {
    let parked = sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines();
    for event in &parked {
        let error = event["last_error"].as_str().unwrap_or_default();
        assert!(error.contains("the process ended"), "parked for another reason than a kill: {event}");
    }
    if !parked.is_empty() {
        sandbox.weir(&["parked", "redrive", "--all"]).await.succeeded();
        eventually(PATIENCE, || async {
            let left = sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
}

async fn check(sandbox: &Sandbox, acknowledged: &BTreeSet<String>) {
    let events = sandbox.weir(&["events", "hits", "--json"]).await.succeeded().lines();
    let mut appended: BTreeMap<String, u64> = BTreeMap::new();
    for event in &events {
        *appended.entry(event["value"]["id"].as_str().expect("an id").to_owned()).or_default() += 1;
    }
    let missing: Vec<_> = acknowledged.iter().filter(|id| !appended.contains_key(*id)).collect();
    assert!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    let twice: Vec<_> = appended.iter().filter(|(_, n)| **n != 1).collect();
    assert!(twice.is_empty(), "sent once and appended more often: {twice:?}");

    let seen = sandbox.weir(&["state", "list", "seen", "--json"]).await.succeeded().lines();
    let seen: BTreeMap<_, _> =
        seen.iter().map(|row| (row["key"].as_str().unwrap_or_default().to_owned(), &row["value"])).collect();
    let wanted: BTreeMap<_, Value> = appended.keys().map(|id| (id.clone(), json!(1))).collect();
    let wanted: BTreeMap<_, _> = wanted.iter().map(|(id, one)| (id.clone(), one)).collect();
    assert_eq!(seen, wanted, "each event is handled once in effect");

    let total = json!(events.len());
    assert_eq!(row(sandbox, "sums", "requests").await, total, "events and the counter are one transaction");
    assert_eq!(row(sandbox, "sums", "seen").await, total);
    assert_eq!(row(sandbox, "last", "id").await["n"], total);
}

async fn row(sandbox: &Sandbox, table: &str, key: &str) -> Value {
    let row = sandbox.weir(&["state", "get", table, key]).await.succeeded();
    serde_json::from_str(&row.stdout).expect("a row is JSON")
}
