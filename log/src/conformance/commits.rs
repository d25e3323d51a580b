//! Commits: whole, in order, once.

use super::{Fixture, add, events, key, offsets, put, saw, spec};
use crate::{CommitError, ReadLimit, Rejection};
use bytes::Bytes;
use std::sync::Arc;
use tokio::task::JoinSet;
use weir_schema::{At, Offset, Op, TopicId, Write};

/// The first event of a partition has offset 0, each next one a higher one, in append order; where the backend says so,
/// 1 more.
pub async fn offsets_rise_from_zero_in_append_order(f: &Fixture) {
    let topic = f.topic("orders", 2).await;
    let at: Vec<_> = topic.partitions().collect();
    assert_eq!(offsets(&f.append(at[0], &["a", "b"]).await), [0, 1]);
    assert_eq!(offsets(&f.append(at[1], &["c"]).await), [0]);
    let mut both = f.transaction();
    both.appends.push(events(at[0], &["d"]));
    both.appends.push(events(at[1], &["e", "f"]));
    both.appends.push(events(at[0], &["g"]));
    let receipt = f.done(both).await;
    let got: Vec<_> = receipt.offsets().map(|(at, offset)| (at, offset.0)).collect();
    assert_eq!(got.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [at[0], at[1], at[1], at[0]]);
    let [d, e, f_, g] = [0, 1, 2, 3].map(|index: usize| got[index].1);
    assert!(1 < d && d < g && 0 < e && e < f_, "{got:?}");
    if f.log.capabilities().dense {
        assert_eq!([d, e, f_, g], [2, 1, 2, 3]);
    }
    let all = [(0, "a"), (1, "b"), (d, "d"), (g, "g")].map(|(offset, value)| (offset, value.to_owned()));
    assert_eq!(f.values(at[0], 0).await, all);
}

/// A reader that follows a partition never skips an offset, however many write to it.
pub async fn offsets_are_visible_in_commit_order(f: &Fixture) {
    const WRITERS: u64 = 8;
    const EACH: u64 = 40;
    let at = f.partition().await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let log = f.log.clone();
        tasks.spawn(async move {
            let (mut next, mut news) = (0, log.watch());
            while next < WRITERS * EACH {
                let records = log.read(at, Offset(next), ReadLimit::default()).await.expect("read");
                for record in records.iter() {
                    assert_eq!(record.meta.offset, Offset(next), "a reader met a hole");
                    next += 1;
                }
                let seen = |hint: &crate::Hint| hint.tails.get(&at).is_some_and(|tail| tail.0 > next);
                if next < WRITERS * EACH {
                    news.wait_for(seen).await.expect("the log is open");
                }
            }
        });
    }
    for _ in 0..WRITERS {
        let log = f.log.clone();
        let transactions: Vec<_> = (0..EACH).map(|_| f.transaction()).collect();
        tasks.spawn(async move {
            for mut transaction in transactions {
                transaction.appends.push(events(at, &["x"]));
                log.commit(Arc::new(transaction)).await.expect("committed");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("neither reader nor writer failed");
    }
}

/// Appends to several topics, rows, reserved rows and the position become visible with one another.
pub async fn a_transaction_is_visible_as_a_whole(f: &Fixture) {
    let (a, b) = (f.topic("a", 1).await, f.topic("b", 2).await);
    let (a, b) = (a.partitions().next().expect("one"), b.partitions().nth(1).expect("two"));
    let mut owner = super::ownership::Owner::join(f, "a/f", a).await;
    let mut all = f.transaction();
    (all.fence, all.advance) = owner.advance(5);
    all.appends.push(events(a, &["1"]));
    all.appends.push(events(b, &["2", "3"]));
    for row in [key("stock", "k"), key("_weir_parked", "k")] {
        all.writes.push(put(&row, "\"v\"", all.id));
    }
    all.writes.push(add(&key("counters", "n"), 4, all.id));
    f.done(all).await;
    assert_eq!((f.values(a, 0).await.len(), f.values(b, 0).await.len()), (1, 2));
    for (row, value) in
        [(key("stock", "k"), "\"v\""), (key("_weir_parked", "k"), "\"v\""), (key("counters", "n"), "4")]
    {
        assert_eq!(f.value(&row).await.as_deref(), Some(value));
    }
    assert_eq!(owner.stored(f).await.position, Offset(5));
}

/// Nothing of a transaction that was refused is visible: no event, no row, no position, no version.
pub async fn a_refused_transaction_leaves_nothing(f: &Fixture) {
    let at = f.partition().await;
    let mut owner = super::ownership::Owner::join(f, "events/f", at).await;
    let text = key("t", "text");
    f.put(&text, "\"no number\"").await;
    let before = f.log.watch().borrow().clone();
    let mut all = f.transaction();
    (all.fence, all.advance) = owner.advance(5);
    all.appends.push(events(at, &["1"]));
    let rows = [key("t", "new"), key("_weir_catalog", "c"), key("_weir_control", "c")];
    all.writes.extend(rows.iter().map(|row| put(row, "1", all.id)));
    all.writes.push(add(&text, 1, all.id));
    let refused = f.commit(all).await.expect_err("a text is no counter");
    assert!(matches!(refused, CommitError::Rejected(Rejection::NotACounter(k)) if k == text));
    for row in rows {
        assert_eq!(f.row(&row).await, None);
    }
    assert_eq!(f.values(at, 0).await, []);
    assert_eq!(owner.stored(f).await.position, Offset(0));
    assert_eq!(*f.log.watch().borrow(), before);
    assert_eq!(offsets(&f.append(at, &["next"]).await), [0]);
}

/// Calls of one thread commit in call order, whether or not it waits in between.
pub async fn calls_of_one_thread_commit_in_call_order(f: &Fixture) {
    let at = f.partition().await;
    let mut commits = Vec::new();
    for n in 0..300_u32 {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &[&n.to_string()]));
        commits.push(f.log.commit(Arc::new(transaction)));
    }
    for (n, commit) in (0..).zip(commits) {
        assert_eq!(offsets(&commit.await.expect("committed")), [n]);
    }
    let expected: Vec<_> = (0..300).map(|n| (n, n.to_string())).collect();
    assert_eq!(f.values(at, 0).await, expected);
}

