//! What one seed contains.

use super::program::{Programs, Rng};
use std::time::Duration;
use weir_triggers::dispatcher::{Breaker, Mutation, OnExhausted, Retry, Settings};

/// Faults and other events of a seed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) groups: usize,
    /// Percent of commits that are unavailable, and of those whose outcome is hidden.
    pub(crate) faults: u64,
    /// Crashes, zombies, drains.
    pub(crate) chaos: bool,
    pub(crate) seeks: bool,
    /// Events that end the process.
    pub(crate) killers: bool,
    pub(crate) outage: Option<(i64, i64)>,
    /// The gateway writes each millisecond, for ever.
    pub(crate) hot: bool,
    /// Offsets are not dense.
    pub(crate) gaps: bool,
    /// Pauses, redrives, edits, skips.
    pub(crate) commands: bool,
    /// The catalog changes now and then.
    pub(crate) catalogs: bool,
    /// Attempts that end without a verdict.
    pub(crate) interrupts: bool,
    /// Actions are taken later than inputs are given.
    pub(crate) batched: bool,
    /// Ticks come when the dispatcher asks for them, not all the time.
    pub(crate) lazy: bool,
    pub(crate) by_position: bool,
    pub(crate) catalog_first: bool,
    pub(crate) events: u64,
    /// Virtual time between asking and being answered, at most.
    pub(crate) latency: u64,
    pub(crate) keyless: u64,
}

/// Draws a seed's plan. Mistakes that show in rare schedules only are looked for among schedules like these.
pub(crate) fn draw(r: &mut Rng, seed: u64, mutation: Option<Mutation>) -> (Plan, Settings, Programs) {
    let is_faulty = r.chance(80);
    let breaker = r.chance(20);
    let at = 100 + r.below(200) as i64;
    let mut plan = Plan {
        groups: if r.chance(50) { 2 } else { 1 },
        faults: if is_faulty { r.pick(&[0, 5, 20]) } else { 0 },
        chaos: is_faulty && r.chance(50),
        seeks: is_faulty && r.chance(40),
        killers: r.chance(10),
        outage: (breaker || r.chance(20)).then_some((at, at + 250)),
        hot: r.chance(15),
        gaps: r.chance(20),
        commands: r.chance(30),
        catalogs: r.chance(20),
        interrupts: r.chance(20),
        batched: r.chance(50),
        lazy: r.chance(50),
        by_position: r.chance(50),
        catalog_first: r.chance(50),
        events: 8 + r.below(25),
        latency: r.pick(&[1, 4, 15]),
        keyless: 20,
    };
    let mut settings = settings(r, seed, breaker, mutation);
    let mut programs = Programs {
        seed,
        keys: r.pick(&[1, 3, 6, 12]),
        fails: if breaker { 0 } else { r.pick(&[0, 20, 60]) },
        waits: r.pick(&[0, 20, 60]),
        http: if plan.outage.is_some() { 60 } else { 10 },
        huge: r.chance(10),
        texts: r.chance(20),
        ttl: r.chance(30),
        sums: r.chance(50),
    };
    match mutation {
        Some(Mutation::ReserveOneKey | Mutation::HeatCommitsOnly) => {
            (plan.hot, plan.chaos, plan.seeks, plan.commands, plan.outage) =
                (true, false, false, false, None);
            (settings.cache_rows, settings.breaker, settings.detach_after) = (1, None, None);
            (programs.waits, programs.fails) = (60, 0);
            programs.keys = r.pick(&[2, 3]);
        }
        Some(Mutation::ProbationAboveFlight) => {
            (plan.killers, plan.chaos, plan.seeks, plan.commands) = (true, false, false, false);
            plan.keyless = 60;
        }
        _ => {}
    }
    (plan, settings, programs)
}

fn settings(r: &mut Rng, seed: u64, breaker: bool, mutation: Option<Mutation>) -> Settings {
    let milliseconds = Duration::from_millis;
    Settings {
        window: r.pick(&[2, 4, 8, 16]),
        window_bytes: if r.chance(20) { 60 } else { 1 << 20 },
        chunk: r.pick(&[1, 3, 8]),
        chunk_bytes: if r.chance(20) { 4 } else { 1 << 20 },
        max_concurrent: r.pick(&[1, 3, 16]),
        cache_rows: r.pick(&[1, 2, 3, 16]),
        cache_bytes: if r.chance(20) { 6 } else { 1 << 20 },
        retry: Retry {
            attempts: 1 + r.below(3) as u32,
            backoff: milliseconds(20),
            max_backoff: milliseconds(60),
            jitter: 0.2,
        },
        on_exhausted: r.pick(&[
            OnExhausted::Hold,
            OnExhausted::Hold,
            OnExhausted::Skip,
            OnExhausted::Skip,
            OnExhausted::Pause,
        ]),
        breaker: breaker.then_some(Breaker {
            failures: 4,
            keys: 3,
            ratio: 0.5,
            within: milliseconds(200),
            probe: milliseconds(20),
        }),
        detach_after: r.chance(50).then_some(milliseconds(40)),
        max_parked: if r.chance(10) { 3 } else { 1000 },
        backoff: milliseconds(7),
        poll: milliseconds(if r.chance(50) { 10 } else { 40 }),
        seed,
        mutation,
    }
}
