//! One thread that asks workers to look up when a slice of time has passed.
//!
//! An interrupt that is always installed costs a third of the speed; one that is installed only once a slice has
//! passed costs nothing to the functions that are done by then. While no worker is busy the thread is parked.

use crate::interrupt::Arm;
use crate::meter::Meter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a function runs before others are looked at.
pub(crate) const SLICE: Duration = Duration::from_millis(1);

/// Ticks without work before the thread is parked.
const PATIENCE: u32 = 50;

/// Serves all workers of a process. Ends when the last handle and the last worker are gone.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    base: Instant,
    beats: Mutex<Vec<Arc<Beat>>>,
    is_parked: AtomicBool,
    is_over: AtomicBool,
}

/// What the watchdog knows of one worker.
#[derive(Debug)]
struct Beat {
    /// When the running slice began, in µs since `Shared::base`; 0 while the worker is idle.
    since: AtomicU64,
    arm: Arm,
}

/// A worker's end: says when it runs.
#[derive(Debug)]
pub(crate) struct Pulse {
    beat: Arc<Beat>,
    watchdog: Arc<Watchdog>,
    pub(crate) meter: Meter,
}

impl Watchdog {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start() -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            base: Instant::now(),
            beats: Mutex::default(),
            is_parked: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let watched = shared.clone();
        let thread =
            std::thread::Builder::new().name("weir-watchdog".into()).spawn(move || watched.watch())?;
        Ok(Arc::new(Self { shared, thread: Some(thread) }))
    }

    /// Watches a worker until the pulse is dropped; from then on its VM is not touched.
    pub(crate) fn watch(self: &Arc<Self>, arm: Arm) -> Pulse {
        let beat = Arc::new(Beat { since: AtomicU64::new(0), arm });
        self.shared.beats().push(beat.clone());
        Pulse { beat, watchdog: self.clone(), meter: Meter::default() }
    }

    fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.unpark();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Pulse {
    /// The worker runs Lua from `now` on.
    pub(crate) fn begin(&self, now: Instant) {
        let shared = &self.watchdog.shared;
        self.beat.since.store(shared.micros(now).max(1), Ordering::SeqCst);
        // either this sees that the thread is parked, or the thread sees `since` before it parks
        if shared.is_parked.load(Ordering::SeqCst) {
            self.watchdog.unpark();
        }
    }

    /// The worker runs no Lua.
    pub(crate) fn end(&self) {
        self.beat.since.store(0, Ordering::SeqCst);
        self.beat.arm.disarm();
    }

    pub(crate) fn arm(&self) -> &Arm {
        &self.beat.arm
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.watchdog.shared.beats().retain(|b| !Arc::ptr_eq(b, &self.beat));
    }
}

impl Shared {
    fn watch(&self) {
        let mut idle = 0;
        while !self.is_over.load(Ordering::SeqCst) {
            if self.tick() {
                idle = 0;
            } else {
                idle += 1;
            }
            if idle < PATIENCE {
                std::thread::sleep(SLICE);
                continue;
            }
            self.is_parked.store(true, Ordering::SeqCst);
            if !self.tick() && !self.is_over.load(Ordering::SeqCst) {
                std::thread::park();
            }
            self.is_parked.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }

    /// Arms the workers whose slice has passed; whether any worker is busy.
    fn tick(&self) -> bool {
        let now = self.micros(Instant::now());
        let slice = SLICE.as_micros() as u64;
        let mut is_busy = false;
        for beat in self.beats().iter() {
            let since = beat.since.load(Ordering::SeqCst);
            is_busy |= since != 0;
            if since != 0 && now.saturating_sub(since) >= slice {
                beat.arm.arm();
            }
        }
        is_busy
    }

    fn beats(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Beat>>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_micros()).unwrap_or(u64::MAX)
    }
}
