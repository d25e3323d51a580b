---@meta resty.sha256

--- A hash that is fed piece by piece, as lua-resty-string has it; so are `resty.md5`, `resty.sha1`, `resty.sha384` and
--- `resty.sha512`. `resty.random` has `bytes(length)`. New code is better off with `crypto.sha256` and the like.
---
--- ```lua
--- local hash = require("resty.sha256"):new()
--- hash:update("a")
--- hash:update("bc")
--- print(require("resty.string").to_hex(hash:final())) --> ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
--- ```
---@class resty.sha256
local sha256 = {}

--- A hash that has been fed nothing.
---@return resty.sha256
function sha256:new() end

--- Feeds a piece, or as many bytes of it.
---@param s string
---@param length? integer
---@return boolean
function sha256:update(s, length) end

--- The hash of all that was fed, as bytes.
---@return string
function sha256:final() end

--- Begins anew.
---@return boolean
function sha256:reset() end

return sha256
