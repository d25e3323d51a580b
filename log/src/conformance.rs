//! What every backend does, as cases: written once, run against each.
//!
//! A case's doc is the clause that it proves. [`places`] says how a fresh log of a backend is opened, and the macro
//! [`conformance!`](crate::conformance!) makes a test of each case: `mod memory { weir_log::conformance!(memory); }` gives
//! `memory::times_never_go_back` and so on. Every case has a log of its own, so all run in parallel.

#[cfg(feature = "kafka")]
pub mod broker;
pub mod commits;
pub mod conflicts;
pub mod encrypted;
pub mod events;
pub mod groups;
pub mod life;
pub mod ownership;
pub mod places;
pub mod server;
mod shell;
pub mod state;
pub mod topics;

use crate::{CommitError, Log, ManualClock, TopicInfo, TopicSpec};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weir_schema::{
    At, CatalogVersion, GroupName, Millis, Offset, Op, Partitioner, Read, Receipt, Records, RecordsBuilder,
    Stamp, StateKey, StateRange, TableName, TopicName, Transaction, TxnId, Versioned, Write,
};

/// The time that a fixture's clock shows at first.
pub const START: Millis = Millis(1_000_000);

/// A fresh log for one case, and short words for what cases do.
#[derive(Debug)]
pub struct Fixture {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    sequence: AtomicU64,
    /// Keeps what the log stands on: a folder, a schema.
    _guard: Box<dyn Guard>,
}

/// What a log stands on, removed when it is dropped.
pub trait Guard: Any + Send + Sync + std::fmt::Debug {}
impl<T: Any + Send + Sync + std::fmt::Debug> Guard for T {}

impl Fixture {
    /// A case's log.
    pub fn new(log: Arc<dyn Log>, clock: Arc<ManualClock>, guard: impl Guard) -> Self {
        clock.set(START);
        Self { log, clock, sequence: AtomicU64::new(0), _guard: Box::new(guard) }
    }

    /// An id that no transaction has had.
    pub fn id(&self) -> TxnId {
        TxnId::new(self.log.capabilities().writer, self.sequence.fetch_add(1, Ordering::SeqCst))
    }

    /// A transaction that does nothing yet, built with the catalog as it is.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.id(), self.catalog())
    }

    /// The catalog's version.
    pub fn catalog(&self) -> CatalogVersion {
        self.log.watch().borrow().catalog
    }

    /// A topic with this name.
    pub async fn topic(&self, name: &str, partitions: u32) -> TopicInfo {
        self.log.create_topic(&spec(name, partitions)).await.expect("a topic is created")
    }

    /// The only partition of a topic `events`.
    pub async fn partition(&self) -> At {
        At { topic: self.topic("events", 1).await.id, partition: 0 }
    }

    /// Commits and waits.
    pub async fn commit(&self, transaction: Transaction) -> Result<Receipt, CommitError> {
        self.log.commit(Arc::new(transaction)).await
    }

    /// Commits what must be committed.
    pub async fn done(&self, transaction: Transaction) -> Receipt {
        self.commit(transaction).await.expect("the transaction is committed")
    }

    /// Appends events with these values to `at`, in one transaction.
    pub async fn append(&self, at: At, values: &[&str]) -> Receipt {
        let mut transaction = self.transaction();
        transaction.appends.push(events(at, values));
        self.done(transaction).await
    }

    /// Writes one row; returns its stamp.
    pub async fn put(&self, key: &StateKey, value: &str) -> Stamp {
        let mut transaction = self.transaction();
        transaction.writes.push(put(key, value, transaction.id));
        let stamp = transaction.id;
        self.done(transaction).await;
        stamp
    }

    /// One row as it is.
    pub async fn row(&self, key: &StateKey) -> Option<Versioned> {
        let rows = self.log.get(std::slice::from_ref(key)).await.expect("rows are read");
        rows.into_iter().next().flatten()
    }

    /// The value of one row as it is.
    pub async fn value(&self, key: &StateKey) -> Option<String> {
        self.row(key).await.map(|row| String::from_utf8_lossy(&row.value).into_owned())
    }

    /// What the log tells of `bytes` that its topics hold.
    pub fn bytes(&self, bytes: u64) -> u64 {
        if self.log.capabilities().counts_bytes { bytes } else { 0 }
    }

    /// Offsets and values of a partition from `from` on.
    pub async fn values(&self, at: At, from: u64) -> Vec<(u64, String)> {
        let records =
            self.log.read(at, Offset(from), crate::ReadLimit::default()).await.expect("events are read");
        let value =
            |r: weir_schema::Record<'_>| String::from_utf8_lossy(r.value().unwrap_or_default()).into_owned();
        records.iter().map(|r| (r.meta.offset.0, value(r))).collect()
    }
}

/// A topic to create.
pub fn spec(name: &str, partitions: u32) -> TopicSpec {
    let name = TopicName::new(name).expect("the case's name is valid");
    TopicSpec { name, partitions, partitioner: Partitioner::Murmur2, retention: None }
}