/// Of several rows that cannot be added to the first is named, whatever a log has learned of the others.
pub async fn the_first_row_that_is_no_counter_is_named(f: &Fixture) {
    let (first, second, seen) = (key("t", "first"), key("t", "second"), key("t", "seen"));
    f.put(&first, "\"no number\"").await;
    f.put(&second, "\"none either\"").await;
    // the one behind it would be stale, were this one applied
    let mut before = f.transaction();
    before.writes.extend([put(&seen, "1", before.id), add(&second, 1, before.id)]);
    let mut both = f.transaction();
    both.reads.push(saw(&seen, None));
    both.writes.extend([add(&first, 1, both.id), add(&second, 1, both.id)]);
    let commits = [before, both].map(|transaction| f.log.commit(Arc::new(transaction)));
    for (commit, row) in commits.into_iter().zip([second, first]) {
        let outcome = commit.await;
        let is_named =
            matches!(&outcome, Err(CommitError::Rejected(Rejection::NotACounter(named))) if *named == row);
        assert!(is_named, "{row:?}: {outcome:?}");
    }
}

/// The same id again applies nothing and returns the first receipt, sums and all; also right behind the first.
pub async fn a_transaction_sent_again_applies_once(f: &Fixture) {
    let (at, row) = (f.partition().await, key("t", "n"));
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["a", "b"]));
    transaction.writes.push(add(&row, 3, transaction.id));
    transaction.reads.push(saw(&row, None));
    let transaction = Arc::new(transaction);
    let both = [f.log.commit(transaction.clone()), f.log.commit(transaction.clone())];
    let mut receipts = Vec::new();
    for commit in both {
        receipts.push(commit.await.expect("applied, or known"));
    }
    f.append(at, &["c"]).await;
    receipts.push(f.log.commit(transaction).await.expect("known"));
    assert_eq!(offsets(&receipts[0]), [0, 1]);
    assert_eq!(receipts[0].sums.to_vec(), [(row.clone(), 3)]);
    assert!(receipts.iter().all(|r| *r == receipts[0]), "{receipts:?}");
    assert_eq!(f.values(at, 0).await.len(), 3);
    assert_eq!(f.value(&row).await.as_deref(), Some("3"));
}

