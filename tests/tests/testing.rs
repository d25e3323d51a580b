//! `weir test`: what counts as a test, what a test may do to its project, and what is told of one that fails.

use weir_tests::{Finished, PATIENCE, Sandbox, eventually};

const PROJECT: &str = "appName: tested\ntopics: [orders, emails]\nevents: {orders: {APPEND: [on_order]}}\n";

/// A trigger that counts and writes a mail; bad orders fail.
const ON_ORDER: &str = r#"local state, topics = require "state", require "topics"
return function(order, ctx)
    if order.bad then error("bad order", 0) end
    state.add("counts", order.sku, 1)
    topics.append("emails", {{key = order.sku, value = {order = ctx.offset, at = ctx.timestamp}}})
end"#;

/// Runs these files of `test/`, by name.
async fn test(files: &[(&str, &str)], args: &[&str]) -> Finished {
    let sandbox = Sandbox::builder().config(PROJECT).file("app/on_order.lua", ON_ORDER);
    let sandbox = sandbox.file("lib/shared.lua", "return {n = 0}");
    let sandbox = files
        .iter()
        .fold(sandbox, |sandbox, (name, text)| sandbox.file(&format!("test/{name}.lua"), text))
        .build();
    sandbox.weir(&[&["test"], args].concat()).await
}

/// The lines that say how tests ended.
fn results(finished: &Finished) -> Vec<&str> {
    finished.stdout.lines().filter(|l| l.starts_with("ok ") || l.starts_with("not ok ")).collect()
}

#[tokio::test]
async fn the_tests_of_the_examples_pass() {
    for example in ["hello", "shop", "spacer-blog"] {
        let tested = Sandbox::builder().example(example).build().weir(&["test"]).await.succeeded();
        assert!(!results(&tested).is_empty(), "{example} has no test");
    }
}

