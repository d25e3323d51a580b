//! Functions that try to take a worker down: each ends in its own error, and the neighbours on its worker go on.

mod bombs;
mod cases;
mod neighbours;

use cases::CASES;
use cases::End::{self, Cpu, Memory, Output, Raised, Returned};
use std::rc::Rc;
use std::time::Duration;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{FailureKind, Limits};

/// What the cases call.
const MODULES: &str = "local flow, state, topics, json, log = require 'flow', require 'state', require 'topics', require 'json', require 'log'";

const NEIGHBOUR: &str = "return function(n) local t = {} for i = 1, 200 do t[i] = i * n end return #t end";

/// Bytes that a worker may keep when all functions have ended: coroutines to be used again, and each case's code.
const KEPT: usize = 256 << 10;
const KEPT_OF_ONE: usize = 8 << 10;

fn small() -> Limits {
    Limits { cpu: Duration::from_millis(100), memory: 64 << 20, ..Limits::default() }
}

#[test]
fn each_hostile_function_ends_in_its_own_error_and_its_neighbours_go_on() {
    // as the workers' threads
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let sources: Vec<_> = CASES
            .iter()
            .enumerate()
            .map(|(i, (_, body, _))| {
                (format!("app/case{i}.lua"), format!("{MODULES} return function() {body} end"))
            })
            .collect();
        let mut all: Vec<_> = sources.iter().map(|(p, s)| (p.as_str(), s.as_str())).collect();
        all.extend([
            ("app/neighbour.lua", NEIGHBOUR),
            ("app/endless.lua", "return function() while true do end end"),
            ("app/hungry.lua", "return function() local t = {} for i = 1, 1e9 do t[i] = {} end end"),
            ("lib/endless_module.lua", "while true do end"),
        ]);
        let bench = Rc::new(Bench::new(&all));
        let mut wrong = Vec::new();
        assert_eq!(value(&runtime.block_on(bench.run(&invocation("neighbour", "3")))), "200");
        let before = bench.worker.settled_memory();
        for (i, (name, _, ends)) in CASES.iter().enumerate() {
            let got = runtime.block_on(meet(&bench, &format!("case{i}"), ends));
            if !ends.iter().any(|end| got == Ok(*end)) {
                wrong.push(format!("{name}: {got:?}, expected {ends:?}"));
            }
            let kept = bench.worker.settled_memory().saturating_sub(before);
            // each case's own code stays loaded
            if kept > KEPT + i * KEPT_OF_ONE {
                wrong.push(format!("{name}: {kept} bytes more than before the cases"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
    thread.expect("a thread").join().expect("no panic");
}

/// Runs a hostile function and a stream of neighbours on one worker; how the hostile one ended.
async fn meet(bench: &Rc<Bench>, function: &str, ends: &[End]) -> Result<End, String> {
    let mut hostile = invocation(function, "");
    hostile.limits = small();
    if !ends.contains(&Cpu) {
        // whatever else the machine does, the limit in question comes first
        hostile.limits.cpu = Duration::from_secs(60);
    }
    let mut neighbour = invocation("neighbour", "3");
    // so that only its own deeds could end it
    neighbour.limits.memory = 8 << 20;
    let outcome = tokio::join!(bench.run(&hostile), async {
        for _ in 0..5 {
            assert_eq!(value(&bench.run(&neighbour).await), "200", "beside {function}");
            tokio::task::yield_now().await;
        }
    })
    .0;
    assert_eq!(value(&bench.run(&neighbour).await), "200", "after {function}");
    match outcome.result {
        Ok(_) => Ok(Returned),
        Err(failure) => match failure.kind {
            FailureKind::Cpu => {
                assert!(outcome.usage.cpu >= hostile.limits.cpu, "{:?}", outcome.usage);
                Ok(Cpu)
            }
            FailureKind::Memory => Ok(Memory),
            FailureKind::Output => Ok(Output),
            FailureKind::Raised if ends.contains(&Raised) => Ok(Raised),
            _ => Err(failure.message),
        },
    }
}

#[tokio::test]
async fn a_preempted_function_goes_on_where_it_was() {
    let body = "local gen = coroutine.wrap(function() for i = 1, 5 do local x = 0 for k = 1, 300000 do x = x + k % 7 end coroutine.yield(i) end end)
        local out = {}
        for i = 1, 5 do out[#out + 1] = tostring(gen()) end
        local sum = 0
        for i = 1, 3000000 do sum = sum + i % 3 end
        return {table.concat(out, ','), sum}";
    let bench = Bench::new(&[("app/main.lua", &format!("return function() {body} end"))]);
    let mut invocation = invocation("main", "");
    invocation.limits.cpu = Duration::from_secs(60);
    assert_eq!(value(&bench.run(&invocation).await), r#"["1,2,3,4,5",3000000]"#);
}

/// The answer comes after the host was asked, and before the function waits for it.
#[tokio::test]
async fn a_function_that_is_preempted_before_it_waits_meets_the_answer_that_came_meanwhile() {
    let bench =
        Bench::new(&[("app/main.lua", "return function() return require('state').get('t', 'k') end")]);
    bench.host.put("t", "k", "7");
    bench.host.is_slow.set(true);
    // for many slices
    bench.host.busy_for.set(Duration::from_millis(50));
    let here = tokio::task::LocalSet::new();
    let run = here.spawn_local(async move { value(&bench.main("").await) });
    // a task of its own: nobody polls it but who has an answer for it
    here.run_until(async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(run.is_finished(), "it waits for what has come already");
        assert_eq!(run.await.expect("it does not panic"), "7");
    })
    .await;
}

#[tokio::test]
async fn a_machine_that_others_take_ends_no_function_that_did_nothing() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function() for i = 1, 3 do require('state').get('t', 'k') end return 'done' end",
    )]);
    let mut innocent = invocation("main", "");
    innocent.limits.cpu = Duration::from_millis(50);
    bench.host.still_for.set(innocent.limits.cpu * 2);
    assert_eq!(value(&bench.run(&innocent).await), r#""done""#);
}

#[tokio::test]
async fn waiting_past_the_wall_limit_ends_the_invocation_and_frees_what_it_waited_for() {
    let bench = Bench::new(&[
        ("app/main.lua", "return function() while true do pcall(require('state').get, 't', 'k') end end"),
        ("app/neighbour.lua", NEIGHBOUR),
    ]);
    bench.host.is_stuck.set(true);
    let mut stuck = invocation("main", "");
    stuck.limits.wall = Duration::from_millis(1);
    let outcome = bench.run(&stuck).await;
    assert_eq!(outcome.result.expect_err("over").kind, FailureKind::Wall);
    assert!(outcome.effects.is_empty());
    assert_eq!(value(&bench.run(&invocation("neighbour", "3")).await), "200");
    assert_eq!(Rc::strong_count(&bench.host), 1);
}

#[tokio::test]
async fn calls_nested_past_the_depth_end_the_invocation() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local flow = require 'flow' return function(n) if n == 0 then return 0 end return (flow.try('main', n - 1) or 0) + 1 end",
    )]);
    assert_eq!(value(&bench.main("32").await), "32");
    assert_eq!(bench.main("33").await.result.expect_err("too deep").kind, FailureKind::Depth);
}

