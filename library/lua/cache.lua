---@meta cache

--- Values that all invocations of a node share, for a while: answers of other services, tokens, counts for a limit. It is
--- a memory and no record: a value may be gone at any time, another node has others, and nothing is undone when an
--- invocation fails. What must last or be right belongs into `state`.
---
--- A value is anything with a JSON form, and every `get` returns a copy of its own. A node keeps up to 64 MiB, and drops
--- what is seldom used for what is new. Times are those of the real clock, in a trigger too: a replay may find other
--- values than the first run, or none.
---
--- ```lua
--- local cache = require "cache"
---
--- cache.set("rate:EUR", { usd = 1.08 }, { ttl = "10m" })
--- print(cache.get("rate:EUR").usd) --> 1.08
--- print(cache.add("rate:EUR", { usd = 2 })) --> false
--- print(cache.incr("visits", 2), cache.incr("visits")) --> 2 3
--- print(cache.delete("visits"), cache.get("visits")) --> true nil
--- ```
---@class cache
local cache = {}

--- How long a value is kept.
---@class cache.Options
---@field ttl? string|number a duration as `"30s"`, or seconds; without it there is no end

--- The value at a key.
---@param key string
---@return any value nil where there is none any more
function cache.get(key) end

--- Keeps a value of at most 1 MiB as JSON. A value without a JSON form raises an error.
---@param key string
---@param value any
---@param options? cache.Options
function cache.set(key, value, options) end

--- Keeps a value where there is none: of several at once, one succeeds.
---@param key string
---@param value any
---@param options? cache.Options
---@return boolean added
function cache.add(key, value, options) end

--- Adds to a number; where there is none it begins at 0, and then `options` tell how long it is kept.
---@param key string
---@param by? number 1
---@param options? cache.Options
---@return number value
function cache.incr(key, by, options) end

--- Forgets a value.
---@param key string
---@return boolean was_there
function cache.delete(key) end

return cache
