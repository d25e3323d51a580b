//! The Lua libraries at their edges; what they do in the middle, the examples of their stubs show.

mod documents;

use std::time::Duration;
use weir_runtime::FailureKind;
use weir_runtime::test_support::{Bench, invocation, value};

/// What `return { … }` comes to, with every module at hand by its name.
async fn answer(source: &str) -> String {
    let bench = Bench::new(&[("app/main.lua", &project(source))]);
    bench.host.wall.set(1_795_282_200_123_456_789);
    let outcome = bench.main("").await;
    match &outcome.result {
        Ok(_) => value(&outcome),
        Err(failure) => failure.message.clone(),
    }
}

/// A function with every module at hand by its name, and `list`, which takes nil too.
fn project(source: &str) -> String {
    let head = "setfenv(1, setmetatable({}, {__index = function(_, n) return _G[n] or require(n) end}))
        local function list(...)
          local t = json.array()
          for i = 1, select('#', ...) do t[i] = select(i, ...) == nil and json.null or (select(i, ...)) end
          return t
        end"
    .replace('\n', " ");
    format!("{head} return function() {source} end")
}

async fn check(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (source, expected) in cases {
        let got = answer(source).await;
        if got != *expected {
            wrong.push(format!("{source}\n  expected {expected}\n  but got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn misuse_is_raised_at_the_line_that_calls_and_names_function_and_argument() {
    check(&[
        ("\nbase64.encode(nil)", "app/main.lua:2: base64.encode: argument 1: text expected, got nil"),
        ("\n\ntime.sleep({})", "app/main.lua:3: time.sleep: argument 1: a number expected, got table"),
        (
            "random.int(1.5, 2)",
            "app/main.lua:1: random.int: argument 1: a whole number expected, got another number",
        ),
        (
            "re.escape('\\255')",
            "app/main.lua:1: re.escape: argument 1: text expected, got bytes that are not UTF-8",
        ),
        ("time.add(0, {days = 'x'})", "app/main.lua:1: time.add: a whole number expected, got string"),
        ("random.int(2, 1)", "app/main.lua:1: random.int: min 2 is above max 1"),
        (
            "random.seeded(1):int(1)",
            "app/main.lua:1: generator:int: argument 2: a whole number expected, got nil",
        ),
        (
            "random.seeded(1).int(1, 2)",
            "app/main.lua:1: generator:int: argument 0: a generator expected, got integer",
        ),
        ("return {pcall(hex.encode, {})}", r#"[false,"hex.encode: argument 1: text expected, got table"]"#),
    ])
    .await;
}

#[tokio::test]
async fn codecs_pass_over_line_breaks_and_padding_where_they_may() {
    check(&[
        (r"return {base64.decode('V2V\r\npcg==')}", r#"["Weir"]"#),
        ("return list(base64.decode('V2Vpcg'))", r#"[null,"invalid length at 4"]"#),
        (
            "return {base64.decode_url('-_8') == '\\251\\255', base64.decode_url('-_8=') == '\\251\\255'}",
            "[true,true]",
        ),
        (
            "return {base64.encode(''), base64.decode(''), hex.decode('0aFF') == '\\10\\255'}",
            r#"["","",true]"#,
        ),
        ("return {select('#', base64.encode('x')), select('#', base64.decode('?'))}", "[1,2]"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_large_is_worked_on_elsewhere_and_comes_out_the_same() {
    let bench = Bench::new(&[(
        "app/main.lua",
        &project("local s = ('weir '):rep(200000) return {#base64.encode(s), base64.decode(base64.encode(s)) == s,
            #strings.split(s, ' '), #strings.replace(s, 'weir', 'x'), #re.all(s, 'w'), strings.toUpper(s):sub(-5)}"),
    )]);
    let mut run = invocation("main", "");
    run.limits.cpu = Duration::from_secs(20);
    let outcome = bench.run(&run).await;
    assert_eq!(value(&outcome), r#"[1333336,true,200001,400000,200000,"WEIR "]"#);
    assert!(outcome.usage.cpu > Duration::ZERO);
}

#[tokio::test]
async fn a_result_past_the_memory_limit_ends_the_invocation_before_it_is_made() {
    for source in [
        "return strings.rep(('x'):rep(1000), 1e6)",
        "return strings.padLeft('x', 1e9)",
        "local s = ('a'):rep(1e6) return #strings.replace(s, 'a', s)",
        "local s = ('a'):rep(1e5) return #re.replace(s, 'a', s)",
        "local s = ('a,'):rep(1e6) local t = {} while true do t[#t + 1] = strings.split(s, ',') end",
    ] {
        let bench =
            Bench::new(&[("app/main.lua", &project(&format!("return {{pcall(function() {source} end)}}")))]);
        let mut run = invocation("main", "");
        run.limits.cpu = Duration::from_secs(20);
        let failure = bench.run(&run).await.result.expect_err(source);
        assert_eq!(failure.kind, FailureKind::Memory, "{source}: {}", failure.message);
    }
}

#[tokio::test]
async fn work_that_goes_on_for_long_is_ended_by_the_limit_of_cpu() {
    for source in [
        "local s = (', '):rep(4e6) strings.split(s, ',')",
        "local t = {} for i = 1, 1e6 do t[i] = i end while true do t = random.shuffle(t) end",
    ] {
        let bench = Bench::new(&[("app/main.lua", &project(source))]);
        let mut run = invocation("main", "");
        run.limits.cpu = Duration::from_millis(50);
        let failure = bench.run(&run).await.result.expect_err(source);
        assert_eq!(failure.kind, FailureKind::Cpu, "{source}: {}", failure.message);
    }
}

#[tokio::test]
async fn strings_are_cut_between_characters_and_joined_of_numbers() {
    check(&[
        ("return strings.split('', '')", "[]"),
        ("return strings.split('a€b', '')", r#"["a","€","b"]"#),
        ("return {#strings.split('a\\255', '')}", "[2]"),
        ("return strings.fields('  a\\tb \\n c ')", r#"["a","b","c"]"#),
        ("return strings.lines('a\\r\\n\\nb\\n')", r#"["a","","b"]"#),
        ("return strings.lines('')", "[]"),
        ("return strings.join({1, 'a', 2.5}, '-')", r#""1-a-2.5""#),
        ("return strings.join({{}}, '-')", "app/main.lua:1: strings.join: entry 1 is a table; text expected"),
        ("return strings.replace('aaa', 'a', 'b', -1) .. strings.replace('aaa', 'a', 'b', 2)", r#""bbbbba""#),
        ("return strings.padLeft('ü', 3, 'äö') .. strings.padRight('abc', 2)", r#""äöüabc""#),
        ("return strings['repeat']('ab', 2) .. strings.rep('x', -1)", r#""abab""#),
    ])
    .await;
}

#[tokio::test]
async fn addresses_are_taken_apart_as_go_does() {
    check(&[
        ("return url.parse('/a%2Fb?x=1&y').path", r#""/a/b""#),
        (
            "local u = url.parse('mailto:ada@x.example') return {u.scheme, u.host, u.path}",
            r#"["mailto","","ada@x.example"]"#,
        ),
        ("return url.parse('http://[::1]:80/').host", r#""[::1]:80""#),
        ("return list(url.parse('http://x:y/'))", r#"[null,"port \"y\" is no number"]"#),
        ("return list(url.parse('1http://x'))", r#"[null,"\"1http\" is no scheme"]"#),
        ("return list(url.parse('http://x/%2'))", r#"[null,"invalid URL escape \"%2\""]"#),
        ("return url.encode('a b&ü/~')", r#""a+b%26%C3%BC%2F~""#),
        ("return list(url.decode('a+b%26'), url.decode('%'))", r#"["a b&",null,"invalid URL escape \"%\""]"#),
        (
            "return url.build(url.parse('https://a:b@h:1/p%20q?k=v&k=w#f'))",
            r#""https://a:b@h:1/p%20q?k=v&k=w#f""#,
        ),
        ("return {#url.encode((' '):rep(300000)), #url.decode(('%20'):rep(300000))}", "[300000,300000]"),
        (
            "return list(url.parse(('x'):rep(65537)))",
            r#"[null,"an address of 65537 bytes; the limit is 65536"]"#,
        ),
        ("return url.query({a = {}})", r#""""#),
        ("return url.query({a = {b = 1}})", r#""""#),
        (
            "return url.query({a = print})",
            "app/main.lua:1: url.query: a value of the query is a function; text expected",
        ),
    ])
    .await;
}

#[tokio::test]
async fn times_are_read_and_written_in_zones_and_gos_layouts() {
    check(&[
        ("return {time.now(), time.now_ms(), time.wall()}", "[1795282200,1795282200123,1795282200.1234567]"),
        ("return time.rfc3339(1.5)", r#""1970-01-01T00:00:01.5Z""#),
        ("return time.rfc3339(-0.25)", r#""1969-12-31T23:59:59.75Z""#),
        ("return time.format(0, time.RFC3339, '+05:30')", r#""1970-01-01T05:30:00+05:30""#),
        ("return time.format(0.5, '2006-1-2 3:4:5.000 PM Mon Jan _2')", r#""1970-1-1 12:0:0.500 AM Thu Jan  1""#),
        ("return time.format(0.5, '15:04:05.999|05.999999')", r#""00:00:00.5|00.5""#),
        ("return time.format(0, '15:04:05.999 January Monday 06')", r#""00:00:00 January Thursday 70""#),
        ("return time.parse('2026-11-21T12:00:00.25+01:00', time.RFC3339)", "1795258800.25"),
        ("return time.parse('2026-11-21T12:00:00Z', time.RFC3339, 'Asia/Tokyo')", "1795262400"),
        ("return time.parse('Sat, 21 Nov 2026 12:00:00 GMT', time.RFC1123)", "1795262400"),
        ("return time.parse('11/21/26 3:04 pm', '1/2/06 3:04 pm')", "1795273440"),
        ("return (time.parse('2026-02-30', time.DateOnly))", "null"),
        ("return time.strptime('21.11.2026 12:00', '%d.%m.%Y %H:%M', 'Europe/Berlin')", "1795258800"),
        ("return time.add(time.of({year = 2026, month = 1, day = 31}), {months = 1})", "1772236800"),
        ("return time.rfc3339(time.add(time.of({year = 2026, month = 3, day = 28, hour = 12}, 'Europe/Berlin'), {days = 1}, 'Europe/Berlin'))", r#""2026-03-29T10:00:00Z""#),
        ("local d = time.date(0, 'America/New_York') return {d.year, d.month, d.day, d.hour, d.wday, d.yday, d.zone, d.offset, d.isdst}", r#"[1969,12,31,19,4,365,"EST",-18000,false]"#),
        ("time.format(0, '2006', 'Mars/Olympus')", "app/main.lua:1: time.format: there is no zone \"Mars/Olympus\": write one as \"Europe/Berlin\" or \"+02:00\""),
        ("time.rfc3339(1e300)", "app/main.lua:1: time.rfc3339: 1e300 seconds from 1970 are beyond the calendar"),
        ("time.add(0, {moons = 1})", "app/main.lua:1: time.add: \"moons\" is no unit: years, months, weeks, days, hours, minutes, seconds, ms"),
        ("return {time.duration('90s'), time.duration('-2h'), (time.duration('soon'))}", "[90,-7200]"),
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn sleep_lets_others_run_and_ends_with_the_wall_limit() {
    let bench = Bench::new(&[("app/main.lua", &project("time.sleep(3000) return 'woke'"))]);
    let began = tokio::time::Instant::now();
    let outcome = bench.main("").await;
    assert_eq!(value(&outcome), r#""woke""#);
    assert_eq!(began.elapsed().as_millis(), 3000);
    assert!(outcome.usage.cpu < Duration::from_secs(1), "{:?}", outcome.usage);
    let mut short = invocation("main", "");
    short.limits.wall = Duration::from_secs(1);
    let failure = bench.run(&short).await.result.expect_err("the wall limit");
    assert_eq!(failure.kind, FailureKind::Wall);
}

#[tokio::test]
async fn expressions_find_groups_by_number_and_name_and_never_explode() {
    check(&[
        ("local m = re.match('k=v', '(?<key>\\\\w)=(x)?(v)') return {m[0], m[1], m.key, m[2] == nil, m[3]}", r#"["k=v","k","k",true,"v"]"#),
        ("return list((re.find('a', 'b')), re.find('aXbX', 'X', 3))", "[null,4,4]"),
        ("return list((re.match('a', 'b')), #re.all('', 'x'))", "[null,0]"),
        ("return re.split('a1b22c', '[0-9]+')", r#"["a","b","c"]"#),
        ("return re.split('a1b22c', '[0-9]+', 2)", r#"["a","b22c"]"#),
        ("return {re.replace('abc', 'b', '$$', 1)}", r#"["a$c",1]"#),
        ("return re.is_match('GRÜN', '(?i)grün')", "true"),
        ("return re.is_match('a.c', '^' .. re.escape('a.c') .. '$')", "true"),
        ("return re.is_match(('a'):rep(3000), '(a*)*b')", "false"),
        ("return re.is_match(('a'):rep(1000000), '(a|aa)+$')", "true"),
        ("re.is_match('a', '(?=a)')", "app/main.lua:1: re.is_match: look-around, including look-ahead and look-behind, is not supported"),
        ("return list(re.check('((((a{100}){100}){100}){100})'))", r#"[null,"the pattern takes more than 1048576 bytes when it is compiled"]"#),
    ])
    .await;
}

#[tokio::test]
async fn the_cache_gives_copies_and_forgets_in_time() {
    let bench = Bench::new(&[
        ("app/put.lua", "local cache = require 'cache' return function() local t = {n = 1}
            cache.set('k', t, {ttl = '10s'}) t.n = 2 cache.get('k').n = 3 cache.incr('c', 2, {ttl = 5}) return cache.get('k').n end"),
        ("app/get.lua", "local cache = require 'cache' return function()
            return {cache.get('k') and cache.get('k').n or 'gone', cache.incr('c'), cache.add('k', 1)} end"),
        ("app/wrong.lua", "local cache = require 'cache' return function() cache.set('k', 1, {ttl = 'soon'}) end"),
        ("app/large.lua", "local cache = require 'cache' return function() cache.set('k', ('x'):rep(2000000)) end"),
    ]);
    let run = async |name: &str| bench.run(&invocation(name, "")).await;
    assert_eq!(value(&run("put").await), "1");
    assert_eq!(value(&run("get").await), "[1,3,false]");
    bench.host.wall.set(7_000_000_000);
    assert_eq!(value(&run("get").await), "[1,1,false]", "the count's time was up, the value's not");
    bench.host.wall.set(10_000_000_000);
    assert_eq!(value(&run("get").await), r#"["gone",2,true]"#);
    let said = async |name: &str| run(name).await.result.expect_err(name).message;
    assert!(said("wrong").await.ends_with("cache.set: ttl is a number of seconds, or a duration as \"30s\""));
    assert!(said("large").await.contains("the limit is 1048576"));
}

#[tokio::test]
async fn a_time_to_live_is_written_as_all_durations_are() {
    check(&[
        ("cache.set('k', 1, {ttl = '7d'}) return cache.get('k')", "1"),
        ("cache.set('k', 1, {ttl = '0'}) return cache.get('k')", "null"),
        (
            "cache.set('k', 1, {ttl = '1h30m'})",
            "app/main.lua:1: cache.set: ttl is a number of seconds, or a duration as \"30s\"",
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_cache_keeps_to_its_size() {
    let bench = Bench::new(&[(
        "app/main.lua",
        &project(
            "local big = ('x'):rep(1000000) for i = 1, 200 do cache.set('k' .. i, big) end
            local kept = 0 for i = 1, 200 do if cache.get('k' .. i) then kept = kept + 1 end end return kept",
        ),
    )]);
    let mut run = invocation("main", "");
    run.limits.cpu = Duration::from_secs(20);
    let kept: u32 = value(&bench.run(&run).await).parse().expect("a number");
    assert!((1..=67).contains(&kept), "{kept} MB are kept");
}
