//! What functions do to topics and state: composed, laid over what is read, undone with a callee that fails.

use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{FailureKind, LogLevel, Outcome};
use weir_schema::{Millis, Op};

const PRELUDE: &str = "local topics, state, flow = require 'topics', require 'state', require 'flow'\n";

async fn run_with(sources: &[(&str, &str)], prepare: impl FnOnce(&Bench)) -> Outcome {
    let sources: Vec<_> = sources
        .iter()
        .map(|(path, body)| (*path, format!("{PRELUDE}return function(args, ctx) {body} end")))
        .collect();
    let sources: Vec<_> = sources.iter().map(|(path, source)| (*path, source.as_str())).collect();
    let bench = Bench::new(&sources);
    prepare(&bench);
    bench.main("{}").await
}

async fn run(body: &str) -> Outcome {
    run_with(&[("app/main.lua", body)], |_| {}).await
}

/// Key and value of each event, in order.
fn events(outcome: &Outcome) -> Vec<(String, String)> {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or_else(|| "-".to_owned(), |b| String::from_utf8_lossy(b).into_owned())
    };
    outcome.effects.appends.iter().map(|r| (text(r.key()), text(r.value()))).collect()
}

/// Table, key and operation of each write, in order.
fn writes(outcome: &Outcome) -> Vec<String> {
    let shown = outcome.effects.writes.iter().map(|(key, op)| {
        let row = format!("{}/{}", key.table, String::from_utf8_lossy(&key.key));
        match op {
            Op::Put { value, expires: None } => format!("{row}={}", String::from_utf8_lossy(value)),
            Op::Put { value, expires: Some(at) } => {
                format!("{row}={} until {}", String::from_utf8_lossy(value), at.0)
            }
            Op::Delete => format!("{row} deleted"),
            Op::Add(n) => format!("{row}+{n}"),
        }
    });
    shown.collect()
}

fn raised(outcome: &Outcome) -> (FailureKind, String) {
    let failure = outcome.result.as_ref().expect_err("it fails");
    (failure.kind.clone(), failure.message.clone())
}

fn pairs(list: &[(String, String)]) -> Vec<(&str, &str)> {
    list.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect()
}

