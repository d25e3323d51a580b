//! Reads that are no longer so.

use super::{Fixture, add, events, key, put, range, saw};
use crate::{CommitError, Rejection};
use bytes::Bytes;
use std::sync::Arc;
use weir_schema::{
    CatalogVersion, Digest, DigestBuilder, Millis, Offset, Op, Read, StateKey, StateRange, Transaction,
    TxnId, Versioned, Write,
};

/// What a conflict reports.
type Stale = (Vec<(StateKey, Option<Versioned>)>, Vec<StateRange>, Option<CatalogVersion>);

async fn stale(f: &Fixture, transaction: Transaction) -> Stale {
    match f.commit(transaction).await {
        Err(CommitError::Conflict { now, ranges, catalog }) => (now, ranges, catalog),
        other => unreachable!("no conflict: {other:?}"),
    }
}

fn reading(f: &Fixture, reads: Vec<Read>) -> Transaction {
    let mut transaction = f.transaction();
    transaction.reads = reads;
    transaction.writes.push(put(&key("t", "written"), "1", transaction.id));
    transaction
}

/// A read with another stamp than the row's is refused, and the row's value and stamp are returned.
pub async fn a_stale_row_is_refused_with_what_it_is_now(f: &Fixture) {
    let row = key("t", "k");
    let old = f.put(&row, "1").await;
    f.done(reading(f, vec![saw(&row, Some(old))])).await;
    let new = f.put(&row, "2").await;
    let (now, ranges, catalog) = stale(f, reading(f, vec![saw(&row, Some(old))])).await;
    let value = Versioned { value: "2".into(), stamp: new, expires: None };
    assert_eq!((now, ranges, catalog), (vec![(row.clone(), Some(value))], vec![], None));
    f.done(reading(f, vec![saw(&row, Some(new))])).await;
}

/// A read of an absent row is refused once the row exists.
pub async fn an_absent_row_that_came_to_be_is_stale(f: &Fixture) {
    let row = key("t", "k");
    f.done(reading(f, vec![saw(&row, None)])).await;
    let stamp = f.put(&row, "1").await;
    let (now, ..) = stale(f, reading(f, vec![saw(&row, None)])).await;
    assert_eq!(now[0].1.as_ref().map(|v| v.stamp), Some(stamp));
}

/// A read of a row is refused once it is deleted; written again it is another.
pub async fn a_row_that_went_is_stale(f: &Fixture) {
    let row = key("t", "k");
    let old = f.put(&row, "1").await;
    let mut delete = f.transaction();
    delete.writes.push(Write { key: row.clone(), op: Op::Delete, stamp: delete.id });
    f.done(delete).await;
    assert_eq!(stale(f, reading(f, vec![saw(&row, Some(old))])).await.0, [(row.clone(), None)]);
    let new = f.put(&row, "1").await;
    assert_ne!(old, new);
    assert_eq!(stale(f, reading(f, vec![saw(&row, Some(old))])).await.0.len(), 1);
}

/// Expired rows are returned with their stamps, and it is the stamps that are compared.
pub async fn an_expired_row_counts_with_its_stamp(f: &Fixture) {
    let row = key("t", "k");
    let mut short = f.transaction();
    let op = Op::Put { value: "1".into(), expires: Some(Millis(super::START.0 + 10)) };
    short.writes.push(Write { key: row.clone(), op, stamp: short.id });
    let stamp = short.id;
    f.done(short).await;
    f.clock.set(Millis(super::START.0 + 20));
    let seen = f.row(&row).await.expect("it has not been swept");
    assert_eq!((seen.stamp, seen.expires), (stamp, Some(Millis(super::START.0 + 10))));
    f.done(reading(f, vec![saw(&row, Some(stamp))])).await;
    assert_eq!(stale(f, reading(f, vec![saw(&row, None)])).await.0.len(), 1);
}

async fn digest(f: &Fixture, range: &StateRange) -> Digest {
    let page = f.log.scan(range, 1000).await.expect("scanned");
    let mut digest = DigestBuilder::default();
    page.rows.iter().for_each(|(key, row)| digest.row(key, row.stamp));
    digest.finish()
}

