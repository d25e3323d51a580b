//! Random operations on a log and on one in memory, which is the model: the same outcome at every step.

#[cfg(feature = "kafka")]
mod model {
    pub(super) mod dense;
}

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use weir_log::conformance::{Fixture, events, group, key, places, put, range, spec};
use weir_log::{Change, CommitError, Membership, ReadLimit};
use weir_schema::{
    Advance, At, CatalogVersion, DigestBuilder, Epoch, Fence, Millis, Offset, Op, Read, Receipt, ScanPage,
    StateRange, Transaction, TxnId, Versioned, Write,
};

const TABLES: [&str; 4] = ["t", "u", "_weir_catalog", "_weir_control_x"];
const TOPICS: [(&str, u32); 2] = [("a", 1), ("b", 2)];

/// Small numbers stand for topics, tables, keys and so on; they are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Create { topic: usize, retention: Option<u16> },
    Commit(Vec<Draft>),
    Again,
    Read { at: usize, from: u64, events: usize, bytes: usize },
    OffsetAt { at: usize, time: i64 },
    Get(Vec<(usize, usize)>),
    Scan { table: usize, from: usize, to: Option<usize>, limit: u32 },
    Join { group: usize, at: usize, start: u64 },
    Leave { group: usize, release: bool },
    Settle { group: usize },
    Forget { group: usize },
    Trim { at: usize, before: u64 },
    Clock(i64),
}

/// A transaction to be.
#[derive(Clone, Debug)]
struct Draft {
    fence: Option<(usize, usize, bool)>,
    advance: Option<(bool, u64)>,
    stale_catalog: bool,
    reads: Vec<(usize, usize, bool)>,
    ranges: Vec<(usize, usize, bool)>,
    writes: Vec<(usize, usize, Kind)>,
    appends: Vec<(usize, u8)>,
}

#[derive(Clone, Debug)]
enum Kind {
    Put(u8, Option<i64>),
    Delete,
    Add(i64),
}

fn drafts() -> impl Strategy<Value = Draft> {
    let kind = prop_oneof![
        3 => (any::<u8>(), prop::option::of(0..60_i64)).prop_map(|(v, e)| Kind::Put(v, e)),
        1 => Just(Kind::Delete),
        2 => prop_oneof![-3..4_i64, Just((1 << 53) - 2), Just(i64::MAX)].prop_map(Kind::Add),
    ];
    let rarely = prop::bool::weighted(0.1);
    (
        prop::option::weighted(0.4, (0..2_usize, 0..4_usize, rarely)),
        prop::option::weighted(0.3, (rarely, 0..12_u64)),
        prop::bool::weighted(0.05),
        prop::collection::vec((0..4_usize, 0..5_usize, rarely), 0..3),
        prop::collection::vec((0..4_usize, 0..5_usize, rarely), 0..2),
        prop::collection::vec((0..4_usize, 0..5_usize, kind), 0..4),
        prop::collection::vec((0..4_usize, any::<u8>()), 0..4),
    )
        .prop_map(|(fence, advance, stale_catalog, reads, ranges, writes, appends)| Draft {
            fence,
            advance,
            stale_catalog,
            reads,
            ranges,
            writes,
            appends,
        })
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..3_usize, prop::option::of(any::<u16>())).prop_map(|(topic, retention)| Step::Create { topic, retention }),
        8 => prop::collection::vec(drafts(), 1..5).prop_map(Step::Commit),
        1 => Just(Step::Again),
        2 => (0..4_usize, 0..14_u64, 0..6_usize, 0..40_usize)
            .prop_map(|(at, from, events, bytes)| Step::Read { at, from, events, bytes }),
        1 => (0..4_usize, -5..60_i64).prop_map(|(at, time)| Step::OffsetAt { at, time }),
        1 => prop::collection::vec((0..4_usize, 0..6_usize), 0..6).prop_map(Step::Get),
        1 => (0..4_usize, 0..6_usize, prop::option::of(0..6_usize), 0..4_u32)
            .prop_map(|(table, from, to, limit)| Step::Scan { table, from, to, limit }),
        2 => (0..2_usize, 0..4_usize, 0..5_u64).prop_map(|(group, at, start)| Step::Join { group, at, start }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(group, release)| Step::Leave { group, release }),
        1 => (0..2_usize).prop_map(|group| Step::Settle { group }),
        1 => (0..2_usize).prop_map(|group| Step::Forget { group }),
        1 => (0..4_usize, 0..14_u64).prop_map(|(at, before)| Step::Trim { at, before }),
        1 => (0..60_i64).prop_map(Step::Clock),
    ]
}

