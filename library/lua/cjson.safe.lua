---@meta cjson.safe

--- As `cjson`, but what goes wrong is returned and not raised.
---
--- ```lua
--- local safe = require "cjson.safe"
---
--- print(safe.decode("{")) --> nil not JSON at byte 1: a key is missing
--- ```
---@class cjson.safe
---@field null userdata what `null` is: it is not nil, and true in a condition
---@field empty_array any[] a list that is `[]`
---@field array_mt table the metatable of lists: a table that has it is `[]` when it is empty
---@field empty_array_mt table the same as `array_mt`
local safe = {}

--- A value as text.
---@param value any
---@return string? text
---@return string? err
function safe.encode(value) end

--- The value of a text.
---@param text string
---@return any value
---@return string? err
function safe.decode(text) end

return safe
