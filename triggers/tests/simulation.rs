//! The dispatcher under seeded schedules of everything that can go wrong. One seed is one schedule; the same seed is
//! always the same schedule.
//!
//! `WEIR_SIM_SEED=N` runs one seed and prints it; `WEIR_SIM_SEEDS=N` runs the first N.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a failing seed was is the point")]

#[path = "simulation/check.rs"]
mod check;
#[path = "simulation/log.rs"]
mod log;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/program.rs"]
mod program;
#[path = "simulation/sim.rs"]
mod sim;

use sim::{Outcome, Sim};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use weir_triggers::dispatcher::Mutation;

/// How many seeds a plain `cargo test` runs.
const SEEDS: u64 = 10_000;

/// A number from the environment: a seed is to be run again by hand.
fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's switch")]
    std::env::var(name).ok().map(|v| v.parse().expect("a number"))
}

/// Runs seeds on all cores, in order as far as cores go. Each is looked at; the first that `stops` ends it.
fn run_all(
    seeds: std::ops::Range<u64>,
    mutation: Option<Mutation>,
    look: impl Fn(u64, Outcome) -> bool + Sync,
) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| Sim::new(seed, mutation).run()));
            let outcome = outcome.unwrap_or_else(|_| Outcome::panicked());
            if !look(seed, outcome) {
                next.store(seeds.end, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
}

fn explain(seed: u64, outcome: &Outcome) {
    eprintln!("seed {seed}: {}\n{}", outcome.errors.join("\n"), outcome.plan);
    for line in &outcome.history {
        eprintln!("  {line}");
    }
    eprintln!("run it again: WEIR_SIM_SEED={seed} cargo test -p weir-triggers --test simulation");
}

#[derive(Default)]
struct Totals {
    failed: Vec<u64>,
    events: u64,
    commits: u64,
    attempts: u64,
    seen: BTreeMap<&'static str, u64>,
}

#[test]
fn every_schedule_keeps_the_promise() {
    let seeds = match number("WEIR_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WEIR_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (count, is_one) = (seeds.end - seeds.start, seeds.end - seeds.start == 1);
    let totals = std::sync::Mutex::new(Totals::default());
    run_all(seeds, None, |seed, outcome| {
        let mut totals = totals.lock().expect("nobody panics with it");
        let is_kept = outcome.errors.is_empty();
        if !is_kept || is_one {
            explain(seed, &outcome);
        }
        if !is_kept {
            totals.failed.push(seed);
        }
        totals.events += outcome.events;
        totals.commits += outcome.commits;
        totals.attempts += outcome.attempts;
        for (what, n) in outcome.seen {
            *totals.seen.entry(what).or_default() += n;
        }
        is_kept
    });
    let totals = totals.into_inner().expect("nobody panicked with it");
    println!(
        "{count} seeds, {} events, {} commits, {} attempts",
        totals.events, totals.commits, totals.attempts
    );
    println!("{:?}", totals.seen);
    assert!(totals.failed.is_empty(), "seed {:?} broke the promise", totals.failed);
}

/// The first seed that notices a mistake, of the first `bound`.
fn caught(mutation: Mutation, bound: u64) -> Option<(u64, String)> {
    let first = std::sync::Mutex::new(None::<(u64, String)>);
    run_all(0..bound, Some(mutation), |seed, outcome| {
        let Some(error) = outcome.errors.into_iter().next() else { return true };
        let mut first = first.lock().expect("nobody panics with it");
        if first.as_ref().is_none_or(|(s, _)| seed < *s) {
            *first = Some((seed, error.chars().take(90).collect()));
        }
        false
    });
    first.into_inner().expect("nobody panicked with it")
}

#[test]
fn every_mistake_is_noticed() {
    MISTAKES.into_iter().for_each(must_be_noticed);
}

#[test]
#[ignore = "minutes: a part of `make soak`"]
fn rare_mistakes_are_noticed_too() {
    RARE.into_iter().for_each(must_be_noticed);
}

fn must_be_noticed((mutation, bound): (Mutation, u64)) {
    let begun = Instant::now();
    let found = caught(mutation, bound);
    println!("{mutation:?}: {found:?}, after {:.0?}", begun.elapsed());
    assert!(found.is_some(), "{mutation:?} was not noticed in {bound} seeds");
}

#[test]
#[ignore = "a table for people: WEIR_SIM_SEEDS=20000, how many seeds each mistake takes"]
fn how_many_seeds_each_mistake_takes() {
    let bound = number("WEIR_SIM_SEEDS").unwrap_or(20_000);
    let all = RARE.into_iter().chain(MISTAKES).map(|(mutation, _)| mutation);
    for mutation in all.chain(UNNOTICED) {
        println!("{mutation:?} {:?}", caught(mutation, bound));
    }
}

/// Each deliberate mistake, and the seeds within which it must be noticed: four times as many as it took.
const MISTAKES: [(Mutation, u64); 22] = [
    (Mutation::DropFrom, 50),
    (Mutation::DropAbsentReads, 50),
    (Mutation::SkipRecheckOnRevoke, 1050),
    (Mutation::UnblockKeyEarly, 200),
    (Mutation::NoFenceOnParked, 420),
    (Mutation::NoRecheckAtOk, 80),
    (Mutation::ForgetFailedReads, 50),
    (Mutation::TrustEvicted, 100),
    (Mutation::AcceptOldRun, 50),
    (Mutation::AcceptOldRecords, 60),
    (Mutation::OneStampPerKey, 50),
    (Mutation::KeepOldBase, 50),
    (Mutation::NoReserve, 50),
    (Mutation::NoSettleAfterConflict, 100),
    (Mutation::TrustDetachedReads, 720),
    (Mutation::RepeatParkedForEver, 50),
    (Mutation::IgnoreStaleRanges, 120),
    (Mutation::ProbeFailedKeys, 180),
    (Mutation::SeekLeavesMark, 3100),
    (Mutation::NoSuspects, 850),
    (Mutation::KeepOldCatalog, 60),
    (Mutation::IgnoreBudget, 50),
];

/// Mistakes that take many seeds: a soak looks for them.
const RARE: [(Mutation, u64); 2] =
    [(Mutation::HeatCommitsOnly, 10_500), (Mutation::ProbationAboveFlight, 24_100)];

/// Mistakes that no schedule notices. `SeekDoesNotWait` is harmless: the version of an entry stops a parked commit that
/// arrives after the seek. `ReserveOneKey` shows where a conflict names one stale row of several, which this log never
/// does: a test of the dispatcher alone holds it (`dispatcher/tests.rs`).
const UNNOTICED: [Mutation; 2] = [Mutation::SeekDoesNotWait, Mutation::ReserveOneKey];