/// Names of keys: with a separator, a prefix of another, empty.
fn row_key(table: usize, name: usize) -> weir_schema::StateKey {
    key(TABLES[table], ["", "a", "a/b", "b", "\u{7f}", "z"][name])
}

/// One of the two logs, and who is a member of it. What a step comes to is a text, so that any two compare.
struct Subject {
    f: Fixture,
    members: HashMap<usize, Vec<(Membership, At, Epoch)>>,
    last: Vec<Arc<Transaction>>,
    next: u64,
    tells: Tells,
}

/// When a log tells what is so to the members of a batch: all of them are right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tells {
    /// When a member's turn comes.
    InTurn,
    /// When the batch has ended.
    Late,
    /// Likewise; and what can never succeed is refused beside the batch, so that a read of it may be stale or not yet.
    #[cfg(feature = "kafka")]
    Beside,
}

impl Subject {
    async fn new(f: Fixture, tells: Tells) -> Self {
        for (name, partitions) in TOPICS {
            f.topic(name, partitions).await;
        }
        Self { f, members: HashMap::new(), last: Vec::new(), next: 0, tells }
    }

    async fn take(&mut self, step: &Step) -> String {
        let log = self.f.log.clone();
        match step {
            Step::Create { topic, retention } => {
                let (name, partitions) = TOPICS.get(*topic).copied().unwrap_or(("a", 7));
                let retention = retention.map(|ms| std::time::Duration::from_millis(u64::from(ms)));
                let created =
                    log.create_topic(&weir_log::TopicSpec { retention, ..spec(name, partitions) }).await;
                told(&created.map(|info| (info.id, info.spec, info.tail)))
            }
            Step::Commit(drafts) => {
                self.last = Vec::new();
                for draft in drafts {
                    let transaction = self.transaction(draft).await;
                    self.last.push(Arc::new(transaction));
                }
                self.commit_last().await
            }
            Step::Again => self.commit_last().await,
            Step::Read { at, from, events, bytes } => {
                let limit = ReadLimit { events: *events, bytes: *bytes };
                let read = log.read(place(*at), Offset(*from), limit).await;
                told(&read.map(|r| {
                    r.iter().map(|e| (e.meta.offset, e.meta.time, e.value_bytes())).collect::<Vec<_>>()
                }))
            }
            Step::OffsetAt { at, time } => told(&log.offset_at(place(*at), self.time(*time)).await),
            Step::Get(keys) => {
                let keys: Vec<_> = keys.iter().map(|(table, name)| row_key(*table, *name)).collect();
                told(&log.get(&keys).await)
            }
            Step::Scan { table, from, to, limit } => told(&log.scan(&span(*table, *from, *to), *limit).await),
            Step::Join { group, at, start } => self.join(*group, place(*at), *start).await,
            Step::Leave { group, release } => self.leave(*group, *release).await,
            Step::Settle { group } => {
                let Some((member, at, epoch)) = self.members.get(group).and_then(|m| m.last()) else {
                    return String::new();
                };
                told(&member.settled(*at, *epoch).await)
            }
            Step::Forget { group: name } => told(&log.forget(&group(&name.to_string())).await),
            Step::Trim { at, before } => told(&log.trim(place(*at), Offset(*before)).await),
            Step::Clock(time) => {
                self.f.clock.set(self.time(*time));
                String::new()
            }
        }
    }

