---@meta bit

--- LuaJIT's operations on the bits of whole numbers. Numbers have 32 bits, and results a sign.
---
--- ```lua
--- local bit = require "bit"
---
--- print(bit.band(0xff, 0x0f), bit.bor(1, 2), bit.bnot(0)) --> 15 3 -1
--- print(bit.lshift(1, 31), bit.tohex(255, 4)) --> -2147483648 00ff
--- ```
---@class bit
local bit = {}

--- A number as a whole one of 32 bits.
---@param n integer
---@return integer
function bit.tobit(n) end

--- As hexadecimal digits.
---@param n integer
---@param digits? integer 8; negative for upper case
---@return string
function bit.tohex(n, digits) end

--- Every bit turned round.
---@param n integer
---@return integer
function bit.bnot(n) end

--- Bits that are in all numbers.
---@param ... integer numbers
---@return integer
function bit.band(...) end

--- Bits that are in any number.
---@param ... integer numbers
---@return integer
function bit.bor(...) end

--- Bits that are in an odd number of them.
---@param ... integer numbers
---@return integer
function bit.bxor(...) end

--- Shifted to the left.
---@param n integer
---@param by integer 0 to 31
---@return integer
function bit.lshift(n, by) end

--- Shifted to the right, with zeros.
---@param n integer
---@param by integer 0 to 31
---@return integer
function bit.rshift(n, by) end

--- Shifted to the right, with the sign.
---@param n integer
---@param by integer 0 to 31
---@return integer
function bit.arshift(n, by) end

--- Turned to the left.
---@param n integer
---@param by integer 0 to 31
---@return integer
function bit.rol(n, by) end

--- Turned to the right.
---@param n integer
---@param by integer 0 to 31
---@return integer
function bit.ror(n, by) end

--- Its four bytes in the opposite order.
---@param n integer
---@return integer
function bit.bswap(n) end

return bit