#[tokio::test]
async fn tests_are_the_functions_and_classes_that_are_named_so_and_files_named_so_come_first() {
    let files = [
        ("orders", "function test_last() end"),
        ("helper", "return {other = function() end}"),
        (
            "test_classes",
            "TestOne = {test_a = function() end, other = 1}\nfunction TestOne:test_b() end\nfunction not_one() end",
        ),
        ("test_table", "return {test_of_table = function() end}"),
    ];
    let tested = test(&files, &[]).await.succeeded();
    let expected = [
        "TAP version 13",
        "1..4",
        "ok 1 - test/test_classes.lua: TestOne.test_a",
        "ok 2 - test/test_classes.lua: TestOne.test_b",
        "ok 3 - test/test_table.lua: test_of_table",
        "ok 4 - test/orders.lua: test_last",
        "# 4 tests, 0 failed",
    ];
    assert_eq!(tested.stdout.lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn patterns_choose_tests_by_a_part_of_their_name() {
    let files =
        [("test_a", "function test_x() end function test_y() end"), ("test_b", "function test_x() end")];
    assert_eq!(results(&test(&files, &["test_a.lua: test_x", "_b.lua"]).await.succeeded()).len(), 2);
    let none = test(&files, &["nowhere"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), ""));
    assert!(none.stderr.contains("no test's name holds nowhere"), "{}", none.stderr);
}

#[tokio::test]
async fn a_failure_shows_its_place_its_source_and_where_tables_differ() {
    let text = "local lu = require 'luaunit'\nfunction test_it()\n  print('seen')\n  lu.assertEquals({a = {1, 2}, b = 'x'}, {a = {1, 3}, c = true})\nend";
    let failed = test(&[("test_a", text)], &[]).await;
    assert_eq!(failed.code, Some(1));
    let expected = "not ok 1 - test/test_a.lua: test_it
  ---
  message: |2
    tables differ
      .a[2]  expected 3, got 2
      .b     expected nil, got \"x\"
      .c     expected true, got nil
    expected: {a={1, 3}, c=true}, actual: {a={1, 2}, b=\"x\"}
  at: test/test_a.lua:4
  source: |2
      3 |   print('seen')
    > 4 |   lu.assertEquals({a = {1, 2}, b = 'x'}, {a = {1, 3}, c = true})
      5 | end
  output: |2
    seen
  ...
# 1 tests, 1 failed
";
    assert!(failed.stdout.ends_with(expected), "{}", failed.stdout);
}

#[tokio::test]
async fn each_test_begins_with_fresh_globals_modules_and_log() {
    let text = r#"local lu, test = require "luaunit", require "weir/test"
        local shared = require "shared"
        TestFresh = {n = 0}
        local function look(self)
            lu.assertEquals({self.n, shared.n, left}, {0, 0, nil})
            lu.assertEquals(test.events("orders"), {})
            self.n, shared.n, left = 1, 1, 1
            test.append("orders", {sku = "a"})
        end
        TestFresh.test_a, TestFresh.test_b = look, look"#;
    assert_eq!(results(&test(&[("test_fresh", text)], &[]).await.succeeded()).len(), 2);
}

#[tokio::test]
async fn set_up_and_tear_down_run_around_each_test_even_if_it_fails() {
    let text = r#"local lu = require "luaunit"
        TestAround = {}
        function TestAround.setUp() print("up") end
        function TestAround.tearDown() print("down") end
        function TestAround.test_bad() print("test") error("boom") end
        TestWorse = {tearDown = function() error("torn") end, test_good = function() end}"#;
    let failed = test(&[("test_around", text)], &[]).await;
    assert_eq!(failed.code, Some(1));
    assert!(failed.stdout.contains("    up\n    test\n    down\n"), "{}", failed.stdout);
    assert!(failed.stdout.contains("not ok 2") && failed.stdout.contains("    torn\n"), "{}", failed.stdout);
}

#[tokio::test]
async fn a_test_appends_runs_triggers_and_looks_at_what_they_did() {
    let text = r#"local lu, test = require "luaunit", require "weir/test"
        function test_triggers()
            local at = test.now()
            local placed = test.append("orders", {sku = "tea"}, {key = "k", headers = {a = "b"}})
            lu.assertEquals(placed, {partition = 0, offset = 0})
            lu.assertEquals(test.state("counts"), {})
            test.run()
            lu.assertEquals(test.state("counts"), {tea = 1})
            lu.assertEquals(test.events("emails")[1].value, {order = 0, at = at})
            local event = test.events("orders")[1]
            lu.assertEquals({event.key, event.headers.a}, {"k", "b"})
        end
        function test_retries_come_with_the_time()
            test.append("orders", {sku = "tea", bad = true})
            test.run()
            lu.assertEquals(test.parked()[1].attempts, 1)
            lu.assertStrContains(test.parked()[1].last_error, "bad order")
            test.run()
            lu.assertEquals(test.parked()[1].attempts, 1)
            test.advance("1m")
            test.run()
            lu.assertEquals(test.parked()[1].attempts, 2)
        end"#;
    test(&[("test_world", text)], &[]).await.succeeded();
}

#[tokio::test]
async fn a_test_calls_functions_and_sends_requests() {
    let text = r#"local lu, test = require "luaunit", require "weir/test"
        function test_calls()
            lu.assertEquals(test.call("orders/place", {sku = "tea"}).status, 201)
            lu.assertNil(test.call("nothing"))
            local result, err = test.call("orders/place", {})
            lu.assertNil(result)
            lu.assertEquals({err.code, err.error}, {"refused", "sku is missing"})
            lu.assertEquals(#test.events("orders"), 1)
            lu.assertErrorMsgContains("app/nobody.lua is missing", test.call, "nobody")
        end
        function test_requests()
            local answer = test.request("POST", "/orders?x=1", {sku = "tea"}, {["X-Who"] = "me"})
            lu.assertEquals({answer.status, answer.headers["x-seen"], answer.json}, {201, "me1", {sku = "tea"}})
            lu.assertEquals(test.request("GET", "/nowhere").status, 404)
        end
        function test_state()
            test.set("stock", "tea/green", {left = 2})
            lu.assertEquals(test.get("stock", "tea/green"), {left = 2})
        end"#;
    let place = r#"local topics = require "topics"
        return function(args, ctx)
            if not args.sku then return nil, "sku is missing" end
            topics.append("orders", {{value = args.sku}})
            return response(201, {sku = args.sku}, {["X-Seen"] = (ctx.headers and ctx.headers["x-who"] or "") .. (args.x or "")})
        end"#;
    let sandbox = Sandbox::builder()
        .config(PROJECT)
        .file("app/on_order.lua", ON_ORDER)
        .file("app/gateway.lua", r#"return {{"POST", "/orders", "orders/place"}}"#)
        .file("app/orders/place.lua", place)
        .file("app/nothing.lua", "return function() end")
        .file("test/test_calls.lua", text)
        .build();
    assert_eq!(results(&sandbox.weir(&["test"]).await.succeeded()).len(), 3);
}

#[tokio::test]
async fn requests_to_other_servers_are_answered_by_the_test_and_none_leaves() {
    let text = r#"local lu, test = require "luaunit", require "weir/test"
        function test_answered()
            test.http("POST", "https://api.example.com/*", {status = 500})
            test.http("POST", "https://api.example.com/mails", {status = 201, json = {id = 7}, headers = {["X-Left"] = "3"}})
            lu.assertEquals(test.call("mail", {to = "ada"}), {201, 7, "3"})
            local sent = test.requests()
            lu.assertEquals(#sent, 1)
            lu.assertEquals({sent[1].method, sent[1].url, sent[1].json}, {"POST", "https://api.example.com/mails", {to = "ada"}})
            lu.assertStrMatches(sent[1].headers["idempotency-key"], "%x+%-0")
        end
        function test_broken()
            test.http("POST", "https://api.example.com/*", {error = "connection reset"})
            local _, err = test.call("mail", {})
            lu.assertStrContains(err.error, "connection reset")
        end
        function test_unanswered()
            local _, err = test.call("mail", {})
            lu.assertStrContains(err.error, 'the test has no answer for it: test.http("POST", "https://api.example.com/mails"')
            lu.assertEquals(#test.requests(), 1)
        end"#;
    let mail = r#"local http = require "http"
        return function(args)
            local answer, err = http.post("https://api.example.com/mails", {json = args})
            if not answer then return nil, err end
            return {answer.status, answer:json().id, answer.headers["x-left"]}
        end"#;
    let sandbox = Sandbox::builder().config("appName: mails\n").file("app/mail.lua", mail);
    let sandbox = sandbox.file("test/test_mail.lua", text).build();
    assert_eq!(results(&sandbox.weir(&["test"]).await.succeeded()).len(), 3);
}

#[tokio::test]
async fn the_cache_is_empty_when_a_test_begins() {
    let text = "local lu, cache = require 'luaunit', require 'cache'\nlocal function look() lu.assertNil(cache.get('k')) cache.set('k', 1) end\nfunction test_a() look() end function test_b() look() end";
    test(&[("test_cache", text)], &[]).await.succeeded();
}

#[tokio::test]
async fn a_file_that_runs_its_own_luaunit_counts_by_its_exit_code() {
    let own = r#"local M = {}
        function M.run()
            local failed = 0
            for name, f in pairs(_G) do
                if string.find(name, "^test") and not pcall(f) then failed = failed + 1 end
            end
            io.stdout:write(failed, " failed\n")
            return failed
        end
        local exit = os.exit
        os.exit = function(code) exit(code) end
        return M"#;
    let files = |body: &str| format!("function test_it() {body} end os.exit(require('luaunit').run())");
    let sandbox = Sandbox::builder()
        .config(PROJECT)
        .file("app/on_order.lua", ON_ORDER)
        .file("lib/luaunit.lua", own)
        .file("test/test_bad.lua", &files("error('x')"))
        .file("test/test_good.lua", &files(""))
        .build();
    let tested = sandbox.weir(&["test"]).await;
    assert_eq!(tested.code, Some(1));
    assert_eq!(results(&tested), ["not ok 1 - test/test_bad.lua", "ok 2 - test/test_good.lua"]);
    assert!(
        tested.stdout.contains("it ended with os.exit(1)\n  output: |2\n    1 failed\n"),
        "{}",
        tested.stdout
    );
}

#[tokio::test]
async fn what_does_not_load_and_what_never_ends_are_failures_and_the_others_run() {
    let files = [
        ("test_a", "function test_x("),
        ("test_b", "error('at load')"),
        ("test_c", "function test_memory() local t = {} while true do t[#t + 1] = {} end end"),
        ("test_d", "function test_good() end"),
    ];
    let tested = test(&files, &[]).await;
    let expected = [
        "not ok 1 - test/test_a.lua",
        "not ok 2 - test/test_b.lua",
        "not ok 3 - test/test_c.lua: test_memory",
        "ok 4 - test/test_d.lua: test_good",
    ];
    assert_eq!(results(&tested), expected);
    assert!(tested.stdout.contains("weir.limits.memory"), "{}", tested.stdout);
}

#[tokio::test]
async fn skipped_tests_are_told_and_do_not_fail_the_run() {
    let text = "local lu = require 'luaunit' function test_a() lu.skip('no net') end function test_b() lu.success() error('x') end";
    let tested = test(&[("test_a", text)], &[]).await.succeeded();
    assert_eq!(
        results(&tested),
        ["ok 1 - test/test_a.lua: test_a # SKIP no net", "ok 2 - test/test_a.lua: test_b"]
    );
}

/// Assertions that hold, each beside the same with other values, and what is then said.
const ASSERTIONS: &[(&str, &str, &str)] = &[
    ("lu.assertEquals(1, 1)", "lu.assertEquals(1, 2)", "expected: 2, actual: 1"),
    (
        "lu.assertEquals({1, {2}}, {1, {2}})",
        "lu.assertEquals(1, '1', 'why')",
        "why\nexpected: \"1\", actual: 1",
    ),
    ("lu.assertNotEquals({1}, {2})", "lu.assertNotEquals({1}, {1})", "anything else than {1}"),
    ("local t = {} lu.assertIs(t, t)", "lu.assertIs({}, {})", "the same object"),
    ("lu.assertNotIs({}, {})", "lu.assertNotIs(1, 1)", "another object"),
    ("lu.assertItemsEquals({1, 2, {3}}, {{3}, 2, 1})", "lu.assertItemsEquals({1, 1}, {1, 2})", "missing: 2"),
    ("lu.assertItemsEquals({}, {})", "lu.assertItemsEquals({1, 1}, {1})", "not expected: 1"),
    ("lu.assertAlmostEquals(1, 1.05, 0.1)", "lu.assertAlmostEquals(1, 1.2, 0.1)", "margin: 0.1"),
    ("lu.assertNotAlmostEquals(1, 2, 0.1)", "lu.assertNotAlmostEquals(1, 1, 0.1)", "a value off 1"),
    ("lu.assertTrue(true)", "lu.assertTrue(1)", "expected true, actual: 1"),
    ("lu.assertFalse(false)", "lu.assertFalse(nil)", "expected false, actual: nil"),
    ("lu.assertIsTrue(true)", "lu.assertNotIsTrue(true)", "anything but true"),
    ("lu.assertNil(nil)", "lu.assertNil(false)", "expected nil, actual: false"),
    ("lu.assertNotNil(1)", "lu.assertNotNil(nil)", "anything but nil"),
    ("lu.assertEvalToTrue(0)", "lu.assertEvalToTrue(nil)", "counts as true"),
    ("lu.assertEvalToFalse(nil)", "lu.assertEvalToFalse(0)", "counts as false"),
    ("lu.assertIsNumber(1)", "lu.assertIsNumber('1')", "expected a number, actual: \"1\""),
    ("lu.assertString('x')", "lu.assertIsString(1)", "expected a string"),
    ("lu.assertIsTable({})", "lu.assertTable(1)", "expected a table"),
    ("lu.assertIsFunction(print)", "lu.assertNotIsFunction(print)", "anything but a function"),
    ("lu.assertIsNaN(0/0)", "lu.assertNotNaN(0/0)", "anything but NaN"),
    ("lu.assertIsInf(-1/0)", "lu.assertPlusInf(-1/0)", "expected +infinity"),
    ("lu.assertMinusZero(-0)", "lu.assertPlusZero(-0)", "expected +0"),
    ("lu.assertStrContains('a.b', '.')", "lu.assertStrContains('ab', '.')", "\".\" was not found in \"ab\""),
    ("lu.assertStrContains('ab', 'a.', true)", "lu.assertNotStrContains('ab', 'b')", "was found in"),
    ("lu.assertStrIContains('AB', 'b')", "lu.assertNotStrIContains('AB', 'b')", "was found in"),
    ("lu.assertStrMatches('ab12', '%a+%d+')", "lu.assertStrMatches('ab12x', '%a+%d+')", "does not match"),
    ("lu.assertTableContains({{1}}, {1})", "lu.assertTableContains({1}, 2)", "{1} does not hold 2"),
    ("lu.assertNotTableContains({1}, 2)", "lu.assertNotTableContains({1}, 1)", "{1} holds 1"),
    ("lu.assertError(error)", "lu.assertError(print)", "the function returned"),
    (
        "lu.assertErrorMsgEquals({1}, error, {1})",
        "lu.assertErrorMsgEquals('a', error, 'b', 0)",
        "expected the error: \"a\", actual: \"b\"",
    ),
    (
        "lu.assertErrorMsgContentEquals('a', function() error('a') end)",
        "lu.assertErrorMsgContentEquals('a', function() error('b') end)",
        "actual: \"b\"",
    ),
    (
        "lu.assertErrorMsgContains('a', function() error('xax') end)",
        "lu.assertErrorMsgContains('a', error, 'b', 0)",
        "an error with: \"a\"",
    ),
    (
        "lu.assertErrorMsgMatches('.*: %a', function() error('a') end)",
        "lu.assertErrorMsgMatches('%d', error, 'b', 0)",
        "that matches: \"%d\"",
    ),
    ("lu.assert_equals(1, 1)", "lu.assert_is_nil(1)", "expected nil"),
    ("lu.failIf(false) lu.failUnless(true)", "lu.fail('no')", "no"),
    (
        "local t = {} t.t = t lu.assertEquals(t, t)",
        "local t = {} t.t = t lu.assertEquals(t, 1)",
        "holds itself",
    ),
];

#[tokio::test]
async fn assertions_hold_or_say_why_not_at_the_line_that_asserts() {
    let mut text = "local lu = require 'luaunit'\n".to_owned();
    for (n, (holds, fails, _)) in ASSERTIONS.iter().enumerate() {
        text.push_str(&format!(
            "function test_{n:02}_a() {holds} end\nfunction test_{n:02}_b()\n{fails}\nend\n"
        ));
    }
    let tested = test(&[("test_assertions", &text)], &[]).await;
    let ends: Vec<_> = results(&tested).iter().map(|line| line.starts_with("ok ")).collect();
    assert_eq!(ends.len(), 2 * ASSERTIONS.len());
    let mut details = tested.stdout.split("not ok ").skip(1);
    for (n, (holds, fails, words)) in ASSERTIONS.iter().enumerate() {
        assert!(ends[2 * n], "{holds}: {}", tested.stdout);
        assert!(!ends[2 * n + 1], "{fails}");
        let told = details.next().unwrap_or_default();
        let message = words.replace('\n', "\n    ");
        assert!(told.contains(&message), "{fails}: {told}");
        let line = format!("  at: test/test_assertions.lua:{}\n", 4 * n + 4);
        assert!(told.contains(&line), "{fails}: {told}");
    }
}

#[tokio::test]
async fn a_report_is_written_and_again_after_each_change() {
    let sandbox = Sandbox::builder()
        .config(PROJECT)
        .file("app/on_order.lua", ON_ORDER)
        .file("test/test_a.lua", "function test_it() error('boom') end")
        .build();
    let mut watching = sandbox.begin(&["test", "--watch", "--junit", "report.xml"]);
    let report = async |words: &str| {
        eventually(PATIENCE, || async {
            let text = std::fs::read_to_string(sandbox.project().join("report.xml")).unwrap_or_default();
            if text.contains(words) && text.ends_with("</testsuites>\n") { Ok(text) } else { Err(text) }
        })
        .await
    };
    assert!(report("failures=\"1\"").await.contains("<failure message=\"boom\">test/test_a.lua:1"));
    sandbox.write("test/test_a.lua", "function test_it() end");
    assert!(report("failures=\"0\"").await.contains("name=\"test_it\""));
    watching.kill().expect("end it");
    watching.wait().expect("it has ended");
}

#[tokio::test]
async fn what_a_test_has_is_not_there_for_functions() {
    let sandbox = Sandbox::builder()
        .config(PROJECT)
        .file("app/on_order.lua", ON_ORDER)
        .file("app/main.lua", "return function() return require 'weir/test' end")
        .build();
    let called = sandbox.weir(&["call", "main"]).await;
    assert_eq!(called.code, Some(1));
    assert!(called.stderr.contains("none of Weir's"), "{}", called.stderr);
}