#[tokio::test]
async fn output_past_its_limit_ends_the_invocation() {
    let cases = [
        "return ('x'):rep(2e6)",
        "pcall(function() for i = 1, 100 do topics.append('orders', {k = ('x'):rep(1e5)}) end end) return 1",
        "pcall(function() for i = 1, 100 do state.set('t', 'k', ('x'):rep(1e5)) end end) return 1",
        "pcall(topics.append, 'orders', {k = ('x'):rep(5e5)}) return 1",
    ];
    for body in cases {
        let source =
            format!("local topics, state = require 'topics', require 'state' return function() {body} end");
        let bench = Bench::new(&[("app/main.lua", &source)]);
        let mut invocation = invocation("main", "");
        invocation.limits.output = 1 << 20;
        invocation.limits.event = 400_000;
        let outcome = bench.run(&invocation).await;
        assert_eq!(outcome.result.expect_err(body).kind, FailureKind::Output, "{body}");
        assert!(outcome.effects.is_empty());
    }
}

#[tokio::test]
async fn a_limit_tells_where_the_function_was() {
    let bench = Bench::new(&[("app/main.lua", "return function()\n  while true do\n  end\nend")]);
    let mut invocation = invocation("main", "");
    invocation.limits = small();
    let failure = bench.run(&invocation).await.result.expect_err("endless");
    assert_eq!(failure.kind, FailureKind::Cpu);
    assert_eq!(failure.place.as_deref(), Some("app/main.lua:2"));
    assert!(failure.frame.contains("> 2 |   while true do"), "{}", failure.frame);
}