/// A range is stale when a row of it is written, comes or goes; never for a row outside it.
pub async fn a_range_is_stale_when_a_row_of_it_changes(f: &Fixture) {
    let (b, d) = (key("t", "b"), key("t", "d"));
    f.put(&b, "1").await;
    let (bounded, open) = (range("t", "b", Some("d")), range("t", "b", None));
    for (changed, in_bounded, in_open) in [
        (key("t", "a"), false, false),
        (key("u", "b"), false, false),
        (d, false, true),
        (key("t", "c"), true, true),
        (b, true, true),
    ] {
        let seen = [digest(f, &bounded).await, digest(f, &open).await];
        f.put(&changed, "2").await;
        for (range, seen, expected) in [(&bounded, seen[0], in_bounded), (&open, seen[1], in_open)] {
            // writes outside both ranges, so that it does not change what the next round reads
            let mut transaction = f.transaction();
            transaction.reads.push(Read::Range(range.clone(), seen));
            transaction.writes.push(put(&key("elsewhere", "k"), "1", transaction.id));
            let outcome = f.commit(transaction).await;
            match outcome {
                Ok(_) => assert!(!expected, "{changed:?} is in {range:?}"),
                Err(CommitError::Conflict { ranges, .. }) => {
                    assert!(expected, "{changed:?} is not in {range:?}");
                    assert_eq!(ranges, std::slice::from_ref(range));
                }
                Err(other) => unreachable!("{other}"),
            }
        }
    }
}

/// A conflict names every stale row and range, and none that is current.
pub async fn every_stale_read_is_reported(f: &Fixture) {
    let rows = ["a", "b", "c", "d"].map(|k| key("t", k));
    let mut stamps = Vec::new();
    for row in &rows {
        stamps.push(f.put(row, "1").await);
    }
    let (whole, part) = (range("t", "", None), range("t", "c", Some("d")));
    let digests = [digest(f, &whole).await, digest(f, &part).await];
    for row in &rows[..2] {
        f.put(row, "2").await;
    }
    let mut reads: Vec<_> = rows.iter().zip(&stamps).map(|(row, stamp)| saw(row, Some(*stamp))).collect();
    reads.push(Read::Range(whole.clone(), digests[0]));
    reads.push(Read::Range(part, digests[1]));
    let (now, ranges, _) = stale(f, reading(f, reads)).await;
    assert_eq!(now.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), rows[..2]);
    assert!(now.iter().all(|(_, row)| row.as_ref().is_some_and(|r| &*r.value == b"2")));
    assert_eq!(ranges, [whole]);
}

/// Of transactions enqueued together that have read the same version, exactly one commits; the others hear what it
/// wrote, and a bystander is not hurt.
pub async fn one_of_many_that_read_the_same_row_wins(f: &Fixture) {
    let (at, row) = (f.partition().await, key("t", "k"));
    let stamp = f.put(&row, "0").await;
    let mut commits = Vec::new();
    for n in 1..=20 {
        let mut transaction = f.transaction();
        transaction.reads.push(saw(&row, Some(stamp)));
        transaction.writes.push(put(&row, &n.to_string(), transaction.id));
        let id = transaction.id;
        commits.push((id, f.log.commit(Arc::new(transaction))));
    }
    f.append(at, &["bystander"]).await;
    let (mut winners, mut seen) = (Vec::new(), Vec::new());
    for (id, commit) in commits {
        match commit.await {
            Ok(_) => winners.push(id),
            Err(CommitError::Conflict { now, .. }) => seen.extend(now[0].1.as_ref().map(|v| v.stamp)),
            Err(other) => unreachable!("{other}"),
        }
    }
    assert_eq!((winners.len(), seen.len()), (1, 19));
    assert!(seen.iter().all(|s| *s == winners[0]));
}

