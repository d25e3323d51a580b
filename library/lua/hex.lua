---@meta hex

--- Bytes as hexadecimal digits, and back.
---
--- ```lua
--- local hex = require "hex"
---
--- print(hex.encode("Weir")) --> 57656972
--- print(hex.decode("57656972")) --> Weir
--- print(hex.decode("5")) --> nil invalid length at 0
--- ```
---@class hex
local hex = {}

--- Encodes in lower-case digits, two a byte.
---@param s string
---@return string
function hex.encode(s) end

--- Decodes digits of either case.
---@param s string
---@return string? bytes
---@return string? err where the text is not hexadecimal
function hex.decode(s) end

return hex
