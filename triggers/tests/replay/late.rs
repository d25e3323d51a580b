//! A process that takes part in a replay only when the test lets it.

use crate::node::{Node, asked, until};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use weir_log::{
    Capabilities, Commit, GroupPosition, Hint, Log, LogError, Membership, ReadLimit, SystemClock, TopicInfo,
    TopicSpec,
};
use weir_schema::{
    At, GroupName, Millis, Offset, Records, ScanPage, StateKey, StateRange, Transaction, Versioned,
};

/// A log whose groups of replays are joined no earlier than the door is open.
#[derive(Debug)]
struct Door {
    log: Arc<dyn Log>,
    open: Semaphore,
    /// How many came to the door, and how many have joined.
    came: watch::Sender<(u32, u32)>,
}

impl Door {
    fn before(log: Arc<dyn Log>) -> Arc<Self> {
        Arc::new(Self { log, open: Semaphore::new(0), came: watch::Sender::new((0, 0)) })
    }
}

#[async_trait]
impl Log for Door {
    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        if !group.as_str().contains("@replay-") {
            return self.log.join(group, start).await;
        }
        self.came.send_modify(|(came, _)| *came += 1);
        let _open = self.open.acquire().await.expect("the door is never removed");
        let joined = self.log.join(group, start).await;
        self.came.send_modify(|(_, joined)| *joined += 1);
        joined
    }

    fn capabilities(&self) -> &Capabilities {
        self.log.capabilities()
    }
    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        self.log.create_topic(spec).await
    }
    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.log.topics().await
    }
    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        self.log.commit(transaction)
    }
    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        self.log.read(at, from, max).await
    }
    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        self.log.offset_at(at, time).await
    }
    fn watch(&self) -> watch::Receiver<Hint> {
        self.log.watch()
    }
    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        self.log.get(keys).await
    }
    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        self.log.scan(range, limit).await
    }
    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        self.log.positions(group).await
    }
    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        self.log.forget(group).await
    }
    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        self.log.trim(at, before).await
    }
    async fn close(&self) -> Result<(), LogError> {
        self.log.close().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_takes_part_only_after_the_end_leaves_no_group_behind() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Node::start(folder.path(), 1).await;
    owner.append(&[(0, Some("a"), "{}"), (0, Some("b"), "{}")]).await;
    owner.caught_up().await;
    let clock = Arc::new(SystemClock);
    let door = Door::before(Node::open(folder.path(), clock.clone()).await);
    let late = Node::start_on(door.clone(), 1, clock).await;

    late.replays.create(&asked("over-soon")).await.unwrap();
    until("the other process wants to take part", async || door.came.borrow().0 == 1).await;
    assert_eq!(owner.ended("over-soon").await.done, 2);
    until("its group is forgotten", async || owner.groups().await == ["orders/tally"]).await;

    door.open.add_permits(1);
    until("it has taken part after all", async || door.came.borrow().1 == 1).await;
    until("its group is forgotten again", async || owner.groups().await == ["orders/tally"]).await;
    owner.stop().await;
    late.stop().await;
}
