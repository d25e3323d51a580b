//! Random programs against one worker: whatever they do, it goes on, what all functions share is as it was, and the
//! memory comes back.
//!
//! `WEIR_FUZZ_SEED=N` runs one seed and prints its program; `WEIR_FUZZ_SEEDS=N` runs the first N and, with
//! `-- --nocapture`, says which it is at, for one that ends the process.
#![expect(clippy::print_stderr, reason = "which program it was is the point")]

mod program;

use program::program;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use weir_runtime::test_support::{Bench, TestHost, invocation, value};
use weir_runtime::{Code, FailureKind, Invocation, Limits};

/// Programs of a run when nothing is said.
const SEEDS: u64 = 400;

/// Bytes that a worker may keep when all of them have ended.
const KEPT: usize = 4 << 20;

/// Lists every function and field that functions share, by name and kind.
const SHARED: &str = r#"
local function look(found, path, t)
    for name, value in pairs(t) do
        if type(name) == "string" then found[#found + 1] = path .. "['" .. name .. "'] " .. type(value) end
    end
end
return function(modules)
    local found = {}
    for _, name in ipairs(modules) do look(found, "require('" .. name .. "')", require(name)) end
    local globals = getmetatable(_G).__index
    while globals do
        for name, value in pairs(globals) do
            found[#found + 1] = name .. " " .. type(value)
            if type(value) == "table" then look(found, name, value) end
        end
        globals = (getmetatable(globals) or {}).__index
    end
    found[#found + 1] = ("x"):rep(2) .. string.upper("y") .. tostring(getmetatable("").__index == string) .. " text"
    table.sort(found)
    return found
end"#;

/// It computes and waits by turns.
const NEIGHBOUR: &str = "local state = require 'state'
return function(n)
    local sum = 0
    for i = 1, n do sum = sum + i + #tostring(state.get('t', 'k')) end
    return sum
end";

/// The harness's own business, or no business of a program that is to end.
const LEFT_OUT: [&str; 1] = ["collectgarbage"];

#[expect(clippy::disallowed_methods, reason = "a test is told by the environment which seeds to run")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn limits() -> Limits {
    Limits {
        cpu: Duration::from_millis(20),
        wall: Duration::from_millis(100),
        memory: 16 << 20,
        ..Limits::default()
    }
}

/// Modules that are no library's.
const MODULES: [&str; 8] = ["flow", "topics", "state", "json", "cjson", "cjson.safe", "log", "bit"];

async fn shared(bench: &Bench) -> Vec<String> {
    let modules: Vec<_> = MODULES.into_iter().chain(weir_library::MODULES.iter().map(|m| m.name)).collect();
    let modules = serde_json::to_string(&modules).expect("names");
    serde_json::from_str(&value(&bench.run(&patient("shared", &modules)).await)).expect("a list of names")
}

/// What ends however long the machine takes: it has other work too.
fn patient(function: &str, args: &str) -> Invocation {
    let limits = Limits { cpu: Duration::from_secs(60), wall: Duration::from_secs(60), ..Limits::default() };
    Invocation { limits, ..invocation(function, args) }
}

/// Runs a program; whether its file was taken, and how it ended.
async fn run(bench: &Bench, text: &str) -> Option<FailureKind> {
    let sources = [
        ("app/main.lua", text),
        ("app/callee.lua", "return function(args) return args end"),
        ("lib/a.lua", "return {}"),
    ];
    let code = Arc::new(Code::from_sources(sources));
    assert_eq!(code.errors(), [], "the generator writes Lua");
    let host = TestHost::new();
    host.put("t", "k", "1");
    host.is_slow.set(true);
    let mut invocation = invocation("main", r#"{"a":[1,"x",null]}"#);
    invocation.limits = limits();
    bench.worker.run(&code, &invocation, host).await.result.err().map(|failure| failure.kind)
}

#[test]
fn whatever_a_program_does_its_worker_goes_on_as_before() {
    // as the workers' threads
    let thread = std::thread::Builder::new().stack_size(8 << 20).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(run_all());
    });
    thread.expect("a thread").join().expect("no panic");
}

async fn run_all() {
    let bench = Bench::new(&[("app/shared.lua", SHARED), ("app/neighbour.lua", NEIGHBOUR)]);
    bench.host.put("t", "k", "7");
    bench.host.is_slow.set(true);
    let names = shared(&bench).await;
    let functions: Vec<_> = names
        .iter()
        .filter_map(|name| name.strip_suffix(" function"))
        .filter(|name| !LEFT_OUT.contains(name))
        .map(str::to_owned)
        .collect();
    assert!(functions.len() > 200, "{functions:?}");
    let one = number("WEIR_FUZZ_SEED");
    let many = number("WEIR_FUZZ_SEEDS");
    let seeds = one.map_or_else(|| 0..many.unwrap_or(SEEDS), |seed| seed..seed + 1);
    let (before, mut ends) = (bench.worker.settled_memory(), BTreeSet::new());
    for seed in seeds.clone() {
        let text = program(seed, &functions);
        if one.is_some() {
            eprintln!("{text}");
        } else if many.is_some() {
            eprintln!("seed {seed}");
        }
        let again = format!("run it again: WEIR_FUZZ_SEED={seed} cargo test -p weir-runtime --test fuzz");
        let neighbour = patient("neighbour", "20");
        let (end, beside) = tokio::join!(run(&bench, &text), bench.run(&neighbour));
        assert_eq!(value(&beside), "230", "what runs beside it is disturbed; {again}");
        ends.insert(end.as_ref().map_or("returned", FailureKind::code));
        assert_eq!(shared(&bench).await, names, "what functions share has changed; {again}");
    }
    let kept = bench.worker.settled_memory().saturating_sub(before);
    assert!(kept < KEPT, "{kept} bytes are kept");
    let is_whole = one.is_some() || ["returned", "raised", "limit_cpu"].iter().all(|end| ends.contains(end));
    assert!(is_whole, "programs end in few ways only: {ends:?}");
    eprintln!("{} programs ended in: {ends:?}", seeds.end - seeds.start);
}
