-- ngx.re: the expressions of `re`, in linear time, so without look-around and back references.
local weir = ...
local re = {}
local find_spans = weir["ngx.native"].spans

-- Where each match and its groups stand, and the groups' names; nil and an error.
local function spans(subject, pattern, options, init, limit)
  local flags, is_anchored = "", false
  for option in string.gmatch(options or "", ".") do
    if string.find("imsx", option, 1, true) then
      flags = flags .. option
    elseif option == "a" then
      is_anchored = true
    elseif not string.find("uUjodDJ", option, 1, true) then
      error("unknown flag \"" .. option .. '" (flags "' .. options .. '")', 4)
    end
  end
  local is_bytes = not string.find(options or "", "[uU]") and not string.find(pattern, "[\128-\255]")
  if is_bytes then flags = flags .. "-u" end
  local whole = flags ~= "" and "(?" .. flags .. ":" .. pattern .. ")" or pattern
  local found, names = find_spans(tostring(subject), whole, init or 1, limit)
  if not found then return nil, "pcre_compile() failed: " .. names .. ' in "' .. pattern .. '"' end
  if is_anchored then
    local last = init or 1
    for n, span in found do
      if span[1] ~= last then
        found = table.move(found, 1, n - 1, 1, {})
        break
      end
      last = span[2] + 1
    end
  end
  return found, names
end

-- The texts of a match: the whole at 0, then the groups by number and name; false for one that took no part.
local function captures(subject, span, names, into)
  local result = into or {}
  for n = 0, #span / 2 - 1 do
    local from, to = span[2 * n + 1], span[2 * n + 2]
    local text = from > 0 and string.sub(subject, from, to)
    result[n] = text
    if names[n] then result[names[n]] = text end
  end
  return result
end

local function first(subject, pattern, options, ctx)
  local found, names = spans(subject, pattern, options, ctx and ctx.pos, 1)
  if not found then return nil, names end
  local span = found[1]
  if span and ctx then ctx.pos = span[2] + 1 end
  return span, names
end

function re.match(subject, pattern, options, ctx, into)
  local span, names = first(subject, pattern, options, ctx)
  if span then return captures(tostring(subject), span, names, into) end
  return nil, type(names) == "string" and names or nil
end

function re.find(subject, pattern, options, ctx, nth)
  local span, names = first(subject, pattern, options, ctx)
  if not span then return nil, nil, type(names) == "string" and names or nil end
  local from = span[2 * (nth or 0) + 1]
  if not from then return nil, nil, "nth out of bound" end
  if from == 0 then return nil, nil end
  return from, span[2 * (nth or 0) + 2]
end

function re.gmatch(subject, pattern, options)
  local found, names = spans(subject, pattern, options)
  if not found then return nil, names end
  local n = 0
  return function()
    n = n + 1
    return found[n] and captures(tostring(subject), found[n], names) or nil
  end
end

-- In a text that is put in, `$1` and `${1}` are groups, `$0` and `$&` the whole, `$$` is a dollar.
local function expand(template, groups)
  local function group(digits) return groups[tonumber(digits)] or "" end
  template = string.gsub(template, "%$%$", "\0")
  template = string.gsub(template, "%${(%d+)}", group)
  template = string.gsub(template, "%$(%d+)", group)
  return (string.gsub(string.gsub(template, "%$&", function() return groups[0] end), "%z", "$"))
end

local function replaced(subject, pattern, with, options, limit)
  subject = tostring(subject)
  local found, names = spans(subject, pattern, options, 1, limit)
  if not found then return nil, nil, names end
  local parts, at = {}, 1
  for _, span in found do
    local groups = captures(subject, span, names)
    parts[#parts + 1] = string.sub(subject, at, span[1] - 1)
    parts[#parts + 1] = type(with) == "function" and tostring(with(groups)) or expand(tostring(with), groups)
    at = span[2] + 1
  end
  parts[#parts + 1] = string.sub(subject, at)
  return table.concat(parts), #found
end

function re.sub(subject, pattern, with, options) return replaced(subject, pattern, with, options, 1) end
function re.gsub(subject, pattern, with, options) return replaced(subject, pattern, with, options) end
return table.freeze(re)
