-- resty.hmac: as lua-resty-hmac, which Spacer copies into a project.
local weir = ...
local unhex = weir.hex.decode

local Hmac = {
  ALGOS = {
    MD5 = weir.crypto.hmac_md5,
    SHA1 = weir.crypto.hmac_sha1,
    SHA256 = weir.crypto.hmac_sha256,
    SHA512 = weir.crypto.hmac_sha512,
  },
}
local metatable = { __index = Hmac }

function Hmac:new(key, algorithm)
  return setmetatable({ key = key, hmac = algorithm or Hmac.ALGOS.MD5, parts = {} }, metatable)
end

function Hmac:update(s)
  table.insert(self.parts, s)
  return true
end

function Hmac:final(s, as_hex)
  if s ~= nil then self:update(s) end
  local hex = self.hmac(table.concat(self.parts), self.key)
  return as_hex == true and hex or unhex(hex)
end

function Hmac:reset()
  self.parts = {}
  return true
end

return Hmac
