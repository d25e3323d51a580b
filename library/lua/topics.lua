---@meta topics

--- Appends events to topics, within the invocation's transaction: they are in the log when the invocation has succeeded,
--- and nowhere when it has failed.
---
--- ```lua
--- local topics = require "topics"
---
--- print(topics.append("orders", { ["o-1"] = { total = 7 } })) --> ok
--- topics.append("emails", {
---   { key = "o-1", value = { to = "ada" }, headers = { kind = "receipt" } },
---   { key = "o-1", value = { to = "shop" } },
--- })
--- ```
---@class topics
local topics = {}

--- An event to append.
---@class topics.Entry
---@field key? string
---@field value any with a JSON form
---@field headers? table<string, string>

--- Where an event is.
---@class topics.Place
---@field partition integer
---@field offset integer

--- How events are appended.
---@class topics.Options
---@field immediate? boolean append at once, outside of the transaction: it stays when the invocation fails

--- Appends. A table of key → value makes an event of each pair, in the order of the keys; a list of entries keeps its
--- order and may repeat keys. A topic that is not declared raises an error with the line to add. The 65th append that
--- follows from triggers ends the invocation as a loop.
---@param topic string
---@param entries table<string, any>|topics.Entry[]
---@param options? topics.Options
---@return string|topics.Place[] result `"ok"`; with `immediate` where the events are
function topics.append(topic, entries, options) end

return topics
