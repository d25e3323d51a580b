---@meta uuid

--- Identifiers that nobody else has (RFC 9562).
---
--- In a trigger `v4` and `v7` are made of the event: each run of it gives the same ones, in the same order. So a replay
--- writes what the first run wrote, and whoever knows the event can tell them: for secrets there is
--- `crypto.random_bytes`. See `weir.determinism` in the configuration.
---
--- ```lua
--- local uuid = require "uuid"
---
--- print(#uuid.v4()) --> 36
--- print(uuid.v5(uuid.DNS, "example.org")) --> aad03681-8b63-5304-89e0-8ca8f49461b5
--- print(uuid.is_valid("aad03681-8b63-5304-89e0-8ca8f49461b5")) --> true
--- ```
---@class uuid
---@field DNS string the namespace of host names, for `v5`
---@field URL string the namespace of addresses
---@field OID string the namespace of object identifiers
---@field X500 string the namespace of distinguished names
local uuid = {}

--- A random one.
---@return string
function uuid.v4() end

--- The one of this name: always the same, made by SHA-1.
---@param namespace string a UUID
---@param name string
---@return string
function uuid.v5(namespace, name) end

--- One that begins with the time: later ones sort behind, so that they are good keys.
---@return string
function uuid.v7() end

--- Whether a value is the text of a UUID.
---@param text any
---@return boolean
function uuid.is_valid(text) end

--- The same as `uuid.v4`, as Spacer calls it.
---@return string
function uuid.generate_v4() end

--- Does nothing: there is nothing to be seeded. Spacer's functions call it.
---@param seed? integer
---@return integer? seed
function uuid.seed(seed) end

return uuid
