-- resty.string
local weir = ...
local M = {}

function M.to_hex(s)
  if type(s) ~= "string" then return nil, "must provide a string" end
  return weir.hex.encode(s)
end

-- The number that a text begins with; 0 where it begins with none, as in C.
function M.atoi(s) return tonumber((string.match(s, "^%s*([-+]?%d+)"))) or 0 end

return M