/// A write of `_weir_catalog` raises the catalog's version; what names another one is refused, and told.
pub async fn a_stale_catalog_is_refused(f: &Fixture) {
    let old = f.catalog();
    let mut blind = f.transaction();
    blind.writes.push(put(&key("t", "k"), "1", blind.id));
    f.put(&key("_weir_catalog", "live"), "1").await;
    let new = CatalogVersion(old.0 + 1);
    assert_eq!(f.catalog(), new);
    let (now, ranges, catalog) = stale(f, blind).await;
    assert_eq!((now, ranges, catalog), (vec![], vec![], Some(new)));
    let mut ahead = f.transaction();
    ahead.catalog = CatalogVersion(new.0 + 1);
    assert_eq!(stale(f, ahead).await.2, Some(new));
    f.put(&key("t", "k"), "1").await;
    assert_eq!(f.catalog(), new);
}

/// The ledger of ids, the fence, `advance.from`, catalog and reads, what can never succeed: in this order.
pub async fn checks_come_in_the_documented_order(f: &Fixture) {
    let (at, row) = (f.partition().await, key("t", "text"));
    f.put(&row, "\"no number\"").await;
    let mut owner = super::ownership::Owner::join(f, "events/f", at).await;
    // wrong in every respect
    let mut wrong = f.transaction();
    (wrong.fence, wrong.advance) = owner.advance(7);
    let fence = wrong.fence.as_mut().expect("it has one");
    fence.epoch.0 += 1;
    wrong.advance = wrong.advance.map(|a| weir_schema::Advance { from: Offset(3), ..a });
    wrong.catalog = CatalogVersion(wrong.catalog.0 + 1);
    wrong.reads.push(saw(&row, None));
    wrong.writes.push(add(&row, 1, wrong.id));
    let again = |wrong: &Transaction| Transaction { id: f.id(), ..wrong.clone() };
    let outcome = f.commit(again(&wrong)).await;
    assert!(matches!(outcome, Err(CommitError::Fenced(e)) if e == owner.epoch), "{outcome:?}");
    wrong.fence = owner.advance(7).0;
    let outcome = f.commit(again(&wrong)).await;
    assert!(matches!(outcome, Err(CommitError::Moved(Offset(0)))), "{outcome:?}");
    wrong.advance = owner.advance(7).1;
    let outcome = f.commit(again(&wrong)).await;
    let both = |now: &Vec<_>, catalog: &Option<_>| now.len() == 1 && catalog.is_some();
    assert!(
        matches!(&outcome, Err(CommitError::Conflict { now, catalog, .. }) if both(now, catalog)),
        "{outcome:?}"
    );
    (wrong.catalog, wrong.reads) = (f.catalog(), vec![]);
    let outcome = f.commit(again(&wrong)).await;
    assert!(matches!(outcome, Err(CommitError::Rejected(Rejection::NotACounter(_)))), "{outcome:?}");
    wrong.writes.clear();
    wrong.id = f.id();
    f.done(wrong.clone()).await;
    // its `from` is wrong by now, but its id is known
    f.done(wrong).await;
}

/// A transaction that changes nothing is checked like any other, and sees every commit that has resolved.
pub async fn a_read_only_transaction_is_checked_and_writes_nothing(f: &Fixture) {
    let (at, row, all) = (f.partition().await, key("t", "k"), range("t", "", None));
    let mut seen = None;
    for n in 0..20 {
        let digest = digest(f, &all).await;
        let mut check = f.transaction();
        check.reads = vec![saw(&row, seen), Read::Range(all.clone(), digest)];
        f.done(check.clone()).await;
        check.id = f.id();
        seen = Some(f.put(&row, &n.to_string()).await);
        let (now, ranges, _) = stale(f, check).await;
        assert_eq!((now.len(), ranges.len()), (1, 1));
    }
    let mut owner = super::ownership::Owner::join(f, "events/f", at).await;
    let mut fenced = f.transaction();
    fenced.fence = owner.advance(0).0;
    f.done(fenced.clone()).await;
    fenced.id = TxnId(fenced.id.0 + (1 << 30));
    fenced.fence.as_mut().expect("it has one").epoch.0 += 1;
    assert!(matches!(f.commit(fenced).await, Err(CommitError::Fenced(_))));
    let mut empty = f.transaction();
    empty.appends.push(events(at, &[]));
    assert!(f.done(empty).await.bases.is_empty());
    assert_eq!(f.values(at, 0).await, []);
    assert_eq!(f.row(&row).await.map(|r| r.value), Some(Bytes::from("19")));
}
