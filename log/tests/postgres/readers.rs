//! Readers, while several processes append.

use super::nodes::Nodes;
use std::sync::Arc;
use weir_log::conformance::events;
use weir_log::{Hint, ReadLimit};
use weir_schema::Offset;

const NODES: u64 = 3;
const EACH: u64 = 60;

/// Whoever follows a partition meets every offset in its turn, and hears of what others append; also while a stranger
/// keeps a transaction open all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_skips_what_other_processes_append() {
    let nodes = Nodes::new().await;
    let first = nodes.node().await;
    let at = first.partition().await;
    let open = "BEGIN; SELECT txid_current(); SELECT count(*) FROM events";
    nodes.stranger.batch_execute(open).await.expect("it stays open");
    let mut tasks = tokio::task::JoinSet::new();
    let reader = nodes.node().await;
    tasks.spawn(async move {
        let (mut next, mut news) = (0, reader.log.watch());
        while next < NODES * EACH {
            let records = reader.log.read(at, Offset(next), ReadLimit::default()).await.expect("read");
            for record in records.iter() {
                assert_eq!(record.meta.offset, Offset(next), "a reader met a hole");
                next += 1;
            }
            let more = |hint: &Hint| hint.tails.get(&at).is_some_and(|tail| tail.0 > next);
            if next < NODES * EACH {
                news.wait_for(more).await.expect("the log is open");
            }
        }
    });
    for _ in 0..NODES {
        let f = nodes.node().await;
        tasks.spawn(async move {
            let mut commits = Vec::new();
            for _ in 0..EACH {
                let mut transaction = f.transaction();
                transaction.appends.push(events(at, &["x"]));
                commits.push(f.log.commit(Arc::new(transaction)));
                if commits.len() == 5 {
                    for commit in commits.drain(..) {
                        commit.await.expect("committed");
                    }
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("neither the reader nor a writer failed");
    }
    nodes.let_go().await;
}

/// A process hears of what another one changes about the catalog and by control entries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_control_entries_of_others_are_heard_of() {
    let nodes = Nodes::new().await;
    let (one, two) = (nodes.node().await, nodes.node().await);
    let mut news = two.log.watch();
    let before = news.borrow_and_update().clone();
    one.put(&weir_log::conformance::key("_weir_control_seek", "k"), "1").await;
    news.wait_for(|hint| hint.control > before.control).await.expect("the log is open");
    one.put(&weir_log::conformance::key("_weir_catalog", "k"), "1").await;
    news.wait_for(|hint| hint.catalog > before.catalog).await.expect("the log is open");
}
