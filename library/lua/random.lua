---@meta random

--- Numbers, texts and choices by chance.
---
--- In a request they cannot be told beforehand. In a trigger they are made of the event: each run of it gets the same
--- ones, in the same order, so that a replay writes what the first run wrote, and whoever knows the event can tell them.
--- For secrets there are `random.secure()` and `crypto.random_bytes`. See `weir.determinism` in the configuration.
---
--- ```lua
--- local random = require "random"
---
--- print(#random.string(12), #random.hex(8)) --> 12 16
--- print(random.int(3, 3)) --> 3
---
--- local dice = random.seeded("table 7")
--- print(dice:int(1, 6), dice:int(1, 6), dice:int(1, 6)) --> 6 5 3
--- ```
---@class random
local random = {}

--- Random numbers of its own, with the functions of the module as methods: `generator:int(1, 6)`.
---@class random.Generator
local Generator = {}

--- A whole number from `min` to `max`, both included. Raises an error where `min` is above `max`.
---@param min integer
---@param max integer
---@return integer
function random.int(min, max) end

--- A number from 0 up to, and not, 1.
---@return number
function random.float() end

--- `n` letters and digits.
---@param n integer 1 to 1048576
---@return string
function random.string(n) end

--- `n` bytes, in base64.
---@param n integer 1 to 1048576
---@return string? base64
---@return string? err
function random.bytes(n) end

--- `n` bytes, in hexadecimal digits: twice as many.
---@param n integer 1 to 1048576
---@return string? hex
---@return string? err
function random.hex(n) end

--- 20 letters and digits that nobody else has, and that sort by the second in which they were made (as xid makes them).
---@return string
function random.id() end

--- One entry of a list.
---@param list any[]
---@return any entry nil where the list is empty
function random.choice(list) end

--- The entries of a list in another order; the list stays as it is.
---@param list any[]
---@return any[]
function random.shuffle(list) end

--- Numbers that are always the same for a seed, on every machine.
---@param seed string|number
---@return random.Generator
function random.seeded(seed) end

--- Numbers that nobody can tell, in a trigger too: a replay gets others.
---@return random.Generator
function random.secure() end

--- As `random.int`.
---@param min integer
---@param max integer
---@return integer
function Generator:int(min, max) end

--- As `random.float`.
---@return number
function Generator:float() end

--- As `random.string`.
---@param n integer
---@return string
function Generator:string(n) end

--- As `random.bytes`.
---@param n integer
---@return string? base64
---@return string? err
function Generator:bytes(n) end

--- As `random.hex`.
---@param n integer
---@return string? hex
---@return string? err
function Generator:hex(n) end

--- As `random.choice`.
---@param list any[]
---@return any entry
function Generator:choice(list) end

--- As `random.shuffle`.
---@param list any[]
---@return any[]
function Generator:shuffle(list) end

return random
