//! In a trigger, time and chance are those of the event: what runs again computes the same.

use bytes::Bytes;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{EventContext, Invocation, Origin, ReplayContext};
use weir_schema::{InvocationId, Millis, Offset, TopicName};

const DRAW: &str = "
    local time, random, uuid = require 'time', require 'random', require 'uuid'
    return function()
      return {time.now(), time.now_ms(), time.now_ns(), os.time(), os.date('!%Y-%m-%d'), uuid.v4(), uuid.v7(), random.id(),
        random.int(1, 1e9), random.string(8), math.random(), math.random(1, 1e9), random.shuffle({1, 2, 3, 4, 5, 6, 7, 8})}
    end";

fn bench() -> Bench {
    let bench = Bench::new(&[("app/main.lua", DRAW), ("app/other.lua", DRAW)]);
    bench.host.wall.set(1_900_000_000_000_000_000);
    bench
}

fn event(function: &str, offset: u64) -> Invocation {
    let event = EventContext {
        topic: TopicName::new("orders").expect("well-formed"),
        partition: 3,
        offset: Offset(offset),
        key: None,
        timestamp: Millis(1_700_000_000_123),
        headers: Bytes::new(),
    };
    Invocation { origin: Origin::Event(Box::new(event)), ..invocation(function, "{}") }
}

async fn drawn(invocation: &Invocation) -> String {
    value(&bench().run(invocation).await)
}

#[tokio::test]
async fn each_run_of_an_event_sees_its_time_and_draws_the_same() {
    let first = event("main", 7);
    let replay = ReplayContext { name: "again".into(), mode: "in-place", allow_http: [].into() };
    let again = Invocation { attempt: 4, id: InvocationId(99), replay: Some(replay), ..first.clone() };
    let drawn_first = drawn(&first).await;
    assert_eq!(drawn_first, drawn(&again).await, "another worker, another attempt, another group");
    assert!(
        drawn_first.starts_with(r#"[1700000000,1700000000123,1.700000000123e18,1700000000,"2023-11-14","#),
        "{drawn_first}"
    );
    assert_ne!(drawn_first, drawn(&event("main", 8)).await, "another event");
    assert_ne!(drawn_first, drawn(&event("other", 7)).await, "another function of the same event");
}

#[tokio::test]
async fn what_an_event_draws_stays_the_same_from_version_to_version() {
    let drawn = drawn(&event("main", 7)).await;
    assert!(drawn.ends_with(GOLDEN), "a replay of old events would compute something else: {drawn}");
}

/// From the first UUID on.
const GOLDEN: &str = r#""6d82307c-3544-4f80-a2f7-6620a299d60b","018bcfe5-687b-71f3-99e6-87cbe44f05e6","cl9v200cupj7enfp3ohg",992244672,"5JJovVnL",0.5954586221957483,562230535,[6,2,4,3,5,8,1,7]]"#;

#[tokio::test]
async fn a_request_and_a_trigger_that_asks_for_it_have_the_real_clock_and_draw_something_new() {
    let mut real = event("main", 7);
    real.limits.is_seeded = false;
    for run in [invocation("main", "{}"), real] {
        let (first, second) = (drawn(&run).await, drawn(&run).await);
        assert!(first.starts_with("[1900000000,1900000000000,"), "{first}");
        assert_ne!(first, second);
    }
}

#[tokio::test]
async fn some_are_never_seeded() {
    let source = "local time, random = require 'time', require 'random'
        return function() return {time.wall(), random.secure():hex(16)} end";
    let run = async || {
        let bench = Bench::new(&[("app/main.lua", source)]);
        bench.host.wall.set(1_900_000_000_500_000_000);
        value(&bench.run(&event("main", 7)).await)
    };
    let (first, second) = (run().await, run().await);
    assert!(first.starts_with("[1900000000.5,"), "{first}");
    assert_ne!(first, second);
}

#[tokio::test]
async fn a_seed_of_math_random_is_the_invocations_own() {
    let source = "return function(seed) if seed then math.randomseed(seed) end
        return {math.random(1, 1e9), math.random(1, 1e9)} end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    let seeded = value(&bench.main("42").await);
    assert_eq!(seeded, value(&bench.main("42").await));
    assert_ne!(seeded, value(&bench.main("43").await));
    assert_ne!(
        value(&bench.main("").await),
        value(&bench.main("").await),
        "left over from another invocation"
    );
}

#[tokio::test]
async fn math_random_keeps_to_its_interval() {
    let source = "return function()
        local seen = {}
        for _ = 1, 2000 do
          local x = math.random() assert(x >= 0 and x < 1)
          seen[math.random(3)] = true seen[math.random(7, 8)] = true
        end
        assert(not pcall(math.random, 2, 1)) assert(not pcall(math.random, 'x')) assert(not pcall(math.random, 0/0))
        local n = 0 for _ in seen do n = n + 1 end
        return {n, seen[1], seen[2], seen[3], math.random(5, 5)} end";
    let bench = Bench::new(&[("app/main.lua", source)]);
    assert_eq!(value(&bench.main("").await), "[5,true,true,true,5]");
}
