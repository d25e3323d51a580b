//! Functions that try to take a worker down: each ends in its own error, and the neighbours on its worker go on.

use std::rc::Rc;
use std::time::Duration;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{FailureKind, Limits};

const NEIGHBOUR: &str = "return function(n) local t = {} for i = 1, 200 do t[i] = i * n end return #t end";

/// What a hostile function may end in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Cpu,
    Memory,
    /// An error of its own that it could have caught.
    Raised,
    /// It is bounded, and so may return.
    Returned,
}

use End::{Cpu, Memory, Raised, Returned};

/// Name, body, and how it may end. Two ends where two limits are both near.
const CASES: &[(&str, &str, &[End])] = &[
    ("a loop", "while true do end", &[Cpu]),
    ("a loop with arithmetic", "local x = 0 while true do x = x + 1 end", &[Cpu]),
    ("a loop in pcall", "while true do pcall(function() while true do end end) end", &[Cpu]),
    (
        "a loop in xpcall with a handler that loops",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        &[Cpu],
    ),
    ("a loop in a coroutine", "coroutine.wrap(function() while true do end end)()", &[Cpu]),
    (
        "a loop of coroutines that catch",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
        &[Cpu],
    ),
    (
        "a loop in a coroutine in pcall",
        "while true do pcall(coroutine.wrap(function() pcall(function() while true do end end) end)) end",
        &[Cpu],
    ),
    ("a loop in __index", "return setmetatable({}, {__index = function() while true do end end}).x", &[Cpu]),
    ("a loop in a sort comparator", "table.sort({1, 2, 3, 4}, function() while true do end end)", &[Cpu]),
    ("a loop in a gsub callback", "string.gsub('a', 'a', function() while true do end end)", &[Cpu]),
    ("a loop that yields to nobody", "while true do coroutine.yield() end", &[Cpu]),
    ("a loop in a callee", "return flow.call('endless')", &[Cpu]),
    ("a loop in a callee that is caught", "while true do flow.try('endless') end", &[Cpu]),
    (
        "a loop in a callee in a comparator",
        "table.sort({1, 2, 3}, function() return flow.call('endless') end)",
        &[Cpu],
    ),
    ("a loop in a required module", "require 'endless_module'", &[Cpu]),
    ("string.rep of 1 GB", "return #(('x'):rep(1e9))", &[Memory]),
    ("string.rep of 1 GB that is caught", "pcall(string.rep, 'x', 1e9) return 1", &[Memory]),
    ("string.rep of nothing, often", "return #(''):rep(1e9)", &[Returned]),
    ("string.rep of inf", "return #('x'):rep(1/0)", &[Memory]),
    (
        "a result that shares its tables, 2^60 when written out",
        "local t = {} for _ = 1, 60 do t = {t, t} end return t",
        &[Raised],
    ),
    (
        "json.encode of tables that are shared",
        "local t = {} for _ = 1, 60 do t = {t, t} end return #require('json').encode(t)",
        &[Raised],
    ),
    (
        "an error whose __tostring loops",
        "local e = {} e.e = e error(setmetatable(e, {__tostring = function() while true do end end}))",
        &[Raised],
    ),
    ("a string that doubles", "local s = 'x' while true do s = s .. s end", &[Memory]),
    ("a table that grows", "local t, i = {}, 1 while true do t[i] = i i = i + 1 end", &[Memory]),
    ("many small strings", "local t, i = {}, 1 while true do t[i] = 'k' .. i i = i + 1 end", &[Memory]),
    (
        "tables that are caught",
        "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = {} end end) end",
        &[Memory],
    ),
    (
        "memory taken by a coroutine",
        "coroutine.wrap(function() local t = {} for i = 1, 1e9 do t[i] = {i} end end)()",
        &[Memory],
    ),
    ("memory taken by a callee", "flow.try('hungry') return 1", &[Memory]),
    ("table.create", "table.create(1e8, 1)", &[Memory]),
    ("table.create that is caught", "pcall(table.create, 1e8, 1) return 1", &[Memory]),
    ("buffer.create", "buffer.create(1e9)", &[Memory]),
    (
        "a concatenation of 1 GB",
        "local s, t = ('x'):rep(1e6), {} for i = 1, 1000 do t[i] = s end while true do pcall(table.concat, t) end",
        &[Memory],
    ),
    ("gsub to 1 GB", "local s = ('x'):rep(1e5) while true do pcall(string.gsub, s, 'x', s) end", &[Memory]),
    ("deep recursion", "local function f(n) return 1 + f(n + 1) end return f(1)", &[Raised]),
    (
        "deep recursion of pcall",
        "local function f() return pcall(f) end return tostring(f())",
        &[Returned, Raised],
    ),
    (
        "deep recursion of __index",
        "local t t = setmetatable({}, {__index = function(_, k) return t[k + 1] end}) return t[1]",
        &[Raised],
    ),
    (
        "deep recursion of gsub",
        "local function f() return (string.gsub('a', 'a', f)) end return f()",
        &[Raised],
    ),
    (
        "deep recursion of coroutines",
        "local function f() return coroutine.wrap(f)() end return f()",
        &[Raised, Memory],
    ),
    ("a pattern that blows up", "return string.find(('a'):rep(30000), ('.-'):rep(20) .. 'b')", &[Cpu]),
    ("a pattern of options", "return string.find(('a'):rep(28), ('a?'):rep(28) .. ('a'):rep(28))", &[Cpu]),
    ("gmatch that blows up", "for _ in (('a'):rep(30000)):gmatch(('.-'):rep(20) .. 'b') do end", &[Cpu]),
    (
        "find of a long plain text",
        "return tostring(string.find(('a'):rep(16e6), ('a'):rep(8e6) .. 'b', 1, true))",
        &[Returned],
    ),
    (
        "find of a long text without specials",
        "return tostring(string.find(('a'):rep(16e6), ('a'):rep(8e6) .. 'b'))",
        &[Returned],
    ),
    ("split by a long text", "return #string.split(('a'):rep(16e6), ('a'):rep(8e6) .. 'b')", &[Returned]),
    (
        "30 MB again and again",
        "local n = 0 for i = 1, 50 do n = n + #(('x'):rep(30 * 1024 * 1024)) end return n",
        &[Returned, Cpu, Memory],
    ),
    (
        "a sort of 1e6",
        "local t, x = {}, 42 for i = 1, 1e6 do x = (x * 1103515245 + 12345) % 2147483648 t[i] = x end table.sort(t) return #t",
        &[Returned, Cpu],
    ),
    (
        "concat of many",
        "local t = {} for i = 1, 1e6 do t[i] = 'abcdefgh' end local n = 0 for i = 1, 4 do n = n + #table.concat(t) end return n",
        &[Returned, Cpu, Memory],
    ),
    ("gsub on 20 MB", "return #(('ab'):rep(10 * 1024 * 1024):gsub('a', 'b'))", &[Returned, Cpu, Memory]),
    (
        "insert at the front",
        "local t = {} for i = 1, 100000 do table.insert(t, 1, i) end return #t",
        &[Returned, Cpu],
    ),
    ("table.move of 1e9", "table.move({}, 1, 1e9, 2)", &[Raised]),
    (
        "unpack of many",
        "local t = {} for i = 1, 1e6 do t[i] = i end return select('#', unpack(t))",
        &[Raised],
    ),
    ("a huge pad", "return #string.format('%99d', 1)", &[Returned]),
    (
        "a parser bomb",
        "local r, e = loadstring('return ' .. ('('):rep(30000) .. '1' .. (')'):rep(30000)) assert(r == nil and e) return 1",
        &[Returned],
    ),
    (
        "5 MB of source at run time",
        "local r, e = loadstring(('local x = 1\\n x = x + 1;'):rep(200000)) assert(r == nil) return e",
        &[Returned],
    ),
    (
        "bytecode at run time",
        "assert(loadstring('\\27Lua') == nil) assert(loadstring('\\7\\0\\0') == nil) return 1",
        &[Returned],
    ),
    ("json that holds itself", "local t = {} t.t = t return require('json').encode(t)", &[Raised]),
    ("json that is deep", "return require('json').decode(('['):rep(1e5))", &[Raised]),
    (
        "an error whose text is a loop",
        "error(setmetatable({}, {__tostring = function() while true do end end}))",
        &[Raised],
    ),
    ("an error in an error handler", "xpcall(error, function() error('again') end) return 1", &[Returned]),
];

