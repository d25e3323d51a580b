---@meta base64

--- Bytes as text of 64 characters, and back (RFC 4648).
---
--- ```lua
--- local base64 = require "base64"
---
--- print(base64.encode("Weir")) --> V2Vpcg==
--- print(base64.decode("V2Vpcg==")) --> Weir
--- print(base64.decode("V2V?")) --> nil invalid symbol at 3
--- print(base64.encode_url("\251\255")) --> -_8
--- ```
---@class base64
local base64 = {}

--- Encodes in the usual alphabet (`+` and `/`), padded with `=`.
---@param s string
---@return string
function base64.encode(s) end

--- Decodes the usual alphabet. Line breaks are passed over; the padding must be there.
---@param s string
---@return string? bytes
---@return string? err where the text is not base64
function base64.decode(s) end

--- Encodes in the alphabet for URLs and file names (`-` and `_`), without padding, as tokens have it.
---@param s string
---@return string
function base64.encode_url(s) end

--- Decodes the alphabet for URLs, with or without padding.
---@param s string
---@return string? bytes
---@return string? err where the text is not base64
function base64.decode_url(s) end

return base64
