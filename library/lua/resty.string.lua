---@meta resty.string

--- Two functions of lua-resty-string. New code is better off with `hex`.
---
--- ```lua
--- print(require("resty.string").to_hex("Weir")) --> 57656972
--- ```
---@class resty.string
local string = {}

--- Bytes in hexadecimal digits.
---@param s string
---@return string? hex
---@return string? err where it is no text
function string.to_hex(s) end

--- The number that a text begins with, else 0.
---@param s string
---@return number
function string.atoi(s) end

return string
