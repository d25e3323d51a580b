---@meta cjson

--- JSON as lua-cjson has it, for Spacer's and OpenResty's code. Numbers that are keys become text, holes become null, and
--- a table that is mostly holes raises an error.
---
--- ```lua
--- local cjson = require "cjson"
---
--- print(cjson.encode({ 1, cjson.null, cjson.empty_array })) --> [1,null,[]]
--- print(cjson.decode("[1,null]")[2] == cjson.null) --> true
--- ```
---@class cjson
---@field null userdata what `null` is: it is not nil, and true in a condition
---@field empty_array any[] a list that is `[]`
---@field array_mt table the metatable of lists: a table that has it is `[]` when it is empty
---@field empty_array_mt table the same as `array_mt`
local cjson = {}

--- A value as text. What has no JSON form raises an error.
---@param value any
---@return string
function cjson.encode(value) end

--- The value of a text. What is not JSON raises an error.
---@param text string
---@return any
function cjson.decode(text) end

return cjson
