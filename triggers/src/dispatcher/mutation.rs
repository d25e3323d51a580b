//! Deliberate mistakes, so that a test can show that the simulation would notice them. Compiled out of what ships.

/// One mistake, in place of what the dispatcher does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutation {
    /// A chunk names no position that it starts from: it claims whatever the log has.
    DropFrom,
    /// Reads of absent rows are not checked.
    DropAbsentReads,
    /// What had read a revoked attempt's writes is left as it is.
    SkipRecheckOnRevoke,
    /// A key returns to the main line while its last parked event is still being committed.
    UnblockKeyEarly,
    /// Parked attempts commit without a fence.
    NoFenceOnParked,
    /// Sums that turned out otherwise are not told to those above the flight.
    NoRecheckAtOk,
    /// Reads of failed attempts are neither rechecked nor committed.
    ForgetFailedReads,
    /// A seek does not wait for the commits of parked attempts.
    SeekDoesNotWait,
    /// A base that has left the cache counts as current, whatever was added to it.
    TrustEvicted,
    /// The end of any attempt is taken for the running one's.
    AcceptOldRun,
    /// Records that were asked for before a seek are taken.
    AcceptOldRecords,
    /// Of two versions of a row only the later one is checked.
    OneStampPerKey,
    /// A read whose row has a new version of the same value keeps the old version.
    KeepOldBase,
    /// Nothing is ever reserved.
    NoReserve,
    /// Only the row that conflicts is reserved.
    ReserveOneKey,
    /// After a conflict nothing is committed until something else happens.
    NoSettleAfterConflict,
    /// A detached attempt's reads are not compared with what became of those before it.
    TrustDetachedReads,
    /// A repeated parked commit that was applied counts as a conflict.
    RepeatParkedForEver,
    /// Readers of a stale range are not run again.
    IgnoreStaleRanges,
    /// The breaker tries only keys that have failed.
    ProbeFailedKeys,
    /// On probation events run above the one in flight.
    ProbationAboveFlight,
    /// A seek leaves the mark of an event that it moves past.
    SeekLeavesMark,
    /// Only conflicts of commits count for a reservation, not attempts that never came so far.
    HeatCommitsOnly,
    /// Parked events found after a crash are not suspected.
    NoSuspects,
    /// A stale catalog does not make started attempts run again.
    KeepOldCatalog,
    /// The budget of bytes is not looked at.
    IgnoreBudget,
}
