//! Transactions of two processes that each saw what the other one changes: one of them must be refused.
//!
//! Each case puts both where they could pass each other: the first has been checked and waits, for a row that a
//! stranger holds, before it can end; the second comes in between.

use super::nodes::Nodes;
use std::sync::Arc;
use weir_log::CommitError;
use weir_log::conformance::{Fixture, key, put, range, saw};
use weir_schema::{DigestBuilder, Op, Read, Stamp, StateKey, Transaction, Write};

/// What one of the two reads, and what it writes.
#[derive(Clone, Copy, Debug)]
struct Side {
    reads: &'static str,
    writes: &'static str,
}

/// What both begin with in the table `t`: `present` is there, `absent` is not.
const CASES: [(&str, Side, Side); 5] = [
    (
        "lost update",
        Side { reads: "present", writes: "present" },
        Side { reads: "present", writes: "present" },
    ),
    (
        "two that make it",
        Side { reads: "absent", writes: "absent" },
        Side { reads: "absent", writes: "absent" },
    ),
    ("write skew", Side { reads: "present", writes: "absent" }, Side { reads: "absent", writes: "present" }),
    ("phantom", Side { reads: "*", writes: "a" }, Side { reads: "*", writes: "b" }),
    (
        "a row into a range",
        Side { reads: "*", writes: "elsewhere" },
        Side { reads: "elsewhere", writes: "b" },
    ),
];

/// How many of the two are committed.
async fn committed(case: (Side, Side), sabotage: bool) -> usize {
    let nodes = Nodes::new().await;
    let (one, two) = (nodes.node().await, nodes.node().await);
    let stamp = one.put(&key("t", "present"), "1").await;
    if sabotage {
        take_locks_away(&nodes).await;
    }
    nodes.hold_a_row(&one).await;
    let mut first = transaction(&one, case.0, stamp).await;
    first.writes.push(put(&key("u", "held"), "2", first.id));
    let second = transaction(&two, case.1, stamp).await;
    let first = one.log.commit(Arc::new(first));
    nodes.until_waiting(1).await;
    let second = two.log.commit(Arc::new(second));
    if sabotage {
        // it may come through, or stand behind the first one's row
        nodes
            .until(&format!(
                "SELECT count(*) = 2 OR (SELECT count(*) = 2 FROM rows WHERE key NOT IN ('present', 'held'))
               OR (SELECT max(batch) FROM lanes WHERE writer = {}) > 0 FROM ({}) w",
                two.log.capabilities().writer.0,
                nodes.waiting()
            ))
            .await;
    } else {
        nodes.until_waiting(2).await;
    }
    nodes.let_go().await;
    let mut count = 0;
    for outcome in [first.await, second.await] {
        match outcome {
            Ok(_) => count += 1,
            Err(CommitError::Conflict { .. }) => {}
            Err(other) => unreachable!("{other}"),
        }
    }
    count
}

async fn transaction(f: &Fixture, side: Side, present: Stamp) -> Transaction {
    let mut transaction = f.transaction();
    transaction.reads.push(match side.reads {
        "*" => {
            let all = range("t", "", None);
            let mut digest = DigestBuilder::default();
            let rows = f.log.scan(&all, 100).await.expect("scanned").rows;
            rows.iter().for_each(|(key, row)| digest.row(key, row.stamp));
            Read::Range(all, digest.finish())
        }
        "elsewhere" => saw(&elsewhere(), None),
        name => saw(&key("t", name), (name == "present").then_some(present)),
    });
    let written = if side.writes == "elsewhere" { elsewhere() } else { key("t", side.writes) };
    let op = Op::Put { value: "2".into(), expires: None };
    transaction.writes.push(Write { key: written, op, stamp: transaction.id });
    transaction
}

fn elsewhere() -> StateKey {
    key("elsewhere", "k")
}

/// Makes the function one that checks without locks.
async fn take_locks_away(nodes: &Nodes) {
    let sql = "SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE proname = 'weir_commit' AND pronamespace = current_schema()::regnamespace";
    let definition: String = nodes.stranger.query_one(sql, &[]).await.expect("it is there").get(0);
    let without = definition.replace("pg_advisory_xact_lock", "abs").replace("abs_shared", "abs");
    let without = without.replace("abs(space, t)", "abs(t)").replace("abs(space, -lane)", "abs(lane)");
    assert_ne!(definition, without);
    nodes.stranger.batch_execute(&without).await.expect("it is a function");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_saw_what_the_other_changes_one_is_refused() {
    for (name, one, two) in CASES {
        assert_eq!(committed((one, two), false).await, 1, "{name}");
    }
}

/// The cases above prove something: without the locks every one of them goes wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_locks_both_are_committed() {
    for (name, one, two) in CASES {
        assert_eq!(committed((one, two), true).await, 2, "{name}");
    }
}

/// Many updates of few rows from several processes: none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_made_by_reading_and_writing_add_up() {
    const EACH: u64 = 60;
    let nodes = Nodes::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for node in 0..3_u64 {
        let f = nodes.node().await;
        tasks.spawn(async move {
            for n in 0..EACH {
                let row = key("t", ["a", "b"][usize::try_from((n + node) % 2).expect("small")]);
                add_one(&f, &row).await;
            }
            f
        });
    }
    let mut last = None;
    while let Some(done) = tasks.join_next().await {
        last = Some(done.expect("it added all of its own"));
    }
    let f = last.expect("there were three");
    let mut total = 0;
    for name in ["a", "b"] {
        total += f.value(&key("t", name)).await.expect("written").parse::<u64>().expect("a number");
    }
    assert_eq!(total, 3 * EACH);
}

async fn add_one(f: &Fixture, row: &StateKey) {
    loop {
        let seen = f.row(row).await;
        let value = seen.as_ref().and_then(|row| weir_schema::counter(&row.value)).unwrap_or(0);
        let mut transaction = f.transaction();
        transaction.reads.push(saw(row, seen.map(|row| row.stamp)));
        transaction.writes.push(put(row, &(value + 1).to_string(), transaction.id));
        match f.commit(transaction).await {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(other) => unreachable!("{other}"),
        }
    }
}