fn small() -> Limits {
    Limits { cpu: Duration::from_millis(250), memory: 64 << 20, ..Limits::default() }
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
                (
                    format!("app/case{i}.lua"),
                    format!("local flow = require 'flow' return function() {body} end"),
                )
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
        for (i, (name, _, ends)) in CASES.iter().enumerate() {
            let got = runtime.block_on(meet(&bench, &format!("case{i}"), ends));
            if !ends.iter().any(|end| got == Ok(*end)) {
                wrong.push(format!("{name}: {got:?}, expected {ends:?}"));
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
            FailureKind::Raised if ends.contains(&Raised) => Ok(Raised),
            _ => Err(failure.message),
        },
    }
}

#[tokio::test]
async fn a_neighbour_finishes_while_a_loop_is_still_running() {
    let bench = Bench::new(&[
        ("app/main.lua", "return function() while true do end end"),
        ("app/neighbour.lua", NEIGHBOUR),
    ]);
    let mut endless = invocation("main", "");
    endless.limits = small();
    let neighbour = invocation("neighbour", "3");
    // the loop is polled first; it could only come second if it let the neighbours in
    let neighbours = async {
        for _ in 0..20 {
            assert_eq!(value(&bench.run(&neighbour).await), "200");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = bench.run(&endless) => panic!("the loop came first"),
        () = neighbours => {}
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
