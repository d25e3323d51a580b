-- Values as text for people, and where two values differ.
local pretty = {}

local MAX_DEPTH, MAX_ITEMS, MAX_DIFFERENCES = 8, 100, 20

local ORDER = { number = 1, string = 2, boolean = 3 }
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (ORDER[ta] or 9) < (ORDER[tb] or 9) end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

-- The keys of a table: numbers, then texts, then the rest.
function pretty.keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys, before)
  return keys
end

local function is_name(key) return type(key) == "string" and string.find(key, "^[%a_][%w_]*$") ~= nil end

local write

local function write_table(t, depth, seen)
  if seen[t] then return "<a table that holds itself>" end
  if depth > MAX_DEPTH then return "{…}" end
  seen[t] = true
  local parts, length = {}, #t
  for _, key in pretty.keys(t) do
    local is_item = type(key) == "number" and key >= 1 and key <= length and key % 1 == 0
    local name = is_item and "" or (is_name(key) and key or "[" .. write(key, depth + 1, seen) .. "]") .. "="
    parts[#parts + 1] = name .. write(t[key], depth + 1, seen)
    if #parts == MAX_ITEMS then
      parts[#parts + 1] = "…"
      break
    end
  end
  seen[t] = nil
  return "{" .. table.concat(parts, ", ") .. "}"
end

function write(value, depth, seen)
  local kind = type(value)
  if kind == "string" then
    local text = string.gsub(string.gsub(value, "\\", "\\\\"), "\n", "\\n")
    return '"' .. string.gsub(text, '"', '\\"') .. '"'
  end
  if kind ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  return write_table(value, depth, seen)
end

-- One line for any value.
function pretty.show(value) return (write(value, 1, {})) end

-- Whether two values are the same, tables by what they hold.
local function same(a, b, met)
  if a == b or (a ~= a and b ~= b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  -- of tables that hold themselves the second meeting proves nothing more
  if met[a] == b then return true end
  met[a] = b
  for key, value in next, a do
    if not same(value, b[key], met) then return false end
  end
  for key in next, b do
    if a[key] == nil then return false end
  end
  return true
end
function pretty.same(a, b) return same(a, b, {}) end

local function differences(actual, expected, path, found, met)
  if #found > MAX_DIFFERENCES or same(actual, expected, {}) then return end
  if type(actual) ~= "table" or type(expected) ~= "table" or met[actual] then
    found[#found + 1] = { path, pretty.show(expected), pretty.show(actual) }
    return
  end
  met[actual] = true
  local keys = {}
  for key in next, expected do keys[key] = true end
  for key in next, actual do keys[key] = true end
  for _, key in pretty.keys(keys) do
    local step = is_name(key) and "." .. key or "[" .. pretty.show(key) .. "]"
    differences(actual[key], expected[key], path .. step, found, met)
  end
end

-- Where two tables differ: a line for each place, expected before actual.
function pretty.diff(actual, expected)
  local found, width, lines = {}, 0, {}
  differences(actual, expected, "", found, {})
  for _, place in found do width = math.max(width, #place[1]) end
  for i, place in found do
    if i > MAX_DIFFERENCES then
      lines[i] = "  …"
      break
    end
    lines[i] = string.format("  %-" .. width .. "s  expected %s, got %s", place[1], place[2], place[3])
  end
  return table.concat(lines, "\n")
end

return pretty
