---@meta cjson

--- JSON as lua-cjson has it, for Spacer's and OpenResty's code. Numbers that are keys become text, holes become null, and
--- a table that is mostly holes raises an error. Numbers that are not whole are written with 14 digits, whole ones as they
--- are; errors have the texts of lua-cjson. `/` is not escaped.
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
---@field _NAME string `cjson`
---@field _VERSION string of lua-cjson, whose functions these are
local cjson = {}

--- A value as text. What has no JSON form raises an error.
---@param value any
---@return string
function cjson.encode(value) end

--- The value of a text. What is not JSON raises an error.
---@param text string
---@return any
function cjson.decode(text) end

--- When a list with holes raises an error, or becomes an object: when its last index is larger than `ratio` times the
--- number of its items, and than `safe`. What is set of cjson holds for the function that sets it.
---@param convert? boolean whether it becomes an object, false at first
---@param ratio? integer 2 at first; 0: never
---@param safe? integer 10 at first
---@return boolean convert
---@return integer ratio
---@return integer safe
function cjson.encode_sparse_array(convert, ratio, safe) end

--- How many digits a number that is not whole is written with: 14 at first, 16 at most.
---@param digits? integer
---@return integer digits
function cjson.encode_number_precision(digits) end

--- Whether an empty table is `{}`, else it is `[]`: true at first.
---@param is? boolean
---@return boolean
function cjson.encode_empty_table_as_object(is) end

--- How deep tables may nest: always 64.
---@return integer
function cjson.encode_max_depth() end

--- How deep a text may nest: always 64.
---@return integer
function cjson.decode_max_depth() end

--- Changes nothing here.
---@return boolean
function cjson.encode_keep_buffer() end

--- Always false: what is no number in JSON is an error.
---@return boolean
function cjson.encode_invalid_numbers() end

--- Always false: what is no number in JSON is an error.
---@return boolean
function cjson.decode_invalid_numbers() end

--- Always false: `/` is written as it is.
---@return boolean
function cjson.encode_escape_forward_slash() end

--- Changes nothing here: a list that came empty stays a list.
---@return boolean
function cjson.decode_array_with_array_mt() end

--- The module itself: what is set holds for one function anyway.
---@return table
function cjson.new() end

return cjson
