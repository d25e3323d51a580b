---@meta json

--- JSON, read and written. Tables that are neither list nor object (a hole, a mix of both) raise an error that names the
--- path.
---
--- ```lua
--- local json = require "json"
---
--- print(json.encode({ 1, json.null, {}, json.array() })) --> [1,null,{},[]]
--- print(json.decode('{"a":[1,null]}').a[2] == json.null) --> true
--- print(pcall(json.decode, "{")) --> false not JSON at byte 1: a key is missing
--- ```
---@class json
---@field null userdata what `null` is: it is not nil, and true in a condition
local json = {}

--- A value as text. `{}` is an object; see `json.array`. What has no JSON form raises an error.
---@param value any
---@return string
function json.encode(value) end

--- The value of a text. What is not JSON raises an error with the place.
---@param text string
---@return any
function json.decode(text) end

--- Marks a table as a list: it is `[]` when it is empty.
---@param list? any[]
---@return any[]
function json.array(list) end

return json
