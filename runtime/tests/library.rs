//! What a function finds: `require` and its order, Weir's modules, the dialect.

use weir_runtime::test_support::{Bench, main_of, value};
use weir_runtime::{FailureKind, LogLevel};

#[tokio::test]
async fn require_looks_in_the_documented_order() {
    let bench = Bench::new(&[
        ("app/main.lua", "
            local seen = {}
            for _, name in ipairs {'both', 'only_lib', 'models/foo', 'models.foo', 'app/both', 'test/helper', 'log'} do
              seen[#seen + 1] = require(name)
            end
            assert(require('both') == require('both'))
            assert(type(require('topics').append) == 'function')
            assert(type(require('weir/log').info) == 'function')
            assert(type(require('weir/topics').append) == 'function')
            assert(type(require('json').encode) == 'function')
            return function() return seen end"),
        ("app/both.lua", "return 'app'"),
        ("lib/both.lua", "return 'lib'"),
        ("lib/only_lib.lua", "return 'lib'"),
        ("lib/models/foo.lua", "return 'foo'"),
        ("test/helper.lua", "return 'helper'"),
        ("lib/topics.lua", "error('Spacer copied this')"),
        ("lib/log.lua", "return 'own log'"),
    ]);
    let expected = r#"["app","lib","foo","foo","app","helper","own log"]"#;
    assert_eq!(value(&bench.main("").await), expected);
}

#[tokio::test]
async fn require_says_what_is_wrong() {
    let cases = [
        ("require 'nowhere'", "no app/nowhere.lua, lib/nowhere.lua"),
        ("require 'resty.nowhere'", "comes with a later version"),
        ("require 'a'", "while it is being loaded"),
        ("require 'broken'", "lib/broken.lua:1"),
        ("require 'raises'", "lib/raises.lua:1: boom"),
    ];
    for (source, expected) in cases {
        let bench = Bench::new(&[
            ("app/main.lua", &format!("{source}\nreturn function() end")),
            ("lib/a.lua", "return require 'b'"),
            ("lib/b.lua", "return require 'a'"),
            ("lib/broken.lua", "return = 1"),
            ("lib/raises.lua", "error('boom')"),
        ]);
        let failure = bench.main("").await.result.expect_err(source);
        assert_eq!(failure.kind, FailureKind::Load, "{source}");
        assert!(failure.message.contains(expected), "{source}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_module_that_raised_is_loaded_anew_when_it_is_required_again() {
    let bench = Bench::new(&[
        ("app/main.lua", "return function() return {pcall(require, 'once'), (pcall(require, 'once'))} end"),
        ("lib/once.lua", "error('boom')"),
    ]);
    assert_eq!(value(&bench.main("").await), "[false,false]");
}

#[tokio::test]
async fn logs_carry_level_fields_and_place() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local log = require 'log'\nreturn function()\n  log.warn('low', {sku = 'x'})\n  print('a', 1, nil)\n  log.debug('d', {f = print})\nend",
    )]);
    assert_eq!(value(&bench.main("").await), "null");
    let lines = bench.host.lines.borrow();
    let line = |level, message: &str, fields: &str, place: &str| {
        (level, message.to_owned(), fields.to_owned(), place.to_owned())
    };
    assert_eq!(lines[0], line(LogLevel::Warn, "low", r#"{"sku":"x"}"#, "app/main.lua:3"));
    assert_eq!(lines[1], line(LogLevel::Info, "a\t1\tnil", "", "app/main.lua:4"));
    assert_eq!(lines[2].2, r#"{"fields_error":"at f: a function has no JSON form"}"#);
}

#[tokio::test]
async fn only_listed_variables_are_seen() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function() return {os.getenv 'A', os.getenv 'HOME' == nil, io == nil, os.execute == nil} end",
    )]);
    bench.host.env.borrow_mut().insert("A".into(), "1".into());
    assert_eq!(value(&bench.main("").await), r#"["1",true,true,true]"#);
}

#[tokio::test]
async fn lua_5_1_code_finds_what_it_expects() {
    let cases = [
        ("string.format('%s %s %5s|%d%%', true, nil, {} ~= nil, 3)", r#""true nil  true|3%""#),
        ("('a'):rep(3, ',')", r#""a,a,a""#),
        ("('a'):rep(1, ',') .. ('a'):rep(0) .. ('a'):rep(-1)", r#""a""#),
        ("load('return 3')()", "3"),
        ("loadstring('return 1 + 1')()", "2"),
        (
            "load((function() local n = 0 return function() n = n + 1 return ({'return ', '7'})[n] end end)())()",
            "7",
        ),
        (
            "(select(2, loadstring('return =', '=mine')))",
            r#""mine:1: Expected identifier when parsing expression, got '='""#,
        ),
        ("collectgarbage() .. collectgarbage('collect')", r#""00""#),
        ("require('bit').band(0xffffffff, 0xffffffff)", "-1"),
        ("require('bit').tohex(255, 4)", r#""00ff""#),
        ("require('bit').lshift(1, 31)", "-2147483648"),
        ("setfenv(function() return x end, {x = 5})()", "5"),
        (
            "(function(...) local a, b = ... return b end)(coroutine.wrap(function() coroutine.yield(1) end)(), 2)",
            "2",
        ),
        ("type(os.time()) .. type(os.clock()) .. os.date('!%Y', 0)", r#""numbernumber1970""#),
        ("table.getn({1, 2}) + #('x')", "3"),
        ("select('#', pairs({})) .. tostring(pcall(pairs))", r#""3false""#),
        (
            "(select(2, pcall(function() pairs(nil) end)))",
            r#""app/main.lua:1: invalid argument #1 to 'pairs' (table expected, got nil)""#,
        ),
    ];
    for (source, expected) in cases {
        let got = main_of(&format!("return function() return {source} end")).await;
        assert_eq!(got.as_deref(), Ok(expected), "{source}");
    }
}

#[tokio::test]
async fn cjson_and_json_encode_and_decode() {
    let cases = [
        ("require('cjson').encode({a = require('cjson').null})", r#""{\"a\":null}""#),
        ("require('cjson').decode('[1,null]')[2] == require('cjson').null", "true"),
        ("require('cjson').encode(require('cjson').empty_array)", r#""[]""#),
        ("require('json').encode(require('json').array())", r#""[]""#),
        ("require('json').encode(require('json').decode('[]'))", r#""[]""#),
        ("select('#', require('cjson.safe').decode('{'))", "2"),
        (
            "(select(2, require('cjson.safe').decode('{')))",
            r#""Expected object key string but found T_END at character 2""#,
        ),
        ("(pcall(require('cjson').decode, '{'))", "false"),
        ("(pcall(require('cjson').encode, {[1] = 1, [1000] = 1}))", "false"),
    ];
    for (source, expected) in cases {
        let got = main_of(&format!("return function() return {source} end")).await;
        assert_eq!(got.as_deref(), Ok(expected), "{source}");
    }
}

#[tokio::test]
async fn host_functions_may_wait_anywhere_that_lua_can_yield() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "local state = require 'state'
         return function()
           local gen = coroutine.wrap(function()
             for i = 1, 2 do coroutine.yield(state.get('t', 'k')) end
             local inner = coroutine.wrap(function() return state.get('t', 'k') + 1 end)
             return inner()
           end)
           local ok, v = pcall(function() return state.get('t', 'k') end)
           return {gen(), gen(), gen(), v}
         end",
    )]);
    bench.host.put("t", "k", "7");
    bench.host.is_slow.set(true);
    assert_eq!(value(&bench.main("").await), "[7,7,8,7]");
}
