//! Old events leave, and rows that change all the time stay small.

use super::nodes::Nodes;
use std::sync::Arc;
use weir_log::Change;
use weir_log::conformance::{Fixture, add, events, group, key, offsets};
use weir_schema::{Advance, At, Fence, Offset};

/// How many events one step of a trim removes at most.
const STEP: u64 = 4096;

/// Appends events up to `tail`.
async fn fill(f: &Fixture, at: At, tail: u64) {
    let values = vec!["x"; 1024];
    for _ in 0..tail.div_ceil(1024) {
        f.append(at, &values).await;
    }
}

/// The third step cannot go on for a stranger's lock; what the first two removed is gone for all, and appends go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_goes_in_bounded_steps_and_appends_go_on_meanwhile() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    fill(&f, at, 4 * STEP).await;
    let locked = 2 * STEP + 7;
    let hold = format!("BEGIN; SELECT FROM events WHERE off = {locked} FOR UPDATE");
    nodes.stranger.batch_execute(&hold).await.expect("held");
    let log = f.log.clone();
    let mut trim = tokio::task::JoinSet::new();
    trim.spawn(async move { log.trim(at, Offset(4 * STEP - 1)).await });
    nodes.until(&format!("SELECT earliest = {} FROM partitions", 2 * STEP)).await;
    let name = nodes.name();
    nodes
        .until(&format!(
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%DELETE FROM events%'
             AND application_name = '{name}'"
        ))
        .await;
    assert_eq!(offsets(&f.append(at, &["meanwhile"]).await), [4 * STEP]);
    assert!(trim.try_join_next().is_none(), "the trim waits");
    nodes.let_go().await;
    let earliest = trim.join_next().await.expect("it was begun").expect("no panic").expect("trimmed");
    assert_eq!(earliest, Offset(4 * STEP - 1));
    assert_eq!(f.values(at, earliest.0).await.len(), 2);
}

/// While a stranger's transaction is open, what is removed stays in the index. A step must not go through what those
/// before it have removed, or the whole is quadratic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trim_goes_through_each_event_once_also_while_a_stranger_keeps_what_is_removed() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    fill(&f, at, 6 * STEP).await;
    let hold = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events";
    nodes.stranger.batch_execute(hold).await.expect("it stays open");
    f.log.trim(at, Offset(6 * STEP)).await.expect("trimmed");
    f.log.close().await.expect("closed");
    // a connection that has ended has told what it counted
    let name = nodes.name();
    nodes
        .until(&format!(
            "SELECT n_tup_del = {} FROM pg_stat_user_tables WHERE schemaname = '{name}' AND relname = 'events'",
            6 * STEP
        ))
        .await;
    let few = format!(
        "SELECT idx_tup_read < {} FROM pg_stat_user_indexes WHERE schemaname = '{name}' AND indexrelname = 'events_pkey'",
        8 * STEP
    );
    assert!(nodes.says(&few).await, "it went through what was removed again");
    nodes.let_go().await;
}

/// An update that stays on its page leaves the index as it is, and what it leaves goes without a vacuum.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_each_commit_changes_stay_on_their_pages() {
    const COMMITS: u64 = 400;
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    let name = group("events/f");
    let mut membership = f.log.join(&name, &[(at, Offset(0))]).await.expect("joined");
    let Some(Change::Assigned { epoch, .. }) = membership.changes.recv().await else {
        unreachable!("it is the only member")
    };
    for n in 0..COMMITS {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &["x"]));
        transaction.writes.push(add(&key("t", "n"), 1, transaction.id));
        transaction.fence = Some(Fence { group: name.clone(), at, epoch });
        transaction.advance = Some(Advance { from: Offset(n), to: Offset(n + 1) });
        f.log.commit(Arc::new(transaction)).await.expect("committed");
    }
    f.log.close().await.expect("closed");
    for (table, updates) in [("positions", COMMITS), ("rows", COMMITS - 1)] {
        let of =
            format!("FROM pg_stat_user_tables WHERE schemaname = '{}' AND relname = '{table}'", nodes.name());
        nodes.until(&format!("SELECT n_tup_upd >= {updates} {of}")).await;
        let stay = format!("SELECT n_tup_hot_upd >= 0.95 * n_tup_upd {of}");
        assert!(nodes.says(&stay).await, "updates of {table} leave their page");
    }
}

/// What each commit changes is found at once, however many versions of it an open transaction keeps, and whatever the
/// server believes of the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_open_transaction_does_not_make_the_ends_of_lanes_and_partitions_hard_to_find() {
    const COMMITS: u64 = 800;
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    nodes
        .stranger
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM events")
        .await
        .expect("held");
    for n in 0..COMMITS {
        f.append(at, &["x"]).await;
        if n == COMMITS / 2 {
            nodes.analyze(&["tails", "lanes"]).await;
        }
    }
    f.log.close().await.expect("closed");
    for index in ["tails_pkey", "lanes_pkey"] {
        let of = format!(
            "FROM pg_stat_user_indexes WHERE schemaname = '{}' AND indexrelname = '{index}'",
            nodes.name()
        );
        nodes.until(&format!("SELECT idx_scan >= {COMMITS} {of}")).await;
        let few = format!("SELECT idx_tup_read < {} {of}", 8 * COMMITS);
        assert!(nodes.says(&few).await, "{index}: what was there before is gone through again and again");
    }
    nodes.let_go().await;
}