    /// All that the log shows of itself.
    async fn everything(&self) -> String {
        let log = &self.f.log;
        let mut rows: Vec<ScanPage> = Vec::new();
        for table in TABLES {
            rows.push(log.scan(&range(table, "", None), 1000).await.expect("scanned"));
        }
        let (topics, positions) = (log.topics().await, log.positions(None).await);
        let mut events = String::new();
        for topic in topics.iter().flatten() {
            for (at, earliest) in topic.partitions().zip(&topic.earliest) {
                let read = log.read(at, *earliest, ReadLimit::default()).await.expect("read");
                read.iter()
                    .for_each(|e| events.push_str(&format!("{:?} {:?} ", e.meta.time, e.value_bytes())));
            }
        }
        let hint = log.watch().borrow().clone();
        let mut tails: Vec<_> = hint.tails.into_iter().collect();
        tails.sort_unstable();
        format!("{topics:?} {positions:?} {rows:?} {events} {tails:?} {:?} {}", hint.catalog, hint.control)
    }

    fn time(&self, offset: i64) -> Millis {
        Millis(weir_log::conformance::START.0 + offset)
    }

    async fn commit_last(&self) -> String {
        // all are enqueued before the first is awaited, so that a committer batches them
        let commits: Vec<_> = self.last.iter().map(|t| self.f.log.commit(t.clone())).collect();
        let mut outcomes = Vec::new();
        for (commit, transaction) in commits.into_iter().zip(&self.last) {
            // some logs check these beside the committer, so the batch may or may not be there yet
            let outcome = commit.await;
            if !transaction.is_read_only() {
                let tells = if self.last.len() > 1 { self.tells } else { Tells::InTurn };
                outcomes.push(outcome_of(outcome, tells));
            }
        }
        outcomes.join("; ")
    }

    async fn transaction(&mut self, draft: &Draft) -> Transaction {
        self.next += 1;
        let log = &self.f.log;
        let catalog = log.watch().borrow().catalog;
        let mut transaction =
            Transaction::new(TxnId(self.next), CatalogVersion(catalog.0 + u64::from(draft.stale_catalog)));
        let stamp = transaction.id;
        let positions = log.positions(None).await.expect("listed");
        if let Some((name, at, wrong)) = draft.fence {
            let (group, at) = (group(&name.to_string()), place(at));
            let row = positions.iter().find(|p| p.group == group && p.at == at);
            let epoch = Epoch(row.map_or(1, |p| p.epoch.0) + u64::from(wrong));
            let from = row.map_or(Offset(0), |p| p.position);
            transaction.advance = draft.advance.map(|(wrong, to)| {
                let from = Offset(from.0 + u64::from(wrong));
                Advance { from, to: Offset(to) }
            });
            transaction.fence = Some(Fence { group, at, epoch });
        }
        for (table, name, wrong) in &draft.reads {
            let key = row_key(*table, *name);
            let seen = self.f.row(&key).await.map(|row| row.stamp).filter(|_| !wrong);
            transaction.reads.push(Read::Key(key, seen));
        }
        for (table, from, wrong) in &draft.ranges {
            let range = span(*table, *from, (from % 2 == 0).then_some(from + 1));
            let mut digest = DigestBuilder::default();
            for (key, row) in log.scan(&range, 1000).await.expect("scanned").rows.iter().filter(|_| !wrong) {
                digest.row(key, row.stamp);
            }
            transaction.reads.push(Read::Range(range, digest.finish()));
        }
        for (table, name, kind) in &draft.writes {
            let key = row_key(*table, *name);
            transaction.writes.push(match kind {
                Kind::Put(value, None) => put(&key, &value.to_string(), stamp),
                Kind::Put(value, Some(expires)) => {
                    let value =
                        Bytes::from(if value % 2 == 0 { value.to_string() } else { format!("\"{value}\"") });
                    Write { key, op: Op::Put { value, expires: Some(self.time(*expires)) }, stamp }
                }
                Kind::Delete => Write { key, op: Op::Delete, stamp },
                Kind::Add(by) => Write { key, op: Op::Add(*by), stamp },
            });
        }
        let appends = draft.appends.iter().map(|(at, value)| events(place(*at), &[&value.to_string()]));
        transaction.appends.extend(appends);
        transaction
    }

