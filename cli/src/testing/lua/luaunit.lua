-- Assertions under the names of luaunit 3, for `weir test`. The runner finds and runs the tests: `LuaUnit.run()` at
-- the end of a file says that it is one, and no more.
local _, kit = ...
local pretty = require "weir/pretty"
local show, same = pretty.show, pretty.same

local lu = { EPS = 2 ^ -52, ORDER_ACTUAL_EXPECTED = true, VERSION = "3.4" }
lu.prettystr = show

-- Raised at the line of the project's that called an assertion.
local function failure(message, extra)
  if extra ~= nil then message = tostring(extra) .. "\n" .. message end
  error(kit.place() .. message, 0)
end

-- What was expected and what came, on a line each if they are long.
local function against(expected, actual, words)
  expected, actual = show(expected), show(actual)
  local is_long = #expected + #actual > 70
  return (words or "expected: ") .. expected .. (is_long and "\n" or ", ") .. "actual: " .. actual
end

local function misuse(name, what, got)
  failure(name .. ": " .. what .. " expected, got " .. show(got))
end

-- Equality.

function lu.assertEquals(actual, expected, extra)
  if not lu.ORDER_ACTUAL_EXPECTED then actual, expected = expected, actual end
  if same(actual, expected) then return end
  local message = against(expected, actual)
  if type(actual) == "table" and type(expected) == "table" then
    message = "tables differ\n" .. pretty.diff(actual, expected) .. "\n" .. message
  end
  failure(message, extra)
end
function lu.assertNotEquals(actual, expected, extra)
  if same(actual, expected) then failure("expected anything else than " .. show(expected), extra) end
end
function lu.assertIs(actual, expected, extra)
  if actual ~= expected then failure(against(expected, actual, "expected the same object: "), extra) end
end
function lu.assertNotIs(actual, expected, extra)
  if actual == expected then failure("expected another object than " .. show(expected), extra) end
end

-- Whether each item of `a` has a partner in `b`.
local function is_paired(a, b)
  local taken = {}
  for _, item in next, a do
    local found = nil
    for key, other in next, b do
      if not taken[key] and same(item, other) then found = key break end
    end
    if found == nil then return false, item end
    taken[found] = true
  end
  return true
end
function lu.assertItemsEquals(actual, expected, extra)
  if type(actual) ~= "table" or type(expected) ~= "table" then
    failure(against(expected, actual, "expected the items of "), extra)
  end
  local has_all, missing = is_paired(expected, actual)
  if not has_all then failure(against(expected, actual, "missing: " .. show(missing) .. "\nexpected items: "), extra) end
  local has_no_more, surplus = is_paired(actual, expected)
  if not has_no_more then
    failure(against(expected, actual, "not expected: " .. show(surplus) .. "\nexpected items: "), extra)
  end
end

local function is_almost(name, actual, expected, margin)
  if type(actual) ~= "number" or type(expected) ~= "number" or type(margin) ~= "number" then
    misuse(name, "numbers", { actual, expected, margin })
  end
  return math.abs(expected - actual) <= margin
end
function lu.assertAlmostEquals(actual, expected, margin, extra)
  margin = margin or lu.EPS
  if not is_almost("assertAlmostEquals", actual, expected, margin) then
    failure(against(expected, actual) .. ", margin: " .. margin, extra)
  end
end
function lu.assertNotAlmostEquals(actual, expected, margin, extra)
  margin = margin or lu.EPS
  if is_almost("assertNotAlmostEquals", actual, expected, margin) then
    failure(against(expected, actual, "expected a value off ") .. ", margin: " .. margin, extra)
  end
end

-- Truth, presence, numbers.

local function define(name, holds, what)
  lu[name] = function(value, extra)
    if not holds(value) then failure("expected " .. what .. ", actual: " .. show(value), extra) end
  end
end
local function negate(holds) return function(value) return not holds(value) end end

