//! Positions: started, moved, forgotten.

use super::ownership::Owner;
use super::{Fixture, group};
use crate::{CommitError, Rejection};
use weir_schema::{Advance, At, Offset};

async fn stored(f: &Fixture, name: &str) -> Vec<(At, u64)> {
    let positions = f.log.positions(Some(&group(name))).await.expect("listed");
    positions.into_iter().map(|p| (p.at, p.position.0)).collect()
}

/// The first join of a group writes all of its start; a later one changes nothing of it.
pub async fn the_first_join_writes_every_start(f: &Fixture) {
    let at: Vec<_> = f.topic("a", 3).await.partitions().collect();
    let start = [(at[0], Offset(3)), (at[1], Offset(0)), (at[2], Offset(9))];
    drop(f.log.join(&group("a/f"), &start).await.expect("joined"));
    let expected = [(at[0], 3), (at[1], 0), (at[2], 9)];
    assert_eq!(stored(f, "a/f").await, expected);
    drop(f.log.join(&group("a/f"), &start.map(|(at, _)| (at, Offset(77)))).await.expect("joined"));
    drop(f.log.join(&group("a/g"), &start[..1]).await.expect("joined"));
    assert_eq!(stored(f, "a/f").await, expected);
    let all = f.log.positions(None).await.expect("listed");
    assert_eq!(all.iter().filter(|p| p.group == group("a/f")).count(), 3);
    assert!(all.iter().any(|p| p.group == group("a/g")));
    assert_eq!(stored(f, "a/h").await, []);
}

/// Partitions of the topics in `start` that have no position get the earliest offset that is kept.
pub async fn partitions_that_appear_later_start_at_earliest(f: &Fixture) {
    let a: Vec<_> = f.topic("a", 2).await.partitions().collect();
    let b: Vec<_> = f.topic("b", 1).await.partitions().collect();
    f.append(a[1], &["x"; 5]).await;
    f.append(b[0], &["x"; 5]).await;
    f.log.trim(a[1], Offset(2)).await.expect("trimmed");
    f.log.trim(b[0], Offset(3)).await.expect("trimmed");
    drop(f.log.join(&group("g"), &[(a[0], Offset(0))]).await.expect("joined"));
    assert_eq!(stored(f, "g").await, [(a[0], 0), (a[1], 2)]);
    drop(f.log.join(&group("g"), &[(a[0], Offset(0)), (b[0], Offset(5))]).await.expect("joined"));
    assert_eq!(stored(f, "g").await, [(a[0], 0), (a[1], 2), (b[0], 3)]);
}

/// An advance applies only if the position is its `from`; otherwise `Moved` tells the position.
pub async fn advance_moves_only_from_its_from(f: &Fixture) {
    let at = f.partition().await;
    let owner = Owner::join(f, "events/f", at).await;
    for (from, to, expected) in [(0, 5, 5), (0, 5, 5), (5, 6, 6), (7, 9, 6), (6, 6, 6)] {
        let mut transaction = f.transaction();
        transaction.fence = Some(owner.fence());
        transaction.advance = Some(Advance { from: Offset(from), to: Offset(to) });
        let before = owner.stored(f).await.position;
        match f.commit(transaction).await {
            Ok(_) => assert_eq!(before, Offset(from)),
            Err(CommitError::Moved(position)) => {
                assert_eq!((position, before == Offset(from)), (before, false))
            }
            Err(other) => unreachable!("{other}"),
        }
        assert_eq!(owner.stored(f).await.position, Offset(expected));
    }
}

/// Moving a position back raises its incarnation, moving it on does not.
pub async fn going_back_raises_the_incarnation(f: &Fixture) {
    let at = f.partition().await;
    let mut owner = Owner::join(f, "events/f", at).await;
    for (to, incarnation) in [(5, 0), (2, 1), (2, 1), (9, 1), (0, 2)] {
        owner.move_to(f, to).await;
        assert_eq!((owner.stored(f).await.position.0, owner.stored(f).await.incarnation), (to, incarnation));
    }
    assert_eq!(Owner::join(f, "events/f", at).await.incarnation, 2);
}

/// An advance without a fence, and a fence of a group that was never joined, are malformed.
pub async fn an_advance_needs_a_fence(f: &Fixture) {
    let at = f.partition().await;
    let owner = Owner::join(f, "events/f", at).await;
    let mut bare = f.transaction();
    bare.advance = Some(Advance { from: Offset(0), to: Offset(1) });
    let mut unknown = f.transaction();
    unknown.fence = Some(weir_schema::Fence { group: group("nobody"), ..owner.fence() });
    for transaction in [bare, unknown] {
        let error = f.commit(transaction).await.expect_err("it is malformed");
        assert!(matches!(error, CommitError::Rejected(Rejection::Malformed(_))), "{error:?}");
    }
}

/// A forgotten group has no positions; joining it again starts it as a new one.
pub async fn a_forgotten_group_begins_anew(f: &Fixture) {
    let at = f.partition().await;
    let mut owner = Owner::join(f, "events/f", at).await;
    let other = Owner::join(f, "events/g", at).await;
    owner.move_to(f, 5).await;
    owner.move_to(f, 3).await;
    f.log.forget(&group("events/f")).await.expect("forgotten");
    f.log.forget(&group("nobody")).await.expect("there is nothing to forget");
    assert_eq!(stored(f, "events/f").await, []);
    assert_eq!(other.stored(f).await.position, Offset(0));
    let again = Owner::join(f, "events/f", at).await;
    assert_eq!((again.position, again.incarnation, again.unclean), (Offset(0), 0, 0));
}

/// Every assignment has an epoch above the one before, even when the group was forgotten in between.
pub async fn an_epoch_never_comes_twice(f: &Fixture) {
    let at = f.partition().await;
    let mut last = None;
    for round in 0..4 {
        let owner = Owner::join(f, "events/f", at).await;
        assert!(last < Some(owner.epoch), "{last:?} then {:?}", owner.epoch);
        last = Some(owner.epoch);
        if round == 1 {
            f.log.forget(&group("events/f")).await.expect("forgotten");
        }
    }
}
