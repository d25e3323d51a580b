//! Topics that others add partitions to, remove, or make anew.

use super::opened::{open, open_in};
use super::outside::{PATIENCE, admin, delete, make, open_producer};
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::producer::{BaseRecord, Producer as _};
use std::sync::Arc;
use tempfile::TempDir;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::{Fixture, events, group};
use weir_log::{Change, CommitError, Membership, Rejection, lost_key};
use weir_schema::{At, Offset};

pub(super) async fn assigned(membership: &mut Membership, at: At) -> Offset {
    loop {
        match membership.changes.recv().await.expect("the log is open") {
            Change::Assigned { at: there, position, .. } if there == at => return position,
            _ => {}
        }
    }
}

async fn append(f: &Fixture, at: At, values: &[&str]) {
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, values));
    f.done(transaction).await;
}

/// Waits until the tail of `at` is `tail`.
async fn await_tail(f: &Fixture, at: At, tail: u64) {
    let is_there = |hint: &weir_log::Hint| hint.tails.get(&at) == Some(&Offset(tail));
    f.log.watch().wait_for(is_there).await.expect("the log is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_added_are_met_and_begin_at_their_first_event() {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    let at = f.partition().await;
    append(&f, at, &["a", "b"]).await;
    let group = group("g");
    let mut membership = f.log.join(&group, &[(at, Offset(2))]).await.expect("joined");
    assert_eq!(assigned(&mut membership, at).await, Offset(2));
    let name = prefix.topic("events");
    let more = NewPartitions::new(&name, 3);
    let made = admin(&prefix).create_partitions([&more], &AdminOptions::new()).await;
    made.expect("the broker answers")[0].as_ref().expect("they are made");
    let new = At { partition: 2, ..at };
    assert_eq!(assigned(&mut membership, new).await, Offset(0));
    append(&f, new, &["c"]).await;
    assert_eq!(f.values(new, 0).await, [(0, "c".to_owned())]);
    let topic = f.log.topics().await.expect("listed").remove(0);
    assert_eq!((topic.spec.partitions, topic.tail[2]), (3, Offset(1)));
    let positions = f.log.positions(Some(&group)).await.expect("told");
    let positions: Vec<_> = positions.iter().map(|p| (p.at.partition, p.position, p.unclean)).collect();
    assert_eq!(positions, [(0, Offset(2), 0), (1, Offset(0), 0), (2, Offset(0), 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_told_of_a_topic_that_is_made_anew_while_they_follow_it() {
    let (prefix, f, at, mut membership) = followed().await;
    let name = prefix.topic("events");
    delete(&prefix, &name).await;
    await_told(&f, at, &mut membership).await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["nowhere"]));
    let refused = f.log.commit(Arc::new(transaction)).await;
    assert!(matches!(refused, Err(CommitError::Rejected(Rejection::NoTopic { .. }))), "{refused:?}");
    make(&prefix, &name, 1).await;
    // when it is met
    while f.log.topics().await.is_ok() {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &["d"]));
        if f.log.commit(Arc::new(transaction)).await.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
    }
    await_tail(&f, at, 1).await;
    assert_eq!(f.values(at, 0).await, [(0, "d".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_told_of_a_topic_that_is_made_anew_and_filled_again_at_once() {
    let (prefix, f, at, mut membership) = followed().await;
    // sooner, most of the time, than it is looked whether the topic is there
    make_anew(&prefix, 5).await;
    await_told(&f, at, &mut membership).await;
    append(&f, at, &["d"]).await;
    assert_eq!(f.values(at, 4).await, [(4, "another".to_owned()), (5, "d".to_owned())]);
}

/// A log with a topic of three events, of which a member of the group `g` has been given the partition at the third.
async fn followed() -> (Prefix, Fixture, At, Membership) {
    let prefix = Prefix::fresh();
    let f = open(&prefix).await;
    let at = f.partition().await;
    append(&f, at, &["a", "b", "c"]).await;
    let mut membership = f.log.join(&group("g"), &[(at, Offset(2))]).await.expect("joined");
    assert_eq!(assigned(&mut membership, at).await, Offset(2));
    (prefix, f, at, membership)
}

/// Waits until the member is told that its group has lost its place.
async fn await_told(f: &Fixture, at: At, membership: &mut Membership) {
    assert_eq!(assigned(membership, at).await, Offset(2), "once more, to learn that it is lost");
    let lost = f.log.get(&[lost_key(&group("g"), 0)]).await.expect("read");
    assert_eq!(lost[0].as_ref().map(|row| &*row.value), Some(&b"0"[..]));
}

/// Makes the topic `events` anew, with so many events of others.
async fn make_anew(prefix: &Prefix, filled: usize) {
    let name = prefix.topic("events");
    delete(prefix, &name).await;
    make(prefix, &name, 1).await;
    let producer = open_producer(prefix, &[]);
    for _ in 0..filled {
        let event = BaseRecord::<(), _>::to(&name).payload("another");
        producer.send(event).map_err(|(error, _)| error).expect("it is sent");
    }
    producer.flush(PATIENCE).expect("all are there");
}

/// A log whose topic of three events was made anew while no process was there, and filled with so many events of others:
/// a group that was in it has been told.
async fn made_anew_meanwhile(filled: usize) -> ((Prefix, TempDir), Fixture, At) {
    let (prefix, folder) = (Prefix::fresh(), tempfile::tempdir().expect("a folder is made"));
    let f = open_in(&prefix, folder.path()).await;
    let at = f.partition().await;
    append(&f, at, &["a", "b", "c"]).await;
    let (there, not_there) = (group("there"), group("other"));
    let mut membership = f.log.join(&there, &[(at, Offset(2))]).await.expect("joined");
    assigned(&mut membership, at).await;
    f.log.close().await.expect("closed");
    make_anew(&prefix, filled).await;
    let f = open_in(&prefix, folder.path()).await;
    f.partition().await;
    let lost = f.log.get(&[lost_key(&there, 0), lost_key(&not_there, 0)]).await.expect("read");
    assert_eq!(lost.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    append(&f, at, &["d"]).await;
    ((prefix, folder), f, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_told_of_a_topic_that_was_made_anew_while_no_process_was_there() {
    let (_ground, f, at) = made_anew_meanwhile(0).await;
    assert_eq!(f.values(at, 0).await, [(0, "d".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_told_of_a_topic_that_was_made_anew_and_filled_past_its_old_end() {
    let (_ground, f, at) = made_anew_meanwhile(5).await;
    assert_eq!(f.values(at, 4).await, [(4, "another".to_owned()), (5, "d".to_owned())]);
}
