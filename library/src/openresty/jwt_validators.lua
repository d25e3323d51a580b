-- resty.jwt-validators: rules for claims, with the texts of lua-resty-jwt. A rule is a function of value, claim and the
-- token as JSON, which returns false or raises where the value breaks it. `opt_NAME` lets a missing claim pass.
local weir = ...
local M = { _VERSION = "0.1.5" }

-- the real clock, in a replay too
local leeway, clock = 0, weir.time.wall

local function check(is_so, text, ...)
  if not is_so then error(string.format(text, ...), 0) end
end
local function check_given(value, name) check(value ~= nil, "Cannot create validator for nil %s.", name) end
local function check_type(value, kind, name)
  check(type(value) == kind, "Cannot create validator for non-%s %s.", kind, name)
end
local function check_list(list, kind, name)
  check_type(list, "table", name)
  check(next(list) ~= nil, "Cannot create validator for empty table %s.", name)
  for _, item in ipairs(list) do
    check(type(item) == kind, "Cannot create validator for non-%s table %s.", kind, name)
  end
end

-- Defines a rule that lets a missing claim pass, and the one that does not.
local function define(name, make)
  M["opt_" .. name] = make
  M[name] = function(...) return M.chain(M.required(), make(...)) end
end

function M.chain(...)
  local rules = { ... }
  for _, rule in ipairs(rules) do check_type(rule, "function", "chain_function") end
  return function(value, claim, json)
    for _, rule in ipairs(rules) do
      if rule(value, claim, json) == false then return false end
    end
    return true
  end
end

function M.required(rule)
  if rule ~= nil then return M.chain(M.required(), rule) end
  return function(value, claim)
    check(value ~= nil, "'%s' claim is required.", claim)
    return true
  end
end

function M.require_one_of(claims)
  check_given(claims, "claim_keys")
  check_list(claims, "string", "claim_keys")
  return function(value, claim)
    check(type(value) == "table", "'%s' is malformed.  Expected to be a %s.", claim, "table")
    check(type(value.payload) == "table", "'%s' is malformed.  Expected to be a %s.", claim .. ".payload", "table")
    for _, name in ipairs(claims) do
      if value.payload[name] ~= nil then return true end
    end
    return check(false, "Missing one of claims - [ %s ].", table.concat(claims, ", "))
  end
end

define("check", function(expected, compare, name, kind)
  check_given(expected, name or "check_val")
  check_given(compare, "check_function")
  check_type(compare, "function", "check_function")
  kind = kind or type(expected)
  return function(value, claim)
    if value == nil then return true end
    check(type(value) == kind, "'%s' is malformed.  Expected to be a %s.", claim, kind)
    return compare(value, expected)
  end
end)

define("any_of", function(expected, compare, name, kind, item_kind)
  name = name or "check_values"
  check_given(expected, name)
  check_type(expected, "table", name)
  item_kind = item_kind or type(expected[1])
  check_list(expected, item_kind, name)
  check_given(compare, "check_function")
  check_type(compare, "function", "check_function")
  return M.opt_check(expected, function(value, all)
    for _, one in ipairs(all) do
      if compare(value, one) then return true end
    end
    return false
  end, name, kind or item_kind)
end)

local function equals(a, b) return a == b end
local function matches(value, pattern) return string.match(value, pattern) ~= nil end
local function contains(list, one)
  for _, item in list do
    if item == one then return true end
  end
  return false
end

define("equals", function(expected) return M.opt_check(expected, equals, "check_val") end)
define("matches", function(pattern)
  check_type(pattern, "string", "pattern")
  return M.opt_check(pattern, matches, "pattern", "string")
end)
define("equals_any_of", function(all) return M.opt_any_of(all, equals, "check_values") end)
define("matches_any_of", function(all) return M.opt_any_of(all, matches, "patterns", "string", "string") end)
define("contains_any_of", function(all, name) return M.opt_any_of(all, contains, name, "table", "string") end)

local COMPARISONS = {
  greater_than = function(a, b) return a > b end,
  greater_than_or_equal = function(a, b) return a >= b end,
  less_than = function(a, b) return a < b end,
  less_than_or_equal = function(a, b) return a <= b end,
}
for name, compare in COMPARISONS do
  define(name, function(expected)
    check_type(expected, "number", "check_val")
    return M.opt_check(expected, compare, "check_val", "number")
  end)
end

function M.set_system_leeway(seconds)
  check(type(seconds) == "number" and seconds >= 0, "leeway must be a non-negative number")
  leeway = seconds
end

function M.set_system_clock(now)
  check(type(now) == "function", "clock must be a function")
  local time = now()
  check(type(time) == "number" and time >= 0, "clock function must return a non-negative number")
  clock = now
end

local DATES = {
  is_not_before = { "not valid until", function(time) return time <= clock() + leeway end },
  is_not_expired = { "expired at", function(time) return time > clock() - leeway end },
  is_at = { "is only valid at", function(time) return math.abs(time - clock()) <= leeway end },
}
for name, date in DATES do
  local text, is_so = date[1], date[2]
  define(name, function()
    return function(value, claim)
      if value == nil then return true end
      local is_time = type(value) == "number" and value >= 0
      check(is_time, "'%s' is malformed.  Expected to be a %s.", claim, "positive numeric value")
      check(is_so(value), "'%s' claim %s %s", claim, text, weir.ngx.http_time(value))
      return true
    end
  end)
end

return M
