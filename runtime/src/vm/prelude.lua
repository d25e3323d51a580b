-- What every function finds: Weir's modules, and the standard library where Luau's would stall a worker, leak
-- between invocations, or differ from what Lua 5.1 code expects. Runs once per VM, before it is sealed.
--
-- `host` holds the functions of the runtime. They return `true, value`, or `false, error`, or nothing where the
-- answer takes time: then `await()` gives the other two. A coroutine yields PENDING while it waits for that, and PREEMPTED
-- where it was interrupted.
local host, PENDING, PREEMPTED = ...

local type, error, select, tostring, rawequal = type, error, select, tostring, rawequal
local rawpcall, rawxpcall, rawgetfenv, rawsetfenv = pcall, xpcall, getfenv, setfenv
local info, freeze = debug.info, table.freeze
local native_error, on_error = host.native_error, host.on_error
local resume, yield, create, can_yield = coroutine.resume, coroutine.yield, coroutine.create, coroutine.isyieldable

local SELF = "weir"

-- What a host function has left: this coroutine goes on when it is there.
local function await() return yield(PENDING) end

-- The answer of a host function, or its error at the place that called the function that calls this.
local function settle(ok, value)
  if ok == nil then ok, value = await() end
  if ok then return value end
  error(value, 3)
end

-- Limits cannot be caught: an error of the engine's own ends the invocation, whoever sees it first.
local function guard(ok, ...)
  if ok then return ok, ... end
  local e = ...
  if type(e) == "userdata" or e == "not enough memory" then return false, select(2, native_error(e)) end
  return false, ...
end

-- `ngx.exit` raises this, and no function catches it: it ends here, in `drive`.
local EXIT = freeze({})
local function caught(ok, ...)
  if ok then return ok, ... end
  if rawequal((...), EXIT) then error(EXIT, 0) end
  return guard(ok, ...)
end

function pcall(f, ...) return caught(rawpcall(f, ...)) end
function xpcall(f, handler, ...)
  if type(handler) ~= "function" then return caught(rawxpcall(f, handler, ...)) end
  local function handle(e)
    if rawequal(e, EXIT) then return e end
    return handler(e)
  end
  return caught(rawxpcall(f, handle, ...))
end

-- Coroutines: where one waits for a host function, or was interrupted, the whole invocation does.
local function step(co, ok, v, ...)
  if ok and rawequal(v, PENDING) then return step(co, resume(co, yield(PENDING))) end
  if ok and rawequal(v, PREEMPTED) then
    if can_yield() then yield(PREEMPTED) end
    return step(co, resume(co))
  end
  return ok, v, ...
end
local function check(ok, ...)
  if not ok then error((...), 0) end
  return ...
end
coroutine.resume = function(co, ...) return caught(step(co, resume(co, ...))) end
coroutine.wrap = function(f)
  local co = create(f)
  return function(...) return check(caught(step(co, resume(co, ...)))) end
end

-- Environments: those of the invocation, never those that invocations share.
local function is_own(f) return type(f) == "function" and info(f, "s") ~= SELF and info(f, "s") ~= "[C]" end
local function resolve(f)
  if f == nil then f = 1 end
  if type(f) == "number" then f = f == 0 and info(3, "f") or info(f + 2, "f") end
  return f
end
function getfenv(f)
  f = resolve(f)
  return rawgetfenv(is_own(f) and f or info(2, "f"))
end
function setfenv(f, env)
  local target = resolve(f)
  if not is_own(target) then error("setfenv: not a function of this project", 2) end
  rawsetfenv(target, env)
  return target
end

-- Compiling cannot be interrupted, so what is compiled at run time is small.
local rawload = loadstring
local function compile(source, name, env)
  if type(source) ~= "string" then error("load: text expected, got " .. type(source), 3) end
  if #source > 65536 then return nil, "load: " .. #source .. " bytes of source; the limit is 65536" end
  local ok, f, e = rawpcall(rawload, source, name)
  if ok and f then return rawsetfenv(f, env) end
  if not ok then e = select(2, native_error(f)) end
  return nil, (string.gsub(tostring(e), "^syntax error: ", ""))
