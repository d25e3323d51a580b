---@meta cjson.safe

--- As `cjson`, but what goes wrong is returned and not raised.
---
--- ```lua
--- local safe = require "cjson.safe"
---
--- print(safe.decode("{")) --> nil Expected object key string but found T_END at character 2
--- ```
---@class cjson.safe
---@field null userdata what `null` is: it is not nil, and true in a condition
---@field empty_array any[] a list that is `[]`
---@field array_mt table the metatable of lists: a table that has it is `[]` when it is empty
---@field empty_array_mt table the same as `array_mt`
---@field _NAME string `cjson`
---@field _VERSION string of lua-cjson, whose functions these are
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

--- When a list with holes raises an error, or becomes an object: when its last index is larger than `ratio` times the
--- number of its items, and than `safe`. What is set of cjson holds for the function that sets it.
---@param convert? boolean whether it becomes an object, false at first
---@param ratio? integer 2 at first; 0: never
---@param safe? integer 10 at first
---@return boolean convert
---@return integer ratio
---@return integer safe
function safe.encode_sparse_array(convert, ratio, safe) end

--- How many digits a number that is not whole is written with: 14 at first, 16 at most.
---@param digits? integer
---@return integer digits
function safe.encode_number_precision(digits) end

--- Whether an empty table is `{}`, else it is `[]`: true at first.
---@param is? boolean
---@return boolean
function safe.encode_empty_table_as_object(is) end

--- How deep tables may nest: always 64.
---@return integer
function safe.encode_max_depth() end

--- How deep a text may nest: always 64.
---@return integer
function safe.decode_max_depth() end

--- Changes nothing here.
---@return boolean
function safe.encode_keep_buffer() end

--- Always false: what is no number in JSON is an error.
---@return boolean
function safe.encode_invalid_numbers() end

--- Always false: what is no number in JSON is an error.
---@return boolean
function safe.decode_invalid_numbers() end

--- Always false: `/` is written as it is.
---@return boolean
function safe.encode_escape_forward_slash() end

--- Changes nothing here: a list that came empty stays a list.
---@return boolean
function safe.decode_array_with_array_mt() end

--- The module itself: what is set holds for one function anyway.
---@return table
function safe.new() end

return safe
