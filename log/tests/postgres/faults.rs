//! Commits whose connection is lost.

use super::nodes::{Nodes, PATIENCE, refusal};
use super::proxy::Proxy;
use std::sync::Arc;
use std::time::Duration;
use weir_log::conformance::{Fixture, add, events, key, offsets, put};
use weir_log::{CommitError, ConnString, PostgresOptions};
use weir_schema::Transaction;

/// A log behind a proxy, with a topic and a commit done.
async fn behind(nodes: &Nodes, patience: Duration) -> (Fixture, Proxy, weir_schema::At) {
    behind_with(nodes, PostgresOptions { patience, ..nodes.options() }).await
}

async fn behind_with(nodes: &Nodes, mut options: PostgresOptions) -> (Fixture, Proxy, weir_schema::At) {
    let proxy = Proxy::new(&nodes.conn()).await;
    options.conn = ConnString::new(proxy.conn(nodes));
    let f = nodes.with(options).await;
    let at = f.partition().await;
    f.append(at, &["first"]).await;
    (f, proxy, at)
}

fn effects(f: &Fixture, at: weir_schema::At) -> Arc<Transaction> {
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["a", "b"]));
    transaction.writes.push(add(&key("t", "n"), 3, transaction.id));
    Arc::new(transaction)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_tells_what_it_came_to() {
    let nodes = Nodes::new().await;
    let (f, proxy, at) = behind(&nodes, Duration::from_secs(20)).await;
    for round in 0..10_i64 {
        proxy.swallow_next_answer();
        let receipt = f.log.commit(effects(&f, at)).await.expect("it is applied, once");
        let first = 1 + 2 * u64::try_from(round).expect("positive");
        assert_eq!(offsets(&receipt), [first, first + 1]);
        assert_eq!(receipt.sums[0].1, 3 * (round + 1));
    }
    assert_eq!(f.values(at, 0).await.len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_stays_unknown_is_ambiguous_and_sent_again_tells() {
    let nodes = Nodes::new().await;
    let (f, proxy, at) = behind(&nodes, Duration::ZERO).await;
    let transaction = effects(&f, at);
    proxy.swallow_next_answer_and_close();
    let outcome = f.log.commit(transaction.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{outcome:?}");
    // others cannot be committed before it is known, and are told so
    let other = f.log.commit(effects(&f, at)).await;
    assert!(matches!(other, Err(CommitError::Unavailable(_))), "{other:?}");
    let outcome = f.log.commit(transaction.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{outcome:?}");
    proxy.open();
    let receipt = f.log.commit(transaction).await.expect("it was applied");
    assert_eq!((offsets(&receipt), receipt.sums[0].1), (vec![1, 2], 3));
    assert_eq!(f.values(at, 0).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_backend_is_ended_while_it_waits_is_made_again() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    nodes.hold_a_row(&f).await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["a"]));
    transaction.writes.push(put(&key("u", "held"), "2", transaction.id));
    let commit = f.log.commit(Arc::new(transaction));
    nodes.until_waiting(1).await;
    let end = format!("SELECT pg_terminate_backend(pid) FROM ({}) w", nodes.waiting());
    nodes.stranger.batch_execute(&end).await.expect("ended");
    nodes.let_go().await;
    assert_eq!(offsets(&commit.await.expect("it is applied")), [0]);
    assert_eq!(f.values(at, 0).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_past_the_servers_limit_is_not_applied_and_says_why() {
    let nodes = Nodes::new().await;
    let mut options = nodes.options();
    options.conn = ConnString::new(format!("{} options='-c statement_timeout=300'", nodes.conn()));
    let f = nodes.with(options).await;
    nodes.hold_a_row(&f).await;
    let mut transaction = f.transaction();
    transaction.writes.push(put(&key("u", "held"), "2", transaction.id));
    let transaction = Arc::new(transaction);
    match f.log.commit(transaction.clone()).await {
        Err(CommitError::Unavailable(why)) => assert!(why.to_string().contains("statement_timeout"), "{why}"),
        other => unreachable!("{other:?}"),
    }
    nodes.let_go().await;
    f.log.commit(transaction).await.expect("it was not applied");
    assert_eq!(f.value(&key("u", "held")).await.as_deref(), Some("2"));
}

/// What hangs is not told apart from what is slow, so what was asked may still be done: here it is, after it was given up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_silent_server_leaves_open_is_known_when_it_answers_again() {
    let nodes = Nodes::new().await;
    let (silence, patience) = (Duration::from_millis(500), Duration::ZERO);
    let (f, proxy, at) = behind_with(&nodes, PostgresOptions { silence, patience, ..nodes.options() }).await;
    // what it needs to know for this is known
    f.log.commit(effects(&f, at)).await.expect("committed");
    proxy.stall();
    let transaction = effects(&f, at);
    let outcome = f.log.commit(transaction.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{outcome:?}");
    // nobody waits without an end
    let other = f.log.commit(effects(&f, at)).await;
    assert!(matches!(other, Err(CommitError::Unavailable(_))), "{other:?}");
    let listed = f.log.topics().await.expect_err("the server is silent");
    assert!(listed.is_retryable() && listed.to_string().contains("has not answered for"), "{listed}");
    proxy.go_on();
    let known = async {
        loop {
            match f.log.commit(transaction.clone()).await {
                Ok(receipt) => break receipt,
                Err(CommitError::Ambiguous(_) | CommitError::Unavailable(_)) => {}
                Err(other) => unreachable!("{other}"),
            }
        }
    };
    let receipt = tokio::time::timeout(PATIENCE, known).await.expect("the server answers again");
    assert_eq!((offsets(&receipt), receipt.sums[0].1), (vec![3, 4], 6));
    assert_eq!(offsets(&f.append(at, &["last"]).await), [5]);
    assert_eq!(f.values(at, 0).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_not_waited_for_at_the_start() {
    let nodes = Nodes::new().await;
    let proxy = Proxy::new(&nodes.conn()).await;
    proxy.stall();
    let mut options = nodes.options();
    options.conn = ConnString::new(format!("{} connect_timeout=1", proxy.conn(&nodes)));
    let said = refusal(options, None).await;
    assert!(said.contains("the server has not answered for 1s"), "{said}");
}

/// Readers go on when every connection has been ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_connections_are_opened_again() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    for round in 0..20 {
        nodes.end_all().await;
        assert_eq!(offsets(&f.append(at, &["x"]).await), [round]);
        assert_eq!(f.values(at, round).await.len(), 1);
        assert_eq!(f.log.topics().await.expect("listed").len(), 1);
    }
}