#[tokio::test]
async fn a_limit_in_a_callee_ends_the_caller_too_and_leaves_nothing() {
    let bench = Bench::new(&[
        (
            "app/main.lua",
            "local flow, state = require 'flow', require 'state' return function() state.set('t', 'a', 1) flow.try('endless') return 1 end",
        ),
        ("app/endless.lua", "return function() while true do end end"),
    ]);
    let mut invocation = invocation("main", "");
    invocation.limits = small();
    let outcome = bench.run(&invocation).await;
    let failure = outcome.result.expect_err("endless");
    assert_eq!((failure.kind, failure.place.as_deref()), (FailureKind::Cpu, Some("app/endless.lua:1")));
    assert!(outcome.effects.is_empty());
}

/// Each runs twice, one after the other: what the first leaves anywhere, the second finds.
#[tokio::test]
async fn nothing_that_an_invocation_leaves_behind_is_found_by_the_next() {
    let cases = [
        ("a global", "local was = secret secret = args return was"),
        ("a field of _G", "local was = rawget(_G, 'secret') rawset(_G, 'secret', args) return was"),
        (
            "a field of a project's module",
            "local m = require 'shared' local was = m.secret m.secret = args return was",
        ),
        ("an upvalue of a project's module", "return require('shared').swap(args)"),
        ("package.loaded", "local was = package.loaded.secret package.loaded.secret = args return was"),
        (
            "a metatable of the globals",
            "local was = getmetatable(_G).secret setmetatable(_G, {secret = args}) return was",
        ),
        ("a field of ctx", "local was = rawget(ctx, 'secret') rawset(ctx, 'secret', args) return was"),
        (
            "the environment of a function",
            "local was = getfenv(1).secret getfenv(1).secret = args return was",
        ),
        (
            "the environment of the thread",
            "local was = getfenv(0).secret getfenv(0).secret = args return was",
        ),
        (
            "the environment of who called",
            "local e = getfenv(2) local was = e.secret e.secret = args return was",
        ),
        (
            "a coroutine's globals",
            "return coroutine.wrap(function() local was = secret secret = args return was end)()",
        ),
        ("a chunk's globals", "return loadstring('local was = secret secret = ... return was')(args)"),
        (
            "a field of a response",
            "local r = getmetatable(response(200)) return type(r) == 'table' and r.secret or nil",
        ),
        (
            "the journal",
            "local was = require('state').get('t', 'secret') require('state').set('t', 'secret', args) return was",
        ),
        (
            "a weak table",
            "local m = require 'shared' m.weak = m.weak or setmetatable({}, {__mode = 'k'}) local was = m.weak[print] m.weak[print] = args return was",
        ),
    ];
    for (name, body) in cases {
        let main = format!("return function(args, ctx) {body} end");
        let shared =
            "local kept local M = {} function M.swap(v) local was = kept kept = v return was end return M";
        let bench = Bench::new(&[("app/main.lua", &main), ("lib/shared.lua", shared)]);
        assert_eq!(value(&bench.main("\"one\"").await), "null", "{name}");
        assert_eq!(value(&bench.main("\"two\"").await), "null", "{name}");
    }
}
