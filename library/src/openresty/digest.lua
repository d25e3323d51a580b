-- resty.md5, resty.sha1, resty.sha256 …: a hash that is fed piece by piece. `name` is the hash's.
local weir, _, name = ...
local hash, unhex = weir.crypto[name], weir.hex.decode

local Digest = {}
local metatable = { __index = Digest }

function Digest:new() return setmetatable({ parts = {} }, metatable) end

function Digest:update(s, length)
  table.insert(self.parts, length and string.sub(s, 1, length) or s)
  return true
end

function Digest:final() return unhex(hash(table.concat(self.parts))) end

function Digest:reset()
  self.parts = {}
  return true
end

return Digest