#[tokio::test]
async fn the_hash_form_appends_in_byte_order_of_its_keys_and_returns_ok() {
    let outcome = run("return topics.append('orders', {b = 2, a = {x = 1}, ['\\255'] = 'z', B = 1})").await;
    assert_eq!(value(&outcome), r#""ok""#);
    let list = events(&outcome);
    assert_eq!(pairs(&list), [("B", "1"), ("a", r#"{"x":1}"#), ("b", "2"), ("\u{fffd}", r#""z""#)]);
}

#[tokio::test]
async fn the_list_form_keeps_its_order_repeats_keys_and_takes_headers() {
    let outcome = run("topics.append('orders', {{key = 'b', value = 1, headers = {h = 'v', n = 1}}, {key = 'b', value = 2}, {value = 3}})").await;
    let list = events(&outcome);
    assert_eq!(pairs(&list), [("b", "1"), ("b", "2"), ("-", "3")]);
    let first = outcome.effects.appends.get(0).expect("one");
    assert_eq!((first.header("h"), first.header("n")), (Some(&b"v"[..]), Some(&b"1"[..])));
}

#[tokio::test]
async fn what_cannot_be_appended_is_an_error_at_the_place_of_the_call() {
    let cases = [
        ("topics.append('orders', {[7] = 'x'})", "entry 7: keys are text, write [tostring(id)]"),
        ("topics.append('orders', {{value = 1}, {}})", "keys are text"),
        ("topics.append('orders', {{value = 1}, a = 1})", "keys are text"),
        ("topics.append('orders', {{key = 7, value = 1}})", "entry 1: the key is a"),
        ("topics.append('orders', {{value = 1, headers = {['Weir-Cause'] = 'x'}}})", "reserved"),
        ("topics.append('orders', {{value = 1, vaule = 1}})", "vaule is not known"),
        ("topics.append('orders', {a = print})", "entry \"a\": the value has no JSON form"),
        ("topics.append('nowhere', {a = 1})", "topic \"nowhere\" is not declared"),
        ("topics.append('orders')", "a text and a table expected"),
        ("topics.append('orders', {a = 1}, {now = true})", "option now is not known"),
    ];
    for (source, expected) in cases {
        let (kind, message) = raised(&run(source).await);
        assert_eq!(kind, FailureKind::Raised, "{source}");
        assert!(message.starts_with("app/main.lua:2: ") && message.contains(expected), "{source}: {message}");
    }
}

#[tokio::test]
async fn keys_are_placed_by_the_partitioner_and_keyless_events_spread_the_same_way_each_time() {
    let body = "for i = 1, 8 do topics.append('orders', {{value = i}}) end topics.append('orders', {same = 1}) topics.append('orders', {same = 2})";
    let places = async || {
        let outcome = run(body).await;
        outcome.effects.appends.iter().map(|r| r.meta.at.partition).collect::<Vec<_>>()
    };
    let first = places().await;
    assert_eq!(first, places().await);
    assert_eq!(first[8], first[9]);
    let mut seen = first[..8].to_vec();
    seen.sort_unstable();
    assert_eq!(seen, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[tokio::test]
async fn an_immediate_append_returns_its_places_and_is_numbered() {
    let body = "local r = topics.append('orders', {a = 1, b = 2}, {immediate = true}) topics.append('emails', {c = 1}, {immediate = true}) return {#r, r[2].offset, type(r[1].partition)}";
    let bench = Bench::new(&[("app/main.lua", &format!("{PRELUDE}return function() {body} end"))]);
    let outcome = bench.main("").await;
    assert_eq!(value(&outcome), r#"[2,1,"number"]"#);
    assert!(outcome.effects.is_empty());
    let immediate = bench.host.immediate.borrow();
    assert_eq!(immediate.iter().map(|(n, r)| (*n, r.len())).collect::<Vec<_>>(), [(0, 2), (1, 1)]);
}

#[tokio::test]
async fn the_append_past_the_hop_limit_ends_the_invocation_with_its_chain() {
    let bench = Bench::new(&[(
        "app/main.lua",
        &format!("{PRELUDE}return function() pcall(topics.append, 'orders', {{a = 1}}) return 1 end"),
    )]);
    let mut invocation = invocation("main", "");
    invocation.hops = 64;
    assert_eq!(value(&bench.run(&invocation).await), "1");
    invocation.hops = 65;
    let (kind, message) = raised(&bench.run(&invocation).await);
    assert_eq!(kind, FailureKind::Loop);
    assert!(message.contains("hop 65") && message.contains("orders/0/17 ← on_order"), "{message}");
}

#[tokio::test]
async fn state_is_read_through_own_writes() {
    let body = "
        local seen = {state.get('t', 'a')}
        state.set('t', 'a', {n = 2}) seen[2] = state.get('t', 'a').n
        state.delete('t', 'a') seen[3] = state.get('t', 'a') == nil
        seen[4] = state.incr('t', 'c') seen[5] = state.incr('t', 'c', 5)
        state.add('t', 'd', 3) seen[6] = state.get('t', 'd')
        state.add('t', 'd', -1) seen[7] = state.get('t', 'd')
        return seen";
    let outcome = run_with(&[("app/main.lua", body)], |bench| {
        bench.host.put("t", "a", "1");
        bench.host.put("t", "c", "10");
        bench.host.put("t", "d", "40");
    })
    .await;
    assert_eq!(value(&outcome), "[1,2,true,11,16,43,42]");
    assert_eq!(writes(&outcome), ["t/a deleted", "t/c=16", "t/d+2"]);
    let writers: Vec<_> = outcome.effects.writers.iter().map(|(f, t)| format!("{f} {t}")).collect();
    assert_eq!(writers, ["main t"]);
}

#[tokio::test]
async fn blind_adds_read_nothing_and_own_writes_are_not_reads() {
    let bench = Bench::new(&[(
        "app/main.lua",
        &format!(
            "{PRELUDE}return function() state.add('t', 'a') state.set('t', 'b', 1) state.get('t', 'b') state.delete('t', 'c') end"
        ),
    )]);
    let outcome = bench.main("").await;
    assert_eq!(writes(&outcome), ["t/a+1", "t/b=1", "t/c deleted"]);
    assert!(bench.host.reads.borrow().is_empty());
}

#[tokio::test]
async fn a_time_to_live_counts_from_the_invocations_clock() {
    let outcome = run_with(
        &[("app/main.lua", "state.set('t', 'a', 1, {ttl = '24h'}) state.incr('t', 'a')")],
        |bench| bench.host.now.set(1000),
    )
    .await;
    assert_eq!(writes(&outcome), [format!("t/a=2 until {}", Millis(1000 + 86_400_000).0)]);
}

#[tokio::test]
async fn a_counter_that_is_incremented_expires_when_it_did() {
    let body = "state.incr('t', 'a') state.add('t', 'b') state.incr('t', 'b') state.incr('t', 'gone')
        state.set('t', 'a2', 1, {ttl = '1s'}) state.incr('t', 'a2') state.set('t', 'a2', 5)";
    let outcome = run_with(&[("app/main.lua", body)], |bench| {
        bench.host.now.set(1000);
        for (key, expires) in [("a", 2000), ("b", 3000), ("gone", 1000)] {
            bench.host.put_until("t", key, "7", Some(Millis(expires)));
        }
    })
    .await;
    let wanted = ["t/a=8 until 2000", "t/b=9 until 3000", "t/gone=1", "t/a2=5"];
    assert_eq!(writes(&outcome), wanted, "what has expired begins anew, and a plain set never expires");
}

#[tokio::test]
async fn a_stored_null_is_not_a_missing_row() {
    let outcome = run_with(&[("app/main.lua", "local null = require('json').null return {state.get('t', 'null') == null, state.get('t', 'none') == nil, state.get('t', 'text')}")], |bench| {
        bench.host.put("t", "null", "null");
        bench.host.put("t", "text", "no json");
    }).await;
    assert_eq!(value(&outcome), r#"[true,true,"no json"]"#);
}

#[tokio::test]
async fn what_state_refuses_is_an_error_that_says_why() {
    let cases = [
        ("state.set('t', 'a', nil)", "use state.delete"),
        ("state.get('_weir_parked', 'a')", "reserved"),
        ("state.set('_weir_parked', 'a', 1)", "reserved"),
        ("state.scan('_weir_parked')", "reserved"),
        ("state.get('a b', 'a')", "a table has"),
        ("state.get('t', 7)", "keys are text, write tostring(id)"),
        ("state.set('t', 'a', 1, {ttl = 60})", "ttl is text"),
        ("state.set('t', 'a', 1, {ttl = '60'})", "duration"),
        ("state.set('t', 'a', 1, {tll = '1s'})", "option tll is not known"),
        ("state.incr('t', 'text')", "not a whole number"),
        ("state.incr('t', 'a', 1.5)", "not a whole number"),
        ("state.add('t', 'a', 2^53)", "not a whole number"),
        ("state.set('t', 'x', 'y') state.add('t', 'x')", "not a whole number"),
        ("state.scan('t', {limit = 1001})", "not from 1 to 1000"),
        ("state.set('t', 'a', {f = print})", "at f: a function has no JSON form"),
    ];
    for (source, expected) in cases {
        let outcome =
            run_with(&[("app/main.lua", source)], |bench| bench.host.put("t", "text", "\"x\"")).await;
        let (kind, message) = raised(&outcome);
        assert_eq!(kind, FailureKind::Raised, "{source}");
        assert!(message.starts_with("app/main.lua:2: ") && message.contains(expected), "{source}: {message}");
    }
}

#[tokio::test]
async fn a_scan_sees_own_writes_in_byte_order_page_by_page() {
    let body = "
        state.set('t', 'eu/b2', 'own') state.delete('t', 'eu/a') state.add('t', 'eu/n', 2) state.add('t', 'eu/new', 1)
        state.set('t', 'us/x', 'other')
        local keys, after = {}, nil
        for _ = 1, 10 do
          local page = state.scan('t', {prefix = 'eu/', after = after, limit = 2})
          if #page == 0 then break end
          for _, row in ipairs(page) do keys[#keys + 1] = row.key .. '=' .. tostring(row.value) after = row.key end
        end
        return keys";
    let outcome = run_with(&[("app/main.lua", body)], |bench| {
        for (key, row) in
            [("eu/a", "1"), ("eu/b", "1"), ("eu/c", "1"), ("eu/n", "40"), ("us/a", "1"), ("a", "1")]
        {
            bench.host.put("t", key, row);
        }
    })
    .await;
    assert_eq!(value(&outcome), r#"["eu/b=1","eu/b2=own","eu/c=1","eu/n=42","eu/new=1"]"#);
}

#[tokio::test]
async fn a_shadow_writes_its_own_generation() {
    let outcome = run_with(&[("app/main.lua", "state.set('t', 'a', 1)")], |bench| {
        bench.host.generations.borrow_mut().insert("t".into(), 3);
    })
    .await;
    assert_eq!(outcome.effects.writes[0].0.generation, 3);
}

#[tokio::test]
async fn a_called_function_joins_the_transaction_and_shares_no_table() {
    let sources = [
        (
            "app/main.lua",
            "local a = {n = 1} local r = flow.call('callee', a) r.list[1] = 9 return {a.n, r.n, r.list[1], ctx.id == r.id, state.get('t', 'k'), leaked == nil}",
        ),
        (
            "app/callee.lua",
            "args.n = 2 leaked = 1 state.set('t', 'k', 'callee') topics.append('orders', {c = 1}) return {n = args.n, list = {1}, id = ctx.id}",
        ),
    ];
    let outcome = run_with(&sources, |_| {}).await;
    assert_eq!(value(&outcome), r#"[1,2,9,true,"callee",true]"#);
    assert_eq!(writes(&outcome), [r#"t/k="callee""#]);
    assert_eq!(events(&outcome).len(), 1);
}

#[tokio::test]
async fn a_failed_call_raises_a_text_that_holds_the_callees_body_and_undoes_its_effects() {
    let callees = [
        ("return nil, {code = 7}", 400, r#"{"error":{"code":7}}"#, r#"{"code":7}"#),
        ("error('boom', 0)", 500, r#"{"error":"boom"}"#, r#""boom""#),
        ("return response(404, {error = 'gone'})", 404, r#"{"error":"gone"}"#, r#"{"error":"gone"}"#),
    ];
    for (callee, status, body, error) in callees {
        let callee = format!(
            "state.set('t', 'k', 'undone') state.add('t', 'n') topics.append('orders', {{c = 1}}) {callee}"
        );
        let main = "
            state.set('t', 'k', 'mine')
            local ok, text = pcall(flow.call, 'callee', {})
            local got, err = flow.try('callee', {})
            return {ok, type(text), text, got == nil, err.status, err.error, state.get('t', 'k')}";
        let outcome = run_with(&[("app/main.lua", main), ("app/callee.lua", &callee)], |_| {}).await;
        let text = serde_json::to_string(&format!("weir/flow.lua:17: {body}")).expect("text");
        assert_eq!(value(&outcome), format!(r#"[false,"string",{text},true,{status},{error},"mine"]"#));
        assert_eq!(writes(&outcome), [r#"t/k="mine""#], "{callee}");
        assert!(events(&outcome).is_empty());
    }
}

#[tokio::test]
async fn a_missing_callee_is_not_found_and_an_uncaught_failure_keeps_its_text() {
    let outcome = run("local _, err = flow.try('nowhere') return err").await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&value(&outcome)).expect("JSON"),
        serde_json::json!({"status": 404, "error": "not found"})
    );
    let failure = run("flow.call('nowhere')").await.result.expect_err("raises");
    assert_eq!(failure.message, r#"weir/flow.lua:17: {"error":"not found"}"#);
    assert_eq!(failure.place.as_deref(), Some("app/main.lua:2"));
}

#[tokio::test]
async fn a_response_of_a_callee_is_its_body_when_it_is_a_success() {
    let outcome = run_with(
        &[
            ("app/main.lua", "return flow.call('callee').n"),
            ("app/callee.lua", "return response(201, {n = 5})"),
        ],
        |_| {},
    )
    .await;
    assert_eq!(value(&outcome), "5");
}

#[tokio::test]
async fn callees_may_wait_in_coroutines_and_below_what_cannot_yield() {
    let sources = [
        ("app/main.lua", "
            local co = coroutine.wrap(function() coroutine.yield(flow.call('callee', {n = 1})) return flow.call('callee', {n = 2}) end)
            local list = {3, 1, 2}
            table.sort(list, function(a, b) return flow.call('pure', {a = a, b = b}) end)
            return {co(), co(), list[1], list[3]}"),
        ("app/callee.lua", "return args.n + state.get('t', 'k')"),
        ("app/pure.lua", "return args.a < args.b"),
    ];
    let outcome = run_with(&sources, |bench| {
        bench.host.put("t", "k", "10");
        bench.host.is_slow.set(true);
    })
    .await;
    assert_eq!(value(&outcome), "[11,12,1,3]");
}

#[tokio::test]
async fn a_big_integer_warns_with_its_path_and_the_call_goes_on() {
    let bench = Bench::new(&[("app/main.lua", "return function(args) return args.id > 0 end")]);
    let invocation = invocation("main", r#"{"id": 9007199254740993}"#);
    for _ in 0..2 {
        assert_eq!(value(&bench.run(&invocation).await), "true");
    }
    assert_eq!(bench.host.lines.borrow().iter().filter(|l| l.0 == LogLevel::Warn).count(), 1);
}