    async fn join(&mut self, name: usize, at: At, start: u64) -> String {
        let mut membership = match self.f.log.join(&group(&name.to_string()), &[(at, Offset(start))]).await {
            Ok(membership) => membership,
            Err(error) => return told(&error),
        };
        let mut changes = Vec::new();
        let partitions = TOPICS[at.topic.0 as usize].1;
        for _ in 0..partitions {
            changes.push(membership.changes.recv().await.expect("the log is open"));
        }
        let Some(Change::Assigned { at, epoch, .. }) = changes.last().cloned() else {
            return format!("{changes:?}");
        };
        self.members.entry(name).or_default().push((membership, at, epoch));
        format!("{changes:?}")
    }

    /// The oldest member of a group leaves; what it has heard since it joined counts too.
    async fn leave(&mut self, name: usize, release: bool) -> String {
        let Some(members) = self.members.get_mut(&name).filter(|m| !m.is_empty()) else {
            return String::new();
        };
        let (mut member, at, epoch) = members.remove(0);
        let mut heard = Vec::new();
        while let Ok(change) = member.changes.try_recv() {
            heard.push(change);
        }
        if release {
            member.release(at, epoch).await.expect("released");
        }
        format!("{heard:?}")
    }
}

/// A partition; the last one does not exist.
fn place(at: usize) -> At {
    let (topic, partition) = [(0, 0), (1, 0), (1, 1), (0, 1)][at];
    At { topic: weir_schema::TopicId(topic), partition }
}

fn span(table: usize, from: usize, to: Option<usize>) -> StateRange {
    let name = |i: usize| row_key(table, i).key;
    StateRange { to: to.map(name), from: name(from), ..range(TABLES[table], "", None) }
}

fn told(result: &dyn std::fmt::Debug) -> String {
    format!("{result:?}")
}

fn outcome_of(outcome: Result<Receipt, CommitError>, tells: Tells) -> String {
    match outcome {
        #[cfg(feature = "kafka")]
        Err(CommitError::Conflict { .. } | CommitError::Rejected(_)) if tells == Tells::Beside => {
            "Refused".into()
        }
        Err(CommitError::Conflict { .. }) if tells != Tells::InTurn => "Conflict".into(),
        Err(CommitError::Conflict { now, ranges, catalog }) => {
            let now: Vec<(_, Option<Versioned>)> = now;
            format!("Conflict {now:?} {ranges:?} {catalog:?}")
        }
        other => format!("{other:?}"),
    }
}

/// Takes `steps` on a log of the backend and on the model.
async fn compare(log: Fixture, tells: Tells, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut log = Subject::new(log, tells).await;
    let mut model = Subject::new(places::memory().await, tells).await;
    for (n, step) in steps.iter().enumerate() {
        let (expected, got) = (model.take(step).await, log.take(step).await);
        prop_assert_eq!(got, expected, "step {}: {:?}", n, step);
        prop_assert_eq!(log.everything().await, model.everything().await, "after step {}: {:?}", n, step);
    }
    Ok(())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn a_log_in_a_file_does_what_the_model_does(steps in prop::collection::vec(steps(), 1..40)) {
        runtime().block_on(async { compare(places::sqlite().await, Tells::InTurn, &steps).await })?;
    }
}

proptest! {
    // each has a schema to make
    #![proptest_config(cases(40))]

    #[test]
    fn a_log_in_postgres_does_what_the_model_does(steps in prop::collection::vec(steps(), 1..40)) {
        runtime().block_on(async { compare(places::postgres().await, Tells::Late, &steps).await })?;
    }
}

#[cfg(feature = "kafka")]
mod kafka {
    use super::model::dense::Dense;
    use super::*;

    /// As the model is: without the gaps.
    fn dense(mut f: Fixture) -> Fixture {
        f.log = Arc::new(Dense::new(f.log));
        f
    }

    proptest! {
        // each has topics to make
        #![proptest_config(cases(8))]

        #[test]
        fn a_log_in_kafka_does_what_the_model_does(steps in prop::collection::vec(steps(), 1..40)) {
            runtime().block_on(async { compare(dense(places::kafka().await), Tells::Beside, &steps).await })?;
        }

        #[test]
        fn a_log_in_kafka_with_a_store_in_postgres_does_what_the_model_does(steps in prop::collection::vec(steps(), 1..40)) {
            runtime().block_on(async { compare(dense(places::kafka_with_postgres().await), Tells::Beside, &steps).await })?;
        }
    }
}
