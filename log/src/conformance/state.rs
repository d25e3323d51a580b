//! Rows of state.

use super::{Fixture, add, key, put, range};
use crate::{CommitError, Rejection};
use bytes::Bytes;
use std::sync::Arc;
use weir_schema::{Millis, Op, StateKey, Write};

const LARGEST: i64 = (1 << 53) - 1;

async fn added(f: &Fixture, row: &StateKey, by: i64) -> Result<i64, CommitError> {
    let mut transaction = f.transaction();
    transaction.writes.push(add(row, by, transaction.id));
    f.commit(transaction).await.map(|receipt| receipt.sums[0].1)
}

/// Adds are blind: none conflicts, none is lost, and every receipt tells what its own came to.
pub async fn adds_commute_and_tell_their_sums(f: &Fixture) {
    let row = key("counters", "n");
    let mut commits = Vec::new();
    for _ in 0..100 {
        let mut transaction = f.transaction();
        transaction.writes.push(add(&row, 2, transaction.id));
        commits.push(f.log.commit(Arc::new(transaction)));
    }
    let mut sums = Vec::new();
    for commit in commits {
        sums.extend(commit.await.expect("adds do not conflict").sums.iter().map(|(_, sum)| *sum));
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=100).map(|n| 2 * n).collect::<Vec<_>>());
    assert_eq!(f.value(&row).await.as_deref(), Some("200"));
    f.put(&row, "-7").await;
    assert_eq!(added(f, &row, -3).await.expect("a number that was put is a counter"), -10);
}

/// An add to anything but a canonical integer refuses its transaction.
pub async fn an_add_to_what_is_no_counter_is_refused(f: &Fixture) {
    for value in ["\"1\"", "1.0", "007", "null", "{}", "9007199254740992", ""] {
        let row = key("t", value);
        f.put(&row, value).await;
        let error = added(f, &row, 1).await.expect_err(value);
        assert!(matches!(error, CommitError::Rejected(Rejection::NotACounter(k)) if k == row));
        assert_eq!(f.value(&row).await.as_deref(), Some(value));
    }
}

/// Counters stay below 2^53 in magnitude.
pub async fn a_sum_past_two_to_the_53rd_is_refused(f: &Fixture) {
    let row = key("counters", "n");
    assert_eq!(added(f, &row, LARGEST).await.expect("it is below"), LARGEST);
    for by in [1, i64::MAX] {
        let error = added(f, &row, by).await.expect_err("it is past");
        assert!(matches!(error, CommitError::Rejected(Rejection::NotACounter(_))));
    }
    assert_eq!(added(f, &row, -2 * LARGEST).await.expect("it is above"), -LARGEST);
    assert!(added(f, &row, i64::MIN).await.is_err());
}

/// A counter that has expired at the commit counts as 0; one that lives keeps its expiry.
pub async fn an_add_to_an_expired_row_begins_at_zero(f: &Fixture) {
    let row = key("counters", "n");
    let expires = Some(Millis(super::START.0 + 10));
    let mut transaction = f.transaction();
    transaction.writes.push(Write {
        key: row.clone(),
        op: Op::Put { value: "5".into(), expires },
        stamp: transaction.id,
    });
    f.done(transaction).await;
    f.clock.set(Millis(super::START.0 + 9));
    assert_eq!(added(f, &row, 1).await.expect("added"), 6);
    assert_eq!(f.row(&row).await.expect("there").expires, expires);
    f.clock.set(Millis(super::START.0 + 10));
    assert_eq!(added(f, &row, 1).await.expect("added"), 1);
    assert_eq!(f.row(&row).await.expect("there").expires, None);
}