/// A group.
pub fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("the case's name is valid")
}

/// A row of generation 0.
pub fn key(table: &str, key: &str) -> StateKey {
    StateKey { table: table_name(table), generation: 0, key: Bytes::copy_from_slice(key.as_bytes()) }
}

/// A range of generation 0.
pub fn range(table: &str, from: &str, to: Option<&str>) -> StateRange {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    StateRange { table: table_name(table), generation: 0, from: bytes(from), to: to.map(bytes) }
}

/// A write of `value`.
pub fn put(key: &StateKey, value: &str, stamp: Stamp) -> Write {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Write { key: key.clone(), op: Op::Put { value, expires: None }, stamp }
}

/// A blind addition.
pub fn add(key: &StateKey, by: i64, stamp: Stamp) -> Write {
    Write { key: key.clone(), op: Op::Add(by), stamp }
}

/// A read of a row.
pub fn saw(key: &StateKey, stamp: Option<Stamp>) -> Read {
    Read::Key(key.clone(), stamp)
}

/// Events with these values and no key.
pub fn events(at: At, values: &[&str]) -> Records {
    let mut builder = RecordsBuilder::default();
    for value in values {
        builder.push(at, None, Some(value.as_bytes()), []);
    }
    builder.build()
}

/// The offsets of a receipt's events.
pub fn offsets(receipt: &Receipt) -> Vec<u64> {
    receipt.offsets().map(|(_, offset)| offset.0).collect()
}

/// An empty page that is the last one.
fn no_rows() -> weir_schema::ScanPage {
    weir_schema::ScanPage::default()
}

fn table_name(name: &str) -> TableName {
    TableName::new(name).expect("the case's name is valid")
}

/// Makes a test of every case. `$open` is a path to an `async fn() -> Fixture` that opens a fresh log.
#[macro_export]
macro_rules! conformance {
    ($place:ident) => {
        $crate::conformance!(@cases $place;
            topics {
                the_same_topic_again_is_the_one_that_is_there,
                another_shape_of_a_topic_is_refused,
                retention_given_again_is_taken_over,
                topics_tell_their_offsets_and_bytes,
            }
            commits {
                offsets_rise_from_zero_in_append_order,
                offsets_are_visible_in_commit_order,
                a_transaction_is_visible_as_a_whole,
                a_refused_transaction_leaves_nothing,
                calls_of_one_thread_commit_in_call_order,
                a_transaction_sent_again_applies_once,
                a_batch_outlives_its_refused_members,
                the_first_row_that_is_no_counter_is_named,
                what_is_too_large_is_refused,
                an_unknown_topic_is_refused,
                a_row_is_written_once_in_a_transaction,
            }
            conflicts {
                a_stale_row_is_refused_with_what_it_is_now,
                an_absent_row_that_came_to_be_is_stale,
                a_row_that_went_is_stale,
                an_expired_row_counts_with_its_stamp,
                a_range_is_stale_when_a_row_of_it_changes,
                every_stale_read_is_reported,
                one_of_many_that_read_the_same_row_wins,
                a_stale_catalog_is_refused,
                checks_come_in_the_documented_order,
                a_read_only_transaction_is_checked_and_writes_nothing,
            }
            state {
                adds_commute_and_tell_their_sums,
                an_add_to_what_is_no_counter_is_refused,
                a_sum_past_two_to_the_53rd_is_refused,
                an_add_to_an_expired_row_begins_at_zero,
                values_come_back_byte_for_byte,
                scans_go_in_byte_order_and_pages,
                tables_and_generations_are_apart,
                get_sees_one_snapshot,
            }
            events {
                keys_values_and_headers_come_back_byte_for_byte,
                the_largest_event_fits_and_one_byte_more_does_not,
                a_read_is_bounded_by_events_and_bytes,
                times_never_go_back,
                offset_at_finds_the_first_event_of_a_time,
                trimmed_events_are_gone_for_good,
                an_unknown_partition_is_an_error,
            }
            groups {
                the_first_join_writes_every_start,
                partitions_that_appear_later_start_at_earliest,
                advance_moves_only_from_its_from,
                going_back_raises_the_incarnation,
                an_advance_needs_a_fence,
                a_forgotten_group_begins_anew,
                an_epoch_never_comes_twice,
            }
            ownership {
                a_stale_owner_is_fenced,
                a_released_partition_is_taken_over_clean,
                a_dropped_one_counts_as_unclean,
                settling_starts_the_count_again,
                a_later_join_takes_partitions_away,
                an_old_epoch_releases_nothing,
            }
            life {
                watchers_hear_of_tails_catalog_and_control,
                closing_commits_what_was_enqueued,
                a_closed_log_says_so,
                closing_ends_memberships,
            }
        );
    };
    (@cases $place:ident; $($module:ident { $($case:ident),* $(,)? })*) => { $($(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let fixture = $crate::conformance::places::$place().await;
            $crate::conformance::$module::$case(&fixture).await;
        }
    )*)* };
}