/// Of transactions enqueued together, those that are refused do not hurt the others.
pub async fn a_batch_outlives_its_refused_members(f: &Fixture) {
    let (at, text) = (f.partition().await, key("t", "text"));
    f.put(&text, "\"no number\"").await;
    let mut commits = Vec::new();
    for n in 0..60_u32 {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &[&n.to_string()]));
        match n % 4 {
            1 => transaction.writes.push(add(&text, 1, transaction.id)),
            2 => transaction.reads.push(saw(&text, None)),
            3 => transaction.appends.push(events(At { topic: TopicId(999), partition: 0 }, &["x"])),
            _ => {}
        }
        commits.push(f.log.commit(Arc::new(transaction)));
    }
    let mut expected = Vec::new();
    for (n, commit) in commits.into_iter().enumerate() {
        let outcome = commit.await;
        // where it says: what is refused between them may leave a gap
        let offset = outcome.as_ref().ok().and_then(|receipt| offsets(receipt).first().copied());
        expected.extend(offset.map(|offset| (offset, n.to_string())));
        let as_expected = match n % 4 {
            1 => matches!(outcome, Err(CommitError::Rejected(Rejection::NotACounter(_)))),
            2 => matches!(outcome, Err(CommitError::Conflict { .. })),
            3 => matches!(outcome, Err(CommitError::Rejected(Rejection::NoTopic { .. }))),
            _ => outcome.is_ok(),
        };
        assert!(as_expected, "{n}: {outcome:?}");
    }
    assert_eq!(expected.len(), 15);
    assert!(!f.log.capabilities().dense || expected.iter().map(|(offset, _)| *offset).eq(0..15));
    assert_eq!(f.values(at, 0).await, expected);
}

/// Keys, values, events past the limits are `TooLarge`, with what, size and limit.
pub async fn what_is_too_large_is_refused(f: &Fixture) {
    let (at, limits) = (f.partition().await, f.log.capabilities().limits);
    let write = |key_size: usize, value_size: usize| {
        let mut row = key("t", "");
        row.key = Bytes::from(vec![b'k'; key_size]);
        let mut transaction = f.transaction();
        let op = Op::Put { value: Bytes::from(vec![b'1'; value_size]), expires: None };
        transaction.writes.push(Write { key: row, op, stamp: transaction.id });
        transaction
    };
    let append = |key_size: usize, value_size: usize| {
        let mut builder = weir_schema::RecordsBuilder::default();
        builder.push(at, Some(&vec![1; key_size]), Some(&vec![1; value_size]), []);
        let mut transaction = f.transaction();
        transaction.appends.push(builder.build());
        transaction
    };
    let cases = [
        (write(limits.state_key + 1, 1), limits.state_key),
        (write(1, limits.state_value + 1), limits.state_value),
        (append(limits.event_key + 1, 1), limits.event_key),
        (append(0, limits.event + 1), limits.event),
    ];
    for (transaction, expected) in cases {
        let error = f.commit(transaction).await.expect_err("it is too large");
        let (size, limit) = match error {
            CommitError::Rejected(Rejection::TooLarge { size, limit, .. }) => (size, limit),
            other => unreachable!("refused for another reason: {other}"),
        };
        assert_eq!((size, limit), (expected + 1, expected));
    }
    f.done(write(limits.state_key, 1)).await;
    f.done(append(limits.event_key, 1)).await;
}

/// Neither topics nor partitions come to be by an append.
pub async fn an_unknown_topic_is_refused(f: &Fixture) {
    let known = f.log.create_topic(&spec("orders", 2)).await.expect("created").id;
    for at in [At { topic: known, partition: 2 }, At { topic: TopicId(known.0 + 1), partition: 0 }] {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &["x"]));
        let error = f.commit(transaction).await.expect_err("there is none");
        let (At { topic, partition }, expected) = (at, "the refusal names it");
        assert!(
            matches!(error, CommitError::Rejected(r) if r == Rejection::NoTopic { topic, partition }),
            "{expected}"
        );
    }
}

/// Two writes of one row in a transaction are malformed.
pub async fn a_row_is_written_once_in_a_transaction(f: &Fixture) {
    let row = key("t", "k");
    let mut transaction = f.transaction();
    transaction.writes = vec![put(&row, "1", transaction.id), add(&row, 1, transaction.id)];
    let error = f.commit(transaction).await.expect_err("it is written twice");
    assert!(matches!(error, CommitError::Rejected(Rejection::Malformed(_))), "{error:?}");
    assert_eq!(f.row(&row).await, None);
}
