//! What Lua 5.1 code finds in `package`, `module` and `debug`, and what a project is told that does not get it.

use weir_runtime::Code;
use weir_runtime::test_support::{Bench, value};

async fn main_with(files: &[(&str, &str)]) -> String {
    let outcome = Bench::new(files).main("").await;
    match &outcome.result {
        Ok(_) => value(&outcome),
        Err(failure) => failure.message.clone(),
    }
}

#[tokio::test]
async fn a_file_that_calls_module_is_required_by_its_table() {
    let shapes =
        "module('geo.shapes', package.seeall)\nside = 2\nfunction area() return math.floor(side * side) end";
    let main = "return function()
        local shapes = require 'geo.shapes'
        return {shapes.area(), geo.shapes == shapes, shapes._NAME, shapes._PACKAGE, rawget(_G, 'side') == nil, require 'geo/shapes' == shapes}
    end";
    let got = main_with(&[("app/main.lua", main), ("lib/geo/shapes.lua", shapes)]).await;
    assert_eq!(got, r#"[4,true,"geo.shapes","geo.",true,true]"#);
}

#[tokio::test]
async fn what_require_has_loaded_can_be_seen_replaced_and_forgotten() {
    let main = "return function()
        local before = package.loaded.count
        local first = require 'count'
        local seen = package.loaded.count == first
        package.loaded['count'] = nil
        local second = require 'count'
        package.loaded.topics = {append = 'mine'}
        return {before == nil, seen, first ~= second, require('topics').append, package.loaded.state == require 'state'}
    end";
    let got = main_with(&[("app/main.lua", main), ("lib/count.lua", "return {}")]).await;
    assert_eq!(got, r#"[true,true,true,"mine",true]"#);
}

#[tokio::test]
async fn what_package_loaded_holds_is_the_invocations_own() {
    let main = "return function(n) local was = package.loaded.fake package.loaded.fake = n return was or 'nothing' end";
    let bench = Bench::new(&[("app/main.lua", main)]);
    assert_eq!(value(&bench.main("1").await), r#""nothing""#);
    assert_eq!(value(&bench.main("2").await), r#""nothing""#);
}

#[tokio::test]
async fn a_module_may_register_itself_while_it_is_loaded() {
    let main = "return function() return require('self').name end";
    let lib = "local M = {name = 'me'} package.loaded[...] = M";
    assert_eq!(main_with(&[("app/main.lua", main), ("lib/self.lua", lib)]).await, r#""me""#);
}

#[tokio::test]
async fn the_standard_library_can_be_required() {
    let main = "return function() return require 'math' == math and require('string').upper('x') end";
    assert_eq!(main_with(&[("app/main.lua", main)]).await, r#""X""#);
}

#[tokio::test]
async fn a_traceback_has_the_shape_that_lua_gives_it() {
    let main = "local function inner() return debug.traceback('oops') end\nlocal function outer()\n  local t = inner()\n  return t\nend\nreturn function()\n  local t = outer()\n  return t\nend";
    let expected = "\"oops\\nstack traceback:\\n\\tapp/main.lua:1: in function 'inner'\\n\\tapp/main.lua:3: in function 'outer'\\n\\tapp/main.lua:7: in function <app/main.lua:7>\\n\\t[C]: in function 'xpcall'\"";
    assert_eq!(main_with(&[("app/main.lua", main)]).await, expected);
}

#[tokio::test]
async fn an_error_with_a_level_shows_who_called_whatever_the_compiler_makes_of_small_functions() {
    let lib = "local function check(n) if type(n) ~= 'number' then error('a number', 3) end end\nreturn function(n) check(n) return n end";
    let main = "local twice = require 'twice'\nreturn function()\n  return twice('x')\nend";
    let got = main_with(&[("app/main.lua", main), ("lib/twice.lua", lib)]).await;
    assert_eq!(got, "app/main.lua:3: a number");
}

#[tokio::test]
async fn a_traceback_of_a_coroutine_starts_where_it_stands() {
    let main = "return function()\n  local co = coroutine.create(function()\n    coroutine.yield()\n  end)\n  coroutine.resume(co)\n  return (debug.traceback(co))\nend";
    let got = main_with(&[("app/main.lua", main)]).await;
    assert!(got.contains("app/main.lua:3: in function"), "{got}");
}

#[tokio::test]
async fn getinfo_tells_what_the_engine_knows() {
    let cases = [
        ("debug.getinfo(1).currentline", "1"),
        ("debug.getinfo(1, 'S').source", r#""@app/main.lua""#),
        ("debug.getinfo(print).what", r#""Lua""#),
        ("debug.getinfo(math.abs).what", r#""C""#),
        ("debug.getinfo(function(a, b) end).nparams", "2"),
        ("debug.getinfo(function() end).linedefined", "1"),
        ("debug.getinfo(99) == nil", "true"),
        ("(pcall(debug.getinfo, 'x'))", "false"),
    ];
    for (source, expected) in cases {
        let main = format!("return function() return {source} end");
        assert_eq!(main_with(&[("app/main.lua", &main)]).await, expected, "{source}");
    }
}

#[tokio::test]
async fn lines_stay_where_they_are_behind_a_goto() {
    let main = "return function()\n  for i = 1, 3 do\n    for k = 1, 3 do\n      if k == 2 then goto next end\n    end\n    ::next::\n  end\n  error('here')\nend";
    assert_eq!(main_with(&[("app/main.lua", main)]).await, "app/main.lua:8: here");
}

#[test]
fn what_does_not_compile_is_told_with_what_to_write_instead() {
    let cases = [
        ("return 0x1.8p1", "write 3"),
        ("local a <close> = f()", "close it yourself"),
        ("return a << 2", "bit.lshift(a, n)"),
        ("return a ~ b", "bit.bxor(a, b)"),
        ("return 1ULL", "write 1"),
        ("if a && b then end", "write `and`"),
        ("goto x", "no such label"),
    ];
    for (source, words) in cases {
        let code = Code::from_sources([("app/main.lua", &*format!("\n{source}"))]);
        let [error] = code.errors() else { panic!("{source}: {:?}", code.errors()) };
        assert_eq!(error.line, Some(2), "{source}");
        assert!(error.message.contains(words), "{source}: {}", error.message);
    }
}

#[test]
fn the_engines_own_syntax_is_taken_as_it_is() {
    let sources = [
        "type Pair<T> = {first: T, second: T} | nil\nlocal function f<T>(a: T & any): T? return a end return f",
        "local x = 5 :: number return `{x} and {if x > 1 then 'more' else 'less'}`",
        "local n = 1_000 n += 0b11 n //= 2 return n",
        "for i = 1, 3 do if i == 2 then continue end end",
        "local goto = 1 return goto",
    ];
    for source in sources {
        let code = Code::from_sources([("lib/x.lua", source)]);
        assert_eq!(code.errors(), [], "{source}");
    }
}

#[test]
fn a_project_is_warned_of_what_it_uses_and_does_not_get_and_of_names_that_it_shares() {
    let code = Code::from_sources([
        ("app/main.lua", "return function()\n  io.open('x')\nend"),
        ("lib/topics.lua", "os.exit(1)"),
        ("lib/log.lua", "return {}"),
        ("lib/resty/jwt.lua", "local ffi = require 'ffi'"),
        ("lib/luaunit.lua", "io.stdout:write('x') os.exit(1)"),
        ("test/test_x.lua", "os.exit(1)"),
        ("lib/fine.lua", "return {}"),
    ]);
    assert_eq!(code.errors(), []);
    let warnings: Vec<_> = code.warnings().iter().map(ToString::to_string).collect();
    let expected = [
        "app/main.lua:2: io.open: ",
        "lib/log.lua: hides a module of Weir's",
        "lib/resty/jwt.lua: is never loaded",
        "lib/topics.lua: is never loaded",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{warning}");
    }
}
