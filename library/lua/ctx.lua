---@meta ctx

--- What a function is told about its invocation, as its second argument: `return function(args, ctx) … end`. Fields that
--- an invocation does not have are nil: those of HTTP in a trigger, those of an event in a request, and in a function
--- called by `flow` those of HTTP. Names of headers are in lower case.
---
--- ```lua
--- print(ctx.function_name, ctx.attempt, ctx.deadline() > 0) --> main 1 true
--- print(ctx.method, ctx.topic, ctx.replay) --> nil nil nil
--- ```
---@class ctx
---@field id string the invocation's: for an event the same in every attempt
---@field trace_id string the trace that it is part of
---@field function_name string the function that runs
---@field attempt integer from 1
---@field method? string HTTP: `GET`, …
---@field path? string HTTP: as requested, without the query
---@field params? table<string, string> HTTP: of the route's pattern
---@field query? table<string, string|true|(string|true)[]> HTTP: a name that repeats has a list, one without a value is true
---@field headers? table<string, string> of the request, or of the event
---@field body? string HTTP: as received
---@field remote_addr? string HTTP: the client's address
---@field topic? string event
---@field partition? integer event
---@field offset? integer event
---@field key? string event
---@field timestamp? integer event: when it was committed, in ms since 1970
---@field replay? { name: string, mode: string } set in a replay
local ctx = {}

--- What is left of the invocation's time.
---@return integer ms
function ctx.deadline() end

--- Ends a trigger's invocation: its event is parked at once, without further attempts. In a request it is nil.
---@param reason? any with a JSON form
function ctx.reject(reason) end

--- Ends a trigger's invocation: its event is tried again after this time. In a request it is nil.
---@param delay string a duration: `"30s"`
function ctx.retry_after(delay) end

return ctx
