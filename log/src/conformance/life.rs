//! News, and the end.

use super::ownership::Owner;
use super::{Fixture, START, events, group, key, range, spec};
use crate::{CommitError, LogError, ReadLimit};
use std::sync::Arc;
use weir_schema::Offset;

/// Watchers are woken by new events, catalog versions and control entries, and by nothing else.
pub async fn watchers_hear_of_tails_catalog_and_control(f: &Fixture) {
    let at = f.partition().await;
    let mut news = f.log.watch();
    let before = news.borrow_and_update().clone();
    f.append(at, &["a", "b"]).await;
    let hint = news.wait_for(|h| h.tails.get(&at) == Some(&Offset(2))).await.expect("open").clone();
    assert_eq!((hint.catalog, hint.control), (before.catalog, before.control));
    f.put(&key("_weir_control_seek", "k"), "1").await;
    let hint = news.wait_for(|h| h.control > before.control).await.expect("open").clone();
    assert_eq!(hint.catalog, before.catalog);
    f.put(&key("_weir_catalog", "k"), "1").await;
    news.wait_for(|h| h.catalog > before.catalog).await.expect("open");
    let last = news.borrow_and_update().clone();
    f.put(&key("_weir_parked", "k"), "1").await;
    f.put(&key("t", "k"), "1").await;
    assert_eq!(*f.log.watch().borrow(), last);
    drop(Owner::join(f, "events/f", at).await);
    f.log.forget(&group("events/f")).await.expect("forgotten");
    f.put(&key("_weir_control_seek", "k"), "2").await;
    let hint = news.wait_for(|h| h.control > last.control).await.expect("open").clone();
    assert_eq!(hint.control, last.control + 1, "the entry, and nothing before it");
}

/// `close` returns when everything enqueued before it is committed.
pub async fn closing_commits_what_was_enqueued(f: &Fixture) {
    let at = f.partition().await;
    let mut commits = Vec::new();
    for _ in 0..100 {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &["x"]));
        commits.push(f.log.commit(Arc::new(transaction)));
    }
    f.log.close().await.expect("closed");
    for (n, commit) in (0..).zip(commits) {
        let receipt = commit.await.expect("it was enqueued before the end");
        assert_eq!(super::offsets(&receipt), [n]);
    }
}

/// After `close` commits are `Unavailable` and everything else is `Closed`.
pub async fn a_closed_log_says_so(f: &Fixture) {
    let at = f.partition().await;
    f.log.close().await.expect("closed");
    let mut append = f.transaction();
    append.appends.push(events(at, &["x"]));
    for transaction in [append, f.transaction()] {
        assert!(matches!(f.commit(transaction).await, Err(CommitError::Unavailable(_))));
    }
    let (log, name) = (&f.log, group("events/f"));
    let outcomes = [
        log.create_topic(&spec("other", 1)).await.map(drop),
        log.topics().await.map(drop),
        log.read(at, Offset(0), ReadLimit::default()).await.map(drop),
        log.offset_at(at, START).await.map(drop),
        log.get(&[key("t", "a")]).await.map(drop),
        log.get(&[key("t", "a"), key("t", "b")]).await.map(drop),
        log.scan(&range("t", "", None), 1).await.map(drop),
        log.join(&name, &[]).await.map(drop),
        log.positions(None).await.map(drop),
        log.forget(&name).await,
        log.trim(at, Offset(0)).await.map(drop),
        log.close().await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(LogError::Closed)), "{outcome:?}");
    }
}

/// `close` ends the changes of every membership; what it held is not released by that.
pub async fn closing_ends_memberships(f: &Fixture) {
    let at = f.partition().await;
    let mut owner = Owner::join(f, "events/f", at).await;
    f.log.close().await.expect("closed");
    assert_eq!(owner.membership.changes.recv().await, None);
    let outcome = owner.membership.release(at, owner.epoch).await;
    assert!(matches!(outcome, Err(LogError::Closed)), "{outcome:?}");
}
