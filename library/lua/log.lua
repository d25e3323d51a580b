---@meta log

--- Lines of the log, with the function and the line that wrote them. `print` writes a line of level `info`.
---
--- ```lua
--- local log = require "log"
---
--- log.warn("stock is low", { sku = "pen", left = 2 })
--- print("a line", 7) --> a line 7
--- ```
---@class log
local log = {}

--- For the author.
---@param message any
---@param fields? table<string, any>
function log.debug(message, fields) end

--- News.
---@param message any
---@param fields? table<string, any>
function log.info(message, fields) end

--- Odd, and handled.
---@param message any
---@param fields? table<string, any>
function log.warn(message, fields) end

--- Something failed.
---@param message any
---@param fields? table<string, any>
function log.error(message, fields) end

return log
