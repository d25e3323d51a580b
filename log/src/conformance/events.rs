//! Events: stored as they came, read, looked up, trimmed.

use super::{Fixture, START, events, offsets};
use crate::{LogError, ReadLimit};
use weir_schema::{At, Millis, Offset, RecordsBuilder, TopicId};

type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [(&'a str, &'a [u8])]);

/// Keys, values and headers are bytes; an empty one is not the same as none, and no value is a tombstone.
pub async fn keys_values_and_headers_come_back_byte_for_byte(f: &Fixture) {
    let at = f.partition().await;
    let cases: [Parts<'_>; 6] = [
        (None, None, &[]),
        (Some(b""), Some(b""), &[]),
        (Some(b"\0\xff"), Some(b"\xff\0"), &[("", b""), ("a", b"\0"), ("a", b"2")]),
        (Some(b"k"), None, &[]),
        (None, Some(b"{\"a\": 1.0}"), &[("traceparent", b"00-x")]),
        (Some("ключ".as_bytes()), Some("\u{1f980}".as_bytes()), &[("ü", b"\xfe")]),
    ];
    let mut builder = RecordsBuilder::default();
    for (key, value, headers) in cases {
        builder.push(at, key, value, headers.iter().copied());
    }
    let mut transaction = f.transaction();
    transaction.appends.push(builder.build());
    f.done(transaction).await;
    let records = f.log.read(at, Offset(0), ReadLimit::default()).await.expect("read");
    assert_eq!(records.len(), cases.len());
    for (record, (key, value, headers)) in records.iter().zip(cases) {
        assert_eq!((record.key(), record.value(), record.meta.at), (key, value, at));
        assert_eq!(record.headers().collect::<Vec<_>>(), headers);
    }
}

/// An event of exactly the limit is stored and read back.
pub async fn the_largest_event_fits_and_one_byte_more_does_not(f: &Fixture) {
    let (at, limit) = (f.partition().await, f.log.capabilities().limits.event);
    for (size, fits) in [(limit, true), (limit + 1, false)] {
        let value: Vec<u8> = (0..=255).cycle().take(size).collect();
        let mut builder = RecordsBuilder::default();
        builder.push(at, None, Some(&value), []);
        let mut transaction = f.transaction();
        transaction.appends.push(builder.build());
        assert_eq!(f.commit(transaction).await.is_ok(), fits);
        let records = f.log.read(at, Offset(0), ReadLimit { events: 5, bytes: 1 }).await.expect("read");
        assert_eq!(records.len(), 1);
        assert!(records.get(0).expect("one").value() == Some(&value[..limit]));
    }
}

/// A read returns at most so many events and bytes, but the first event whatever its size; past the tail, none.
pub async fn a_read_is_bounded_by_events_and_bytes(f: &Fixture) {
    let at = f.partition().await;
    f.append(at, &["1234567890"; 10]).await;
    for (from, events, bytes, expected) in [
        (0, 1000, 1 << 20, 0..10),
        (0, 3, 1 << 20, 0..3),
        (2, 1000, 35, 2..5),
        (2, 1000, 30, 2..5),
        (2, 1000, 1, 2..3),
        (9, 1000, 1000, 9..10),
        (10, 1000, 1000, 10..10),
        (99, 1000, 1000, 10..10),
        (0, 0, 1000, 0..0),
    ] {
        let records = f.log.read(at, Offset(from), ReadLimit { events, bytes }).await.expect("read");
        let got: Vec<_> = records.iter().map(|r| r.meta.offset.0).collect();
        assert_eq!(got, expected.collect::<Vec<_>>(), "from {from}, {events} events, {bytes} bytes");
    }
}

/// An event's time is the clock's at its commit, but never below the one before it in its partition.
pub async fn times_never_go_back(f: &Fixture) {
    let topic = f.topic("events", 2).await;
    let at: Vec<_> = topic.partitions().collect();
    for now in [10, 30, 20, 40] {
        f.clock.set(Millis(START.0 + now));
        f.append(at[0], &["x"]).await;
    }
    f.clock.set(Millis(START.0 + 5));
    f.append(at[1], &["x"]).await;
    let mut times = Vec::new();
    for at in at {
        let records = f.log.read(at, Offset(0), ReadLimit::default()).await.expect("read");
        times.push(records.iter().map(|r| r.meta.time.0 - START.0).collect::<Vec<_>>());
    }
    assert_eq!(times, [vec![10, 30, 30, 40], vec![5]]);
}

/// `offset_at` is the first offset whose time is not earlier; none: the tail. What is trimmed does not count.
pub async fn offset_at_finds_the_first_event_of_a_time(f: &Fixture) {
    let at = f.partition().await;
    assert_eq!(f.log.offset_at(at, START).await.expect("found"), Offset(0));
    for step in 0..20 {
        f.clock.set(Millis(START.0 + 10 * (step / 2)));
        f.append(at, &["x"]).await;
    }
    for (time, expected) in [(-1, 0), (0, 0), (1, 2), (10, 2), (89, 18), (90, 18), (91, 20), (1000, 20)] {
        let found = f.log.offset_at(at, Millis(START.0 + time)).await.expect("found");
        assert_eq!(found, Offset(expected), "{time}");
    }
    f.log.trim(at, Offset(5)).await.expect("trimmed");
    assert_eq!(f.log.offset_at(at, START).await.expect("found"), Offset(5));
}

/// Trimmed events are not read; reading there says what is the earliest. Offsets are never used again, not even when
/// everything has been trimmed, and a trim never goes past the tail. That they were read before changes nothing.
pub async fn trimmed_events_are_gone_for_good(f: &Fixture) {
    let at = f.partition().await;
    assert!(f.values(at, 0).await.is_empty());
    f.append(at, &["12"; 10]).await;
    assert_eq!(f.values(at, 0).await.len(), 10);
    for (before, earliest) in [(4, 4), (2, 4), (4, 4), (7, 7), (99, 10), (99, 10)] {
        assert_eq!(f.log.trim(at, Offset(before)).await.expect("trimmed"), Offset(earliest));
        let kept: Vec<_> = f.values(at, earliest).await.into_iter().map(|(o, _)| o).collect();
        assert_eq!(kept, (earliest..10).collect::<Vec<_>>());
        let error = f.log.read(at, Offset(earliest - 1), ReadLimit::default()).await.expect_err("it is gone");
        assert!(matches!(error, LogError::Trimmed { earliest: e } if e.0 == earliest), "{error:?}");
    }
    assert_eq!(f.log.topics().await.expect("listed")[0].bytes, 0);
    let next = offsets(&f.append(at, &["new"]).await)[0];
    assert!(next == 10 || (next > 10 && !f.log.capabilities().dense), "{next}");
    let info = &f.log.topics().await.expect("listed")[0];
    assert_eq!((info.earliest[0], info.tail[0]), (Offset(10), Offset(next + 1)));
    assert_eq!(info.bytes, f.bytes(3));
}

/// Reading, looking up and trimming where there is no partition is `NoTopic`.
pub async fn an_unknown_partition_is_an_error(f: &Fixture) {
    let known = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(known, &["x"]));
    f.done(transaction).await;
    for at in [At { partition: 1, ..known }, At { topic: TopicId(known.topic.0 + 1), ..known }] {
        let read = f.log.read(at, Offset(0), ReadLimit::default()).await.map(drop);
        let look = f.log.offset_at(at, START).await.map(drop);
        let trim = f.log.trim(at, Offset(1)).await.map(drop);
        for outcome in [read, look, trim] {
            assert!(matches!(outcome, Err(LogError::NoTopic(_))), "{outcome:?}");
        }
    }
}
