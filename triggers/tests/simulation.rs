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
use weir_triggers::dispatcher::Mutation;

/// How many seeds a plain `cargo test` runs.
const SEEDS: u64 = 10_000;

fn run(seed: u64, mutation: Option<Mutation>) -> Outcome {
    Sim::new(seed, mutation).run()
}

/// The environment is the tests' own here: a seed is to be run again by hand.
fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test's switch")]
    std::env::var(name).ok().map(|v| v.parse().expect("a number"))
}

fn explain(seed: u64, outcome: &Outcome) {
    eprintln!("seed {seed}: {}", outcome.errors.join("\n"));
    eprintln!("{}", outcome.plan);
    for line in &outcome.history {
        eprintln!("  {line}");
    }
    eprintln!(
        "run it again: WEIR_SIM_SEED={seed} cargo test -p weir-triggers --test simulation keeps_its_promise"
    );
}

#[test]
fn every_schedule_keeps_its_promise() {
    let seeds = match number("WEIR_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WEIR_SIM_SEEDS").unwrap_or(SEEDS),
    };
    if number("WEIR_SIM_SURVEY").is_some() {
        for seed in seeds.clone() {
            let outcome = std::panic::catch_unwind(|| run(seed, None));
            match outcome {
                Ok(o) if !o.errors.is_empty() => {
                    println!("SURVEY {seed} {}", o.errors[0].chars().take(150).collect::<String>())
                }
                Err(_) => println!("SURVEY {seed} panic"),
                _ => {}
            }
        }
        return;
    }
    let count = seeds.end - seeds.start;
    let mut seen = BTreeMap::<&str, u64>::new();
    let (mut events, mut commits, mut attempts) = (0, 0, 0);
    for seed in seeds {
        let outcome = run(seed, None);
        if !outcome.errors.is_empty() || count == 1 {
            explain(seed, &outcome);
        }
        assert!(outcome.errors.is_empty(), "seed {seed} broke the promise");
        events += outcome.events;
        commits += outcome.commits;
        attempts += outcome.attempts;
        for (what, n) in outcome.seen {
            *seen.entry(what).or_default() += n;
        }
    }
    println!("{count} seeds, {events} events, {commits} commits, {attempts} attempts\n{seen:?}");
}
