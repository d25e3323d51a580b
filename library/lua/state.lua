---@meta state

--- Named tables of key → value, read and written within the invocation's transaction. A table is there when it is first
--- written. If a row that was read has changed before the commit, the function runs again.
---
--- ```lua
--- local state = require "state"
---
--- state.set("stock", "eu/pen", { count = 7 }, { ttl = "24h" })
--- print(state.get("stock", "eu/pen").count) --> 7
--- print(state.incr("counters", "orders", 2), state.incr("counters", "orders")) --> 2 3
--- print(state.scan("stock", { prefix = "eu/" })[1].key) --> eu/pen
--- ```
---@class state
local state = {}

--- How a row is written.
---@class state.SetOptions
---@field ttl? string how long the row counts: `"24h"`

--- Which rows.
---@class state.ScanOptions
---@field prefix? string
---@field after? string the key behind which to begin
---@field limit? integer up to 1000; 100

--- A row.
---@class state.Row
---@field key string
---@field value any

--- The value at a key; `json.null` where null was written.
---@param table string
---@param key string
---@return any value nil where there is none
function state.get(table, key) end

--- Writes a value.
---@param table string
---@param key string
---@param value any with a JSON form
---@param options? state.SetOptions
function state.set(table, key, value, options) end

--- Removes a row.
---@param table string
---@param key string
function state.delete(table, key) end

--- Adds to a counter and returns what it comes to: a read and a write.
---@param table string
---@param key string
---@param by? integer 1
---@return integer value
function state.incr(table, key, by) end

--- Adds to a counter without reading it: so it never conflicts with others that add.
---@param table string
---@param key string
---@param by? integer 1
function state.add(table, key, by) end

--- Rows in the order of their keys. Rows that come or go in the range count as changed.
---@param table string
---@param options? state.ScanOptions
---@return state.Row[]
function state.scan(table, options) end

return state
