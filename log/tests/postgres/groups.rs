//! Partitions among several processes.

use super::nodes::{Nodes, PATIENCE};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_log::conformance::{Fixture, group};
use weir_log::{Change, CommitError, Membership};
use weir_schema::{Advance, At, Epoch, Fence, Offset};

/// A member, and what it holds.
pub(crate) struct Member {
    pub(crate) f: Fixture,
    pub(crate) membership: Membership,
    pub(crate) held: BTreeMap<At, Epoch>,
}

impl Member {
    pub(crate) async fn join(f: Fixture, partitions: &[At]) -> Self {
        let start: Vec<_> = partitions.iter().map(|at| (*at, Offset(0))).collect();
        let membership = f.log.join(&group("events/f"), &start).await.expect("joined");
        Self { f, membership, held: BTreeMap::new() }
    }

    /// Hears what changes, and hands over what it is asked for.
    async fn hear(&mut self) {
        let heard = tokio::time::timeout(PATIENCE, self.membership.changes.recv()).await;
        match heard.expect("something changes").expect("the log is open") {
            Change::Assigned { at, epoch, unclean, .. } => {
                assert_eq!(unclean, 0, "{at:?}");
                self.held.insert(at, epoch);
            }
            Change::Revoking { at, .. } => {
                let epoch = self.held.remove(&at).expect("it was assigned");
                self.membership.release(at, epoch).await.expect("released");
            }
            Change::Lost { at } => drop(self.held.remove(&at)),
        }
    }

    pub(crate) async fn until_it_holds(&mut self, count: usize) {
        while self.held.len() != count {
            self.hear().await;
        }
    }

    pub(crate) async fn advance(&self, at: At, from: u64) -> Result<(), CommitError> {
        let mut transaction = self.f.transaction();
        transaction.fence = Some(Fence { group: group("events/f"), at, epoch: self.held[&at] });
        transaction.advance = Some(Advance { from: Offset(from), to: Offset(from + 1) });
        self.f.commit(transaction).await.map(drop)
    }
}

async fn partitions(f: &Fixture, count: u32) -> Vec<At> {
    f.topic("events", count).await.partitions().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_shared_and_handed_over_clean() {
    let nodes = Nodes::new().await;
    let one = nodes.node().await;
    let at = partitions(&one, 8).await;
    let mut one = Member::join(one, &at).await;
    one.until_it_holds(8).await;
    let mut two = Member::join(nodes.node().await, &at).await;
    tokio::join!(one.until_it_holds(4), two.until_it_holds(4));
    assert!(one.held.keys().all(|at| !two.held.contains_key(at)));
    for (at, epoch) in std::mem::take(&mut two.held) {
        two.membership.release(at, epoch).await.expect("released");
    }
    two.f.log.close().await.expect("closed");
    one.until_it_holds(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_held_is_taken_over_when_its_lease_has_ended() {
    let nodes = Nodes::new().await;
    let mut options = nodes.options();
    options.lease = Duration::from_millis(500);
    let one = nodes.with(options.clone()).await;
    let at = partitions(&one, 2).await;
    let mut one = Member::join(one, &at).await;
    one.until_it_holds(2).await;
    let mut two = Member::join(nodes.with(options).await, &at).await;
    tokio::join!(one.until_it_holds(1), two.until_it_holds(1));
    // it is dropped as a process that dies: nothing is released
    drop(one);
    let (at, unclean) = loop {
        if let Some(Change::Assigned { at, unclean, .. }) = two.membership.changes.recv().await {
            break (at, unclean);
        }
    };
    assert_eq!(unclean, 1);
    assert!(!two.held.contains_key(&at));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_handed_over_is_taken_away() {
    let nodes = Nodes::new().await;
    let one = nodes.node().await;
    let at = partitions(&one, 2).await;
    let mut one = Member::join(one, &at).await;
    one.until_it_holds(2).await;
    let mut two = Member::join(nodes.node().await, &at).await;
    // the first hears that it is to hand one over, and does nothing about it
    let revoked = match one.membership.changes.recv().await {
        Some(Change::Revoking { at, .. }) => at,
        other => unreachable!("{other:?}"),
    };
    let taken = tokio::time::timeout(PATIENCE, two.membership.changes.recv()).await;
    match taken.expect("it is not held for ever") {
        Some(Change::Assigned { at, unclean, epoch, .. }) => {
            assert_eq!((at, unclean), (revoked, 1));
            two.held.insert(at, epoch);
        }
        other => unreachable!("{other:?}"),
    }
    assert_eq!(one.membership.changes.recv().await, Some(Change::Lost { at: revoked }));
    let refused = one.advance(revoked, 0).await;
    assert!(matches!(refused, Err(CommitError::Fenced(_))), "{refused:?}");
    two.advance(revoked, 0).await.expect("it is the owner");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_for_processes_that_are_long_dead_is_removed() {
    let nodes = Nodes::new().await;
    drop(nodes.node().await);
    let dead = "INSERT INTO lanes(writer, batch) VALUES (98, 1), (99, 1);
        INSERT INTO nodes VALUES (98, now() - interval '1 hour'), (99, now() - interval '2 days');
        INSERT INTO members VALUES ('g', 0, 98), ('g', 0, 99)";
    nodes.stranger.batch_execute(dead).await.expect("two processes that have died");
    let _alive = nodes.node().await;
    nodes.until("SELECT NOT EXISTS (SELECT FROM lanes WHERE writer = 99)").await;
    // one that was only asleep can go on where it was, but had to give up its partitions
    nodes.until("SELECT EXISTS (SELECT FROM lanes WHERE writer = 98)").await;
    nodes.until("SELECT count(*) = 0 FROM members").await;
    nodes.until("SELECT count(*) = 0 FROM nodes WHERE node = 99").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_slept_past_its_lease_commits_nothing_for_what_was_taken_over() {
    let nodes = Nodes::new().await;
    let one = nodes.node().await;
    let at = partitions(&one, 1).await;
    let mut one = Member::join(one, &at).await;
    one.until_it_holds(1).await;
    one.advance(at[0], 0).await.expect("it is the owner");
    // from now on it does not come to renew its lease
    let doze = format!(
        "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN IF NEW.node = {} THEN RETURN NULL; END IF; RETURN NEW; END';
         UPDATE nodes SET until = now() - interval '1 second';
         CREATE TRIGGER doze BEFORE INSERT OR UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION doze()",
        one.f.log.capabilities().writer.0
    );
    nodes.stranger.batch_execute(&doze).await.expect("its lease has ended");
    let two = nodes.node().await;
    let mut two = Member::join(two, &at).await;
    let Some(Change::Assigned { epoch, position, .. }) = two.membership.changes.recv().await else {
        unreachable!("it is the only one alive")
    };
    two.held.insert(at[0], epoch);
    let refused = one.advance(at[0], 1).await;
    assert!(matches!(refused, Err(CommitError::Fenced(owner)) if owner == epoch), "{refused:?}");
    assert_eq!(position, Offset(1));
    two.advance(at[0], 1).await.expect("it is the owner");
}

/// Nobody waits for the lease of a process that has ended as it should.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_closed_has_no_lease() {
    let nodes = Nodes::new().await;
    for round in 0..20 {
        let f = nodes.node().await;
        let start = [(f.partition().await, Offset(0))];
        let _membership = f.log.join(&group(&format!("events/{round}")), &start).await.expect("joined");
        f.log.close().await.expect("closed");
        let leases = nodes.stranger.query_one("SELECT count(*) FROM nodes", &[]).await.expect("asked");
        assert_eq!(leases.get::<_, i64>(0), 0);
    }
}