/// Keys and values are bytes: empty, binary, large, numbers with a look of their own.
pub async fn values_come_back_byte_for_byte(f: &Fixture) {
    let large = vec![0xa5; 3 << 20];
    let values: [&[u8]; 9] = [b"", b"\0", b"\xff\xfe", b"null", b"1", b"-1", b"1.0", b"01", &large];
    let keys: [&[u8]; 4] = [b"", b"\0", b"\xff", b"a'b\""];
    let mut transaction = f.transaction();
    for (i, value) in values.iter().enumerate() {
        for name in keys {
            let row = StateKey {
                table: key("t", "").table,
                generation: u32::try_from(i).expect("few"),
                key: Bytes::copy_from_slice(name),
            };
            let op = Op::Put { value: Bytes::copy_from_slice(value), expires: None };
            transaction.writes.push(Write { key: row, op, stamp: transaction.id });
        }
    }
    let rows: Vec<_> = transaction.writes.iter().map(|w| w.key.clone()).collect();
    let stamp = transaction.id;
    f.done(transaction).await;
    let got = f.log.get(&rows).await.expect("rows are read");
    for (got, value) in got.iter().zip(values.iter().flat_map(|v| std::iter::repeat_n(v, keys.len()))) {
        let got = got.as_ref().expect("it was written");
        assert!(&*got.value == *value && got.stamp == stamp);
    }
}

/// A scan gives rows in byte order, page by page, and ends.
pub async fn scans_go_in_byte_order_and_pages(f: &Fixture) {
    let names = ["", "a", "a\0", "a/b", "ab", "b", "z", "ä"];
    for name in names.iter().rev() {
        f.put(&key("t", name), "1").await;
    }
    f.put(&key("u", "other"), "1").await;
    let (mut wanted, mut seen, mut pages) = (range("t", "", None), Vec::new(), 0);
    loop {
        let page = f.log.scan(&wanted, 3).await.expect("scanned");
        assert!(page.rows.len() <= 3);
        seen.extend(page.rows.into_iter().map(|(key, _)| key));
        pages += 1;
        let Some(next) = page.next else { break };
        wanted.from = next;
    }
    assert_eq!((seen, pages), (names.iter().map(|n| Bytes::copy_from_slice(n.as_bytes())).collect(), 3));
    let page = f.log.scan(&range("t", "a", Some("b")), 4).await.expect("scanned");
    assert_eq!((page.rows.len(), page.next), (4, None));
    assert_eq!(
        f.log.scan(&range("none", "", None), 4).await.expect("scanned"),
        crate::conformance::no_rows()
    );
}

/// The same key in another table, or another generation, is another row.
pub async fn tables_and_generations_are_apart(f: &Fixture) {
    let first = key("t", "k");
    let next = StateKey { generation: 1, ..first.clone() };
    let other = key("u", "k");
    for (row, value) in [(&first, "1"), (&next, "2"), (&other, "3")] {
        f.put(row, value).await;
    }
    let got = f.log.get(&[other, first.clone(), key("t", "none"), next]).await.expect("rows are read");
    let got: Vec<_> = got.into_iter().map(|row| row.map(|r| r.value)).collect();
    assert_eq!(got, [Some("3".into()), Some("1".into()), None, Some("2".into())]);
    assert_eq!(f.log.scan(&range("t", "", None), 9).await.expect("scanned").rows.len(), 1);
}

/// `get` sees one moment: of a 1 that is moved between two rows, never half of the move.
pub async fn get_sees_one_snapshot(f: &Fixture) {
    let rows = [key("t", "a"), key("u", "b")];
    for row in &rows {
        f.put(row, "50").await;
    }
    let log = f.log.clone();
    let moves: Vec<_> = (0..200).map(|_| f.transaction()).collect();
    let moved = rows.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        for mut transaction in moves {
            transaction.writes = vec![add(&moved[0], -1, transaction.id), add(&moved[1], 1, transaction.id)];
            log.commit(Arc::new(transaction)).await.expect("committed");
        }
    });
    loop {
        let got = f.log.get(&rows).await.expect("rows are read");
        let value =
            |i: usize| got[i].as_ref().and_then(|r| weir_schema::counter(&r.value)).expect("a counter");
        assert_eq!(value(0) + value(1), 100);
        if let Some(ended) = tasks.try_join_next() {
            ended.expect("every move was committed");
            break;
        }
    }
    assert_eq!(f.value(&rows[0]).await.as_deref(), Some("-150"));
    let mut last = f.transaction();
    last.writes.push(put(&rows[0], "0", last.id));
    f.done(last).await;
}