local inf = math.huge
local CHECKS = {
  { "True", function(v) return v == true end, "true" },
  { "False", function(v) return v == false end, "false" },
  { "Nil", function(v) return v == nil end, "nil" },
  { "NaN", function(v) return v ~= v end, "NaN" },
  { "Inf", function(v) return v == inf or v == -inf end, "infinity" },
  { "PlusInf", function(v) return v == inf end, "+infinity" },
  { "MinusInf", function(v) return v == -inf end, "-infinity" },
  { "PlusZero", function(v) return v == 0 and 1 / v == inf end, "+0" },
  { "MinusZero", function(v) return v == 0 and 1 / v == -inf end, "-0" },
}
for _, kind in { "Number", "String", "Table", "Boolean", "Function", "Thread", "Userdata" } do
  local name = string.lower(kind)
  CHECKS[#CHECKS + 1] = { kind, function(v) return type(v) == name end, "a " .. name }
end
for _, check in CHECKS do
  local name, holds, what = unpack(check)
  for _, prefix in { "assert", "assertIs" } do define(prefix .. name, holds, what) end
  for _, prefix in { "assertNot", "assertIsNot", "assertNotIs" } do
    define(prefix .. name, negate(holds), "anything but " .. what)
  end
end
define("assertEvalToTrue", function(v) return v end, "a value that counts as true")
define("assertEvalToFalse", function(v) return not v end, "a value that counts as false")

-- Texts.

local function contains(name, text, part, is_pattern, ignores_case)
  if type(text) ~= "string" then misuse(name, "a text", text) end
  if type(part) ~= "string" then misuse(name, "a text to look for", part) end
  if ignores_case then text, part = string.lower(text), string.lower(part) end
  return string.find(text, part, 1, not is_pattern) ~= nil
end
function lu.assertStrContains(text, part, is_pattern, extra)
  if not contains("assertStrContains", text, part, is_pattern) then
    failure(show(part) .. " was not found in " .. show(text), extra)
  end
end
function lu.assertStrIContains(text, part, extra)
  if not contains("assertStrIContains", text, part, false, true) then
    failure(show(part) .. " was not found in " .. show(text) .. ", in upper or lower case", extra)
  end
end
function lu.assertNotStrContains(text, part, is_pattern, extra)
  if contains("assertNotStrContains", text, part, is_pattern) then
    failure(show(part) .. " was found in " .. show(text), extra)
  end
end
function lu.assertNotStrIContains(text, part, extra)
  if contains("assertNotStrIContains", text, part, false, true) then
    failure(show(part) .. " was found in " .. show(text), extra)
  end
end
local function is_match(text, pattern, first, last)
  local from, to = string.find(text, pattern, first or 1)
  return from == (first or 1) and to == (last or #text)
end
function lu.assertStrMatches(text, pattern, first, last, extra)
  if not is_match(text, pattern, first, last) then
    failure(show(text) .. " does not match the pattern " .. show(pattern), extra)
  end
end

-- Tables.

local function holds_item(t, item)
  if type(t) ~= "table" then misuse("assertTableContains", "a table", t) end
  for _, value in next, t do
    if same(value, item) then return true end
  end
  return false
end
function lu.assertTableContains(t, item, extra)
  if not holds_item(t, item) then failure(show(t) .. " does not hold " .. show(item), extra) end
end
function lu.assertNotTableContains(t, item, extra)
  if holds_item(t, item) then failure(show(t) .. " holds " .. show(item), extra) end
end

-- Errors.

local function without_place(message) return (string.gsub(message, "^[^\n]-:%d+: ", "", 1)) end

-- Calls a function that has to raise; what it raised.
local function raised(f, ...)
  local ok, e = pcall(f, ...)
  if ok then failure("expected an error, but the function returned") end
  return e
end
local function text_of(e) return type(e) == "string" and e or show(e) end

function lu.assertError(f, ...) raised(f, ...) end
function lu.assertErrorMsgEquals(expected, f, ...)
  local e = raised(f, ...)
  if not same(e, expected) then failure(against(expected, e, "expected the error: ")) end
end
function lu.assertErrorMsgContentEquals(expected, f, ...)
  local e = without_place(text_of(raised(f, ...)))
  if e ~= expected then failure(against(expected, e, "expected the error: ")) end
end
function lu.assertErrorMsgContains(part, f, ...)
  local e = text_of(raised(f, ...))
  if not string.find(e, part, 1, true) then failure(against(part, e, "expected an error with: ")) end
end
function lu.assertErrorMsgMatches(pattern, f, ...)
  local e = text_of(raised(f, ...))
  if not is_match(e, pattern) then failure(against(pattern, e, "expected an error that matches: ")) end
end

-- Ends of a test.

local function outcome(kind, message) error({ luaunit = kind, message = message }, 0) end
function lu.fail(message) failure(message or "failed") end
function lu.failIf(condition, message)
  if condition then failure(message or "failed") end
end
function lu.failUnless(condition, message)
  if not condition then failure(message or "failed") end
end
function lu.skip(message) outcome("skip", message) end
function lu.skipIf(condition, message)
  if condition then outcome("skip", message) end
end
function lu.runOnlyIf(condition, message)
  if not condition then outcome("skip", message) end
end
function lu.success() outcome("ok") end
function lu.successIf(condition)
  if condition then outcome("ok") end
end

-- assert_equals for assertEquals, as older code has it.
local aliases = {}
for name, f in next, lu do
  if type(f) == "function" then
    aliases[string.lower((string.gsub(name, "%f[%u]%u", "_%0")))] = f
  end
end
for name, f in next, aliases do lu[name] = lu[name] or f end

-- The runner takes over here: nothing behind this line in the file runs.
local LuaUnit = {}
LuaUnit.__index = LuaUnit
local function run() error({ luaunit = "run" }, 0) end
local function ignore() end
function LuaUnit.new() return setmetatable({}, LuaUnit) end
function LuaUnit.runSuiteByInstances(self, instances)
  error({ luaunit = "run", instances = instances or self }, 0)
end
for _, name in { "run", "runSuite", "run_suite" } do LuaUnit[name] = run end
for _, name in { "setOutputType", "setVerbosity" } do LuaUnit[name] = ignore end
lu.LuaUnit = LuaUnit
lu.run = run

return lu