end
function loadstring(source, name) return compile(source, name, rawgetfenv(2)) end
function load(source, name, _, env)
  if type(source) == "function" then
    local parts, size = {}, 0
    for part in source do
      if part == nil or part == "" then break end
      parts[#parts + 1] = part
      size = size + #part
      if size > 65536 then break end
    end
    source = table.concat(parts)
  end
  return compile(source, name, env or rawgetfenv(2))
end

local count = collectgarbage
function collectgarbage(what)
  if what == "count" then return count("count") end
  return 0
end

-- One call that would run for seconds or fill the memory: bounded, or done in linear time.
local rep, find, split, format = string.rep, string.find, string.split, string.format
local reserve, find_plain, split_plain = host.reserve, host.find_plain, host.split_plain
local BIG = 1000000 -- a product of lengths below this takes less than a millisecond

string.rep = function(s, n, sep)
  if type(s) ~= "string" or type(n) ~= "number" then return rep(s, n) end
  if n ~= n or n <= 0 then return "" end
  local size = #s * n + (sep and #sep * (n - 1) or 0)
  if size == 0 then return "" end
  if size > BIG and not reserve(size, "string.rep") then error("string.rep: past the memory limit", 2) end
  if sep and sep ~= "" then
    if n < 2 then return s end
    return rep(s .. sep, n - 1) .. s
  end
  return rep(s, n)
end

string.find = function(s, p, init, plain)
  if type(s) == "string" and type(p) == "string" and #s * #p > BIG
    and (plain or not find(p, "[%^%$%*%+%?%.%(%[%%%-]")) then
    return find_plain(s, p, init or 1)
  end
  return find(s, p, init, plain)
end

string.split = function(s, sep)
  if type(s) == "string" and type(sep) == "string" and #s * #sep > BIG then return split_plain(s, sep) end
  return split(s, sep)
end

-- %s takes any value, as everywhere but in Luau.
local function format_any(fmt, ...)
  local args, n, i = { ... }, select("#", ...), 0
  for directive in string.gmatch(fmt, "%%[-+ #0]*%d*%.?%d*([%a%%%*])") do
    if directive ~= "%" then
      i = i + 1
      if directive == "s" and i <= n then args[i] = tostring(args[i]) end
    end
  end
  return format(fmt, unpack(args, 1, n))
end
string.format = function(fmt, ...)
  for i = 1, select("#", ...) do
    local t = type((select(i, ...)))
    if t ~= "string" and t ~= "number" then return format_any(fmt, ...) end
  end
  return format(fmt, ...)
end

local table_create, table_move, buffer_create = table.create, table.move, buffer.create
table.create = function(n, v)
  if type(n) == "number" and n > BIG and not reserve(n * 16, "table.create") then
    error("table.create: past the memory limit", 2)
  end
  return table_create(n, v)
end
table.move = function(a, f, e, t, b)
  if type(f) == "number" and type(e) == "number" and e - f > 16 * BIG then
    error("table.move: too many elements to move", 2)
  end
  return table_move(a, f, e, t, b)
end
buffer.create = function(n)
  if type(n) == "number" and n > BIG and not reserve(n, "buffer.create") then
    error("buffer.create: past the memory limit", 2)
  end
  return buffer_create(n)
end

-- In a trigger the clock and chance are those of the event, and chance is never another invocation's.
local now, chance, reseed, floor = host.now, host.chance, host.reseed, math.floor
local os_time, os_date = os.time, os.date
os.time = function(t) return t == nil and now() or os_time(t) end
os.date = function(form, t) return os_date(form, t or now()) end
math.random = function(m, n)
  if m == nil then return chance() end
  if n == nil then m, n = 1, m end
  if type(m) ~= "number" or type(n) ~= "number" then error("math.random: numbers expected", 2) end
  m, n = floor(m), floor(n)
  if not (m <= n) then error("invalid argument #2 to 'random' (interval is empty)", 2) end
  return m + floor(chance() * (n - m + 1))
end
math.randomseed = function(seed)
  if type(seed) ~= "number" then error("math.randomseed: a number expected", 2) end
  reseed(seed)
end

os.getenv = function(name) return settle(host.getenv(name)) end
os.exit = function(code) return settle(host.exit(code)) end

math.mod, string.gfind = math.fmod, string.gmatch

-- debug of Lua 5.1, over what the engine tells. Frames of Weir's own are left out.
local function where(co, level, what)
  if co then return info(co, level, what) end
  return info(level + 2, what)
end
function debug.traceback(co, message, level)
  if type(co) ~= "thread" then co, message, level = nil, co, message end
  if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then return message end
  local lines = { message and message .. "\nstack traceback:" or "stack traceback:" }
  local at = level or (co and 0 or 1)
  while #lines < 24 do
    local source, line, name = where(co, at, "sln")
    if not source then break end
    local place = source == "[C]" and "[C]" or source .. ":" .. line
    local what = name ~= "" and "function '" .. name .. "'" or "function <" .. place .. ">"
    if source ~= SELF then lines[#lines + 1] = place .. ": in " .. what end
    at = at + 1
  end
  return table.concat(lines, "\n\t")
end
function debug.getinfo(co, f, _)
  if type(co) ~= "thread" then co, f = nil, co end
  local is_level = type(f) == "number"
  if not is_level and type(f) ~= "function" then error("getinfo: a function or a level expected", 2) end
  local source, line, name, params, is_vararg, func
  if is_level then
    source, line, name, params, is_vararg, func = where(co, f, "slnaf")
    if not source then return nil end
  else
    source, line, name, params, is_vararg, func = info(f, "slnaf")
  end
  local is_c = source == "[C]"
  return {
    source = is_c and "=[C]" or "@" .. source, short_src = source, what = is_c and "C" or "Lua",
    currentline = is_level and not is_c and line or -1,
    linedefined = is_c and -1 or (info(func, "l")),
    name = name ~= "" and name or nil, namewhat = "",
    nparams = params, isvararg = is_vararg, func = func,
  }
end

-- LuaJIT's bit library: as bit32, with signed results.
local bit = {}
local function signed(n) return n >= 2147483648 and n - 4294967296 or n end
for _, name in { "band", "bor", "bxor", "bnot", "lshift", "rshift", "arshift" } do
  local f = bit32[name]
  bit[name] = function(...) return signed(f(...)) end
end
-- shift counts are taken modulo 32
for _, name in { "lshift", "rshift", "arshift" } do
  local f = bit32[name]
  bit[name] = function(n, by) return signed(f(n, bit32.band(by, 31))) end
end
bit.rol = function(n, by) return signed(bit32.lrotate(n, by)) end
bit.ror = function(n, by) return signed(bit32.rrotate(n, by)) end
bit.tobit = function(n) return signed(bit32.band(n, 0xffffffff)) end
bit.bswap = function(n) return signed(bit32.byteswap(n)) end
bit.tohex = function(n, digits)
  digits = digits or 8
  local hex = format("%08x", bit32.band(n, 0xffffffff))
  if digits < 0 then hex, digits = string.upper(hex), -digits end
  return string.sub(hex, -math.min(digits, 8))
end

-- Weir's modules.
local modules = { bit = bit }

modules.topics = {
  append = function(topic, entries, options) return settle(host.append(topic, entries, options)) end,
}

modules.state = {
  get = function(t, key) return settle(host.state_get(t, key)) end,
  set = function(t, key, value, options) return settle(host.state_set(t, key, value, options)) end,
  delete = function(t, key) return settle(host.state_delete(t, key)) end,
  incr = function(t, key, by) return settle(host.state_incr(t, key, by)) end,
  add = function(t, key, by) return settle(host.state_add(t, key, by)) end,
  scan = function(t, options) return settle(host.state_scan(t, options)) end,
}

-- A failed call raises a text, and code looks into it: no place of the caller's is added.
local function flow_call(name, args)
  local ok, value = host.flow_call(name, args)
  if ok == nil then ok, value = await() end
  if ok then return value end
  error(value, 0)
end
local function flow_try(name, args)
  local ok, value = host.flow_try(name, args)
  if ok == nil then ok, value = await() end
  if ok then return value end
  if type(value) == "string" then error(value, 2) end
  return nil, value
end
modules.flow = { call = flow_call, try = flow_try }

modules.json = {
  encode = function(value) return settle(host.json_encode(value)) end,
  decode = function(text) return settle(host.json_decode(text)) end,
  array = function(list) return settle(host.json_array(list)) end,
  null = host.null,
}

-- What is set of it holds for the function that sets it. What changes nothing here answers what holds.
local function fixed(value)
  return function() return value end
end
local function cjson(encode, decode)
  return {
    encode = encode,
    decode = decode,
    null = host.null,
    empty_array = host.empty_array,
    array_mt = host.array_mt,
    empty_array_mt = host.array_mt,
    encode_sparse_array = function(convert, ratio, safe)
      local _, converts, its_ratio, its_safe = host.cjson_sparse(convert, ratio, safe)
      return converts, its_ratio, its_safe
    end,
    encode_number_precision = function(digits) return settle(host.cjson_precision(digits)) end,
    encode_empty_table_as_object = function(is) return settle(host.cjson_empty_as_object(is)) end,
    encode_max_depth = fixed(host.cjson_depth),
    decode_max_depth = fixed(host.cjson_depth),
    encode_keep_buffer = fixed(true),
    encode_invalid_numbers = fixed(false),
    decode_invalid_numbers = fixed(false),
    encode_escape_forward_slash = fixed(false),
    decode_array_with_array_mt = fixed(false),
    _NAME = "cjson",
    _VERSION = "2.1.0",
  }
end
local function safe(f)
  return function(value)
    local ok, result = f(value)
    if ok then return result end
    return nil, result
  end
end
local function raising(f)
  return function(value) return settle(f(value)) end
end
modules.cjson = cjson(raising(host.cjson_encode), raising(host.cjson_decode))
modules["cjson.safe"] = cjson(safe(host.cjson_encode), safe(host.cjson_decode))
modules.cjson.new = function() return modules.cjson end
modules["cjson.safe"].new = function() return modules["cjson.safe"] end

local function logger(level)
  return function(message, fields)
    return host.log(level, tostring(message), fields, info(2, "sl"))
  end
end
modules.log = { debug = logger(0), info = logger(1), warn = logger(2), error = logger(3) }
function print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  host.log(1, table.concat(parts, "\t"), nil, info(2, "sl"))
end

local response_mt = host.response_mt
function response(status, body, headers)
  local ok, e = host.check_response(status, headers)
  if not ok then error(e, 2) end
  return setmetatable({ status = status, body = body, headers = headers }, response_mt)
end

-- The libraries: their functions answer as host functions do, with any number of values, and are called as they are.
local function pass(level, ok, ...)
  if ok then return ... end
  if ok == nil then return pass(level + 1, await()) end
  error((...), level)
end
local function shape(functions)
  for name, f in functions do
    if type(f) == "function" then
      functions[name] = function(...) return pass(3, f(...)) end
    end
  end
end
for name, library in host.libraries do
  for _, class in library.classes do
    shape(class)
    freeze(class)
  end
  shape(library.module)
  modules[name] = library.module
end

-- OpenResty's: `ngx` is one, what a function says with it is the function's; of the others each function has its own.
function host.ngx_exit()
  host.shape().has_ended = true
  error(EXIT, 0)
end
modules.ngx = host.ngx(modules, nil, host)
ngx = modules.ngx
modules["ngx.native"] = nil
local factories = {}
for name, script in host.scripts do
  factories[name] = function() return script.chunk(modules, require, script.about) end
end

for _, module in modules do freeze(module) end
for name, factory in factories do modules[name] = factory end
-- `require "math"` is the same as `math`
for _, name in { "bit32", "coroutine", "debug", "math", "os", "string", "table", "utf8" } do
  modules[name] = getfenv(1)[name]
end

-- `package`: what `require` has loaded may be looked at, replaced and forgotten; where it looks cannot be changed.
local get_loaded, set_loaded = host.get_loaded, host.set_loaded
local function seeall(module, env) setmetatable(module, { __index = env or rawgetfenv(2) }) end
local package_fields = {
  path = "app/?.lua;lib/?.lua;?.lua", cpath = "", config = "/\n;\n?\n!\n-\n", seeall = seeall,
  loaded = freeze(setmetatable({}, freeze({
    __index = function(_, name) return type(name) == "string" and get_loaded(name) or nil end,
    __newindex = function(_, name, module) set_loaded(name, module) end,
  }))),
}
package = setmetatable({}, freeze({
  __index = freeze(package_fields),
  __newindex = function(_, key)
    if key ~= "path" and key ~= "cpath" then error("package." .. tostring(key) .. " cannot be set", 2) end
  end,
}))

-- Lua 5.1's `module`: a table that is the environment of the rest of its file, and a global of its name.
function module(name, ...)
  local main = info(2, "f")
  if not is_own(main) then error("module: to be called by a file itself", 2) end
  local env, loaded = rawgetfenv(main), get_loaded(name)
  local made = type(loaded) == "table" and loaded or {}
  local place, last = env, name
  for part, rest in string.gmatch(name, "([^.]+)%.()") do
    if type(rawget(place, part)) ~= "table" then rawset(place, part, {}) end
    place, last = rawget(place, part), string.sub(name, rest)
  end
  rawset(place, last, made)
  made._M, made._NAME, made._PACKAGE = made, name, string.match(name, "^(.*%.)") or ""
  set_loaded(name, made)
  for i = 1, select("#", ...) do (select(i, ...))(made, env) end
  rawsetfenv(main, made)
end

-- require: see the runtime's `require.rs` for the order.
local find_module = host.find_module
-- What Weir's own modules that are written in Lua are given beside their name.
local kit = freeze({
  ask = function(what, args)
    local ok, value = host.ask(what, args)
    if ok == nil then ok, value = await() end
    return ok, value
  end,
  chunk = host.chunk,
  place = host.place,
  on_error = on_error,
  null = host.null,
})
function require(name)
  local module, main, path, is_ours = find_module(name)
  if module ~= nil then return module end
  if main == nil then error(path, 2) end
  local ok, result = rawxpcall(main, on_error, name, is_ours and kit or nil)
  if not ok then
    host.store_module(path, nil)
    error(result, 0)
  end
  -- as `module` and `package.loaded[...] = M` have it
  if result == nil then result = get_loaded(name) or true end
  host.store_module(path, result)
  return result
end

-- ctx: fields are made when they are asked for.
local methods = {
  deadline = function() return host.deadline() end,
}
local trigger_methods = {
  reject = function(reason) return settle(host.reject(reason)) end,
  retry_after = function(delay) return settle(host.retry_after(delay)) end,
}
local ctx_fields = host.ctx_fields
local function fill(ctx)
  for _, key in ctx_fields do
    local _ = ctx[key]
  end
end
local ctx_mt = {
  __index = function(ctx, key)
    local method = methods[key]
    if method then return method end
    method = trigger_methods[key]
    if method then return host.is_trigger() and method or nil end
    local value = host.ctx_field(key)
    if value ~= nil then rawset(ctx, key, value) end
    return value
  end,
  __iter = function(ctx)
    fill(ctx)
    return next, ctx
  end,
}
freeze(ctx_mt)
-- Luau loops over the table that `pairs` returns whatever else it returns: so it is filled.
local next, getmetatable = next, getmetatable
function pairs(t)
  if getmetatable(t) == ctx_mt then
    fill(t)
  elseif type(t) ~= "table" then
    error("invalid argument #1 to 'pairs' (table expected, got " .. type(t) .. ")", 2)
  end
  return next, t, nil
end

local no_function = host.no_function

-- A function, from its file's main chunk: true and what it returned, or false, the error, and whether the function had
-- begun.
local function ended(ok, value, second)
  if ok then return true, value, second end
  if rawequal(value, EXIT) then return true end
  return false, value, true
end
local function drive(main, args)
  local ok, handler = guard(rawxpcall(main, on_error))
  if not ok then
    if rawequal(handler, EXIT) then return true end
    return false, handler, false
  end
  if type(handler) ~= "function" then return false, select(2, no_function(type(handler))), false end
  return ended(guard(rawxpcall(handler, on_error, args, setmetatable({}, ctx_mt))))
end
-- A chunk alone, for the route table.
local function evaluate(main)
  return guard(rawxpcall(main, on_error))
end
return drive, evaluate, modules
