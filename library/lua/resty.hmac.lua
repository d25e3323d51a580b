---@meta resty.hmac

--- HMAC as lua-resty-hmac has it. New code is better off with `crypto.hmac_sha256` and the like.
---
--- ```lua
--- local hmac = require "resty.hmac"
---
--- print(hmac:new("key", hmac.ALGOS.SHA256):final("message", true)) --> 6e9ef29b75fffc5b7abae527d58fdadb2fe42e7219011976917343065f58ed4a
--- ```
---@class resty.hmac
---@field ALGOS table `MD5`, `SHA1`, `SHA256`, `SHA512`
local hmac = {}

--- A code that is fed piece by piece.
---@param key string
---@param algorithm? any one of `ALGOS`; MD5 if missing
---@return resty.hmac
function hmac:new(key, algorithm) end

--- Feeds a piece.
---@param s string
---@return boolean
function hmac:update(s) end

--- The code of all that was fed.
---@param s? string the last piece
---@param as_hex? boolean else bytes
---@return string
function hmac:final(s, as_hex) end

--- Begins anew.
---@return boolean
function hmac:reset() end

return hmac
