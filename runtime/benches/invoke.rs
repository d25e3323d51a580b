//! What one invocation costs: fresh globals, limits on, arguments and result as JSON bytes.
#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::time::Instant;
use weir_runtime::test_support::{Bench, invocation};

const CASES: [(&str, &str, &str); 5] = [
    ("hello", "return function() return 'Hello' end", ""),
    (
        "event",
        "return function(e) local n = 0 for _, i in ipairs(e.items) do n = n + i.qty * i.price end return {id = e.id, total = n} end",
        r#"{"id":"o-17","customer":"c-4","items":[{"sku":"a","qty":1,"price":2.5},{"sku":"b","qty":3,"price":7},{"sku":"c","qty":2,"price":4}],"note":"leave at the door"}"#,
    ),
    (
        "pairs",
        "return function(e) local n = 0 for _, item in pairs(e) do for _, v in pairs(item) do n = n + v end end return n end",
        r#"{"a":{"x":1,"y":2},"b":{"x":3,"y":4},"c":{"x":5,"y":6},"d":{"x":7,"y":8}}"#,
    ),
    (
        "state and append",
        "local state, topics = require 'state', require 'topics'\nreturn function(e) local n = state.incr('counts', e.id) topics.append('orders', {[e.id] = {n = n}}) return n end",
        r#"{"id":"o-17"}"#,
    ),
    (
        "flow",
        "local flow = require 'flow'\nreturn function(e) return flow.call('callee', e) end",
        r#"{"id":"o-17"}"#,
    ),
];

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    // one round under a profiler that counts instructions
    let rounds_wanted = if std::env::args().any(|a| a == "--once") { 1 } else { 9 };
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    for (name, source, args) in CASES.into_iter().filter(|c| is_wanted(c.0)) {
        let bench =
            Bench::new(&[("app/main.lua", source), ("app/callee.lua", "return function(e) return e end")]);
        let invocation = invocation("main", args);
        let mut rounds = Vec::new();
        for _ in 0..rounds_wanted {
            let began = Instant::now();
            runtime.block_on(async {
                for _ in 0..10_000 {
                    let outcome = bench.run(&invocation).await;
                    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
                    bench.host.reads.borrow_mut().clear();
                }
            });
            rounds.push(began.elapsed().as_nanos() / 10_000);
        }
        rounds.sort_unstable();
        println!(
            "{name:<20} {:>7} ns (median of {} × 10,000; lowest {})",
            rounds[rounds.len() / 2],
            rounds.len(),
            rounds[0]
        );
    }
}
