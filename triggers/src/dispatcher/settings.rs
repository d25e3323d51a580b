//! What a dispatcher is told once.

use std::time::Duration;

/// How one trigger dispatches. `Default` is the documented default of `config/application.yml`.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Events in flight at most: read and not yet committed.
    pub window: usize,
    /// Bytes of events in flight at most, and one event more: the first is taken however large it is.
    pub window_bytes: usize,
    /// Events that one transaction handles at most.
    pub chunk: usize,
    /// Bytes of effects in one transaction at most; the first event's are taken however many they are.
    pub chunk_bytes: usize,
    /// Invocations of the main line at once.
    pub max_concurrent: usize,
    /// Committed rows that are remembered.
    pub cache_rows: usize,
    /// Bytes of committed rows that are remembered.
    pub cache_bytes: usize,
    /// When a failed event runs again.
    pub retry: Retry,
    /// What becomes of an event whose attempts are used up.
    pub on_exhausted: OnExhausted,
    /// When the trigger stops because everything fails; none: never.
    pub breaker: Option<Breaker>,
    /// A head that runs for longer lets the others pass; none: strict order.
    pub detach_after: Option<Duration>,
    /// With this many events parked the trigger pauses.
    pub max_parked: usize,
    /// How long to wait before a commit that was not answered, or a run that was interrupted, is tried again.
    pub backoff: Duration,
    /// How long after an empty read to read again without news of the log.
    pub poll: Duration,
    /// Seeds the jitter of the retries.
    pub seed: u64,
    /// A deliberate mistake, for the test that the simulation notices it.
    #[cfg(any(test, feature = "mutations"))]
    pub mutation: Option<crate::dispatcher::Mutation>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: 1024,
            window_bytes: 16 << 20,
            chunk: 1000,
            chunk_bytes: 1 << 20,
            max_concurrent: 64,
            cache_rows: 16_384,
            cache_bytes: 16 << 20,
            retry: Retry::default(),
            on_exhausted: OnExhausted::Hold,
            breaker: Some(Breaker::default()),
            detach_after: Some(Duration::from_secs(10)),
            max_parked: 100_000,
            backoff: Duration::from_millis(100),
            poll: Duration::from_secs(1),
            seed: 0,
            #[cfg(any(test, feature = "mutations"))]
            mutation: None,
        }
    }
}

/// When a failed event runs again: `backoff` after the first attempt, twice that after each further one, up to
/// `max_backoff`; each spread by `jitter`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retry {
    /// Attempts in all; at least 1.
    pub attempts: u32,
    /// After the first attempt.
    pub backoff: Duration,
    /// Never longer than this.
    pub max_backoff: Duration,
    /// 0.2: between 0.8 and 1.2 times as long.
    pub jitter: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 70,
            backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(60),
            jitter: 0.2,
        }
    }
}

/// What becomes of an event whose attempts are used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExhausted {
    /// It stays parked, and so do the later events of its key, until someone redrives, edits or skips it.
    Hold,
    /// It is dropped, with an audit row.
    Skip,
    /// As `Hold`, and the trigger pauses. Resuming tries it again.
    Pause,
}

/// Opens when many events fail, of several keys, and they are a good part of all: then the fault is hardly the
/// events'. While it is open one event at a time is tried, and nothing is parked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Breaker {
    /// Failures.
    pub failures: usize,
    /// Of this many keys (an event without a key is one of its own).
    pub keys: usize,
    /// And they are this part of all that was judged.
    pub ratio: f64,
    /// Within this time.
    pub within: Duration,
    /// How long between two trials.
    pub probe: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 20,
            keys: 5,
            ratio: 0.5,
            within: Duration::from_secs(30),
            probe: Duration::from_secs(10),
        }
    }
}
