-- ngx: the parts of OpenResty's API that functions use. What a function says with it (`status`, `header`, `say`, `print`)
-- is kept with the function while it runs (`host.shape()`), never here: this table is made once for all invocations.
local weir, _, host = ...
local type, tostring, error = type, tostring, error
local unhex = weir.hex.decode

local ngx = { null = host.null, OK = 0, ERROR = -1, AGAIN = -2, DONE = -4, DECLINED = -5 }

-- stylua: ignore
local STATUSES = {
  CONTINUE = 100, SWITCHING_PROTOCOLS = 101, OK = 200, CREATED = 201, ACCEPTED = 202, NO_CONTENT = 204,
  PARTIAL_CONTENT = 206, SPECIAL_RESPONSE = 300, MOVED_PERMANENTLY = 301, MOVED_TEMPORARILY = 302, SEE_OTHER = 303,
  NOT_MODIFIED = 304, TEMPORARY_REDIRECT = 307, PERMANENT_REDIRECT = 308, BAD_REQUEST = 400, UNAUTHORIZED = 401,
  PAYMENT_REQUIRED = 402, FORBIDDEN = 403, NOT_FOUND = 404, NOT_ALLOWED = 405, NOT_ACCEPTABLE = 406,
  REQUEST_TIMEOUT = 408, CONFLICT = 409, GONE = 410, UPGRADE_REQUIRED = 426, TOO_MANY_REQUESTS = 429, CLOSE = 444,
  ILLEGAL = 451, INTERNAL_SERVER_ERROR = 500, METHOD_NOT_IMPLEMENTED = 501, BAD_GATEWAY = 502,
  SERVICE_UNAVAILABLE = 503, GATEWAY_TIMEOUT = 504, VERSION_NOT_SUPPORTED = 505, INSUFFICIENT_STORAGE = 507,
}
for name, status in STATUSES do ngx["HTTP_" .. name] = status end

-- stylua: ignore
local METHODS = {
  GET = 2, HEAD = 4, POST = 8, PUT = 16, DELETE = 32, MKCOL = 64, COPY = 128, MOVE = 256, OPTIONS = 512,
  PROPFIND = 1024, PROPPATCH = 2048, LOCK = 4096, UNLOCK = 8192, PATCH = 16384, TRACE = 32768,
}
for name, number in METHODS do ngx["HTTP_" .. name] = number end

-- The log. OpenResty's eight levels are four here.
local LEVELS = { STDERR = 0, EMERG = 1, ALERT = 2, CRIT = 3, ERR = 4, WARN = 5, NOTICE = 6, INFO = 7, DEBUG = 8 }
for name, level in LEVELS do ngx[name] = level end

local function joined(place, ...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local kind = type(value)
    if kind == "function" or kind == "table" or kind == "userdata" and value ~= ngx.null then
      error("bad argument #" .. i .. " to '" .. place .. "' (string, number, boolean, or nil expected, got " .. kind .. ")", 3)
    end
    parts[i] = value == ngx.null and "null" or tostring(value)
  end
  return table.concat(parts)
end

function ngx.log(level, ...)
  local ours = level <= 4 and 3 or level == 5 and 2 or level < 8 and 1 or 0
  host.log(ours, joined("log", ...), nil, debug.info(2, "sl"))
end

-- Time: the invocation's own, in a trigger that of its event.
function ngx.now() return host.precise_now() end
function ngx.time() return math.floor(host.precise_now()) end
function ngx.update_time() end
function ngx.today() return os.date("!%Y-%m-%d", ngx.time()) end
function ngx.utctime() return os.date("!%Y-%m-%d %H:%M:%S", ngx.time()) end
ngx.localtime = ngx.utctime
function ngx.http_time(seconds) return os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds) end
function ngx.cookie_time(seconds) return os.date("!%a, %d-%b-%y %H:%M:%S GMT", seconds) end

-- Hashes and codes.
function ngx.md5(s) return weir.crypto.md5(tostring(s)) end
function ngx.md5_bin(s) return unhex(weir.crypto.md5(tostring(s))) end
function ngx.sha1_bin(s) return unhex(weir.crypto.sha1(tostring(s))) end
function ngx.hmac_sha1(key, s) return unhex(weir.crypto.hmac_sha1(s, key)) end

function ngx.encode_base64(s, no_padding)
  local text = weir.base64.encode(tostring(s))
  return no_padding and string.gsub(text, "=+$", "") or text
end

-- nil where it is none; the padding may be missing.
function ngx.decode_base64(s)
  if type(s) ~= "string" then error("string argument only", 2) end
  local text = string.gsub(s, "=+$", "")
  return (weir.base64.decode(text .. string.rep("=", -#text % 4)))
end

function ngx.escape_uri(s)
  return (string.gsub(tostring(s), "[^%w%-._~]", function(c) return string.format("%%%02X", string.byte(c)) end))
end

function ngx.unescape_uri(s)
  s = string.gsub(tostring(s), "+", " ")
  return (string.gsub(s, "%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

function ngx.encode_args(args)
  local parts, names = {}, {}
  for name in args do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in names do
    local values = args[name]
    for _, value in type(values) == "table" and values or { values } do
      local key = ngx.escape_uri(name)
      if value == true then
        parts[#parts + 1] = key
      elseif value ~= false then
        parts[#parts + 1] = key .. "=" .. ngx.escape_uri(value)
      end
    end
  end
  return table.concat(parts, "&")
end

-- One without `=` is true; one that repeats is a list.
function ngx.decode_args(text, most)
  local args, count = {}, 0
  most = most or 100
  for part in string.gmatch(text, "[^&]+") do
    local name, value = string.match(part, "^(.-)=(.*)$")
    name, value = ngx.unescape_uri(name or part), value and ngx.unescape_uri(value) or true
    if name ~= "" then
      count = count + 1
      if most > 0 and count > most then return args, "truncated" end
      local known = args[name]
      if known == nil then
        args[name] = value
      elseif type(known) == "table" then
        known[#known + 1] = value
      else
        args[name] = { known, value }
      end
    end
  end
  return args
end

ngx.re = host.ngx_re(weir)

-- The request, as `ctx` tells it. A function that a trigger or `flow` runs has none.
local field = host.ctx_field
local header_mt = {
  __index = function(headers, name)
    if type(name) ~= "string" then return nil end
    return rawget(headers, (string.gsub(string.lower(name), "_", "-")))
  end,
}
table.freeze(header_mt)

local req = {}
ngx.req = req
function req.get_headers() return setmetatable(field("headers") or {}, header_mt) end
function req.get_method() return field("method") or "POST" end
function req.get_uri_args() return field("query") or {} end
function req.read_body() end
function req.discard_body() end
function req.get_body_file() return nil end
function req.start_time() return host.precise_now() end
function req.http_version() return 1.1 end
function req.is_internal() return false end
function req.get_body_data()
  local body = field("body")
  return body ~= "" and body or nil
end
function req.get_post_args() return ngx.decode_args(field("body") or "") end

local VARIABLES = {
  uri = function() return field("path") end,
  document_uri = function() return field("path") end,
  request_method = function() return field("method") end,
  remote_addr = function() return field("remote_addr") end,
  args = function() return ngx.encode_args(field("query") or {}) end,
  query_string = function() return ngx.encode_args(field("query") or {}) end,
  is_args = function() return next(field("query") or {}) ~= nil and "?" or "" end,
  request_body = function() return req.get_body_data() end,
  scheme = function() return field("method") and "http" end,
  server_protocol = function() return field("method") and "HTTP/1.1" end,
  host = function()
    local host_header = req.get_headers().host
    return host_header and (string.gsub(host_header, ":%d+$", ""))
  end,
  content_type = function() return req.get_headers()["content-type"] end,
  content_length = function() return req.get_headers()["content-length"] end,
  request_id = function() return field("id") end,
  time_iso8601 = function() return os.date("!%Y-%m-%dT%H:%M:%S+00:00", ngx.time()) end,
  msec = function() return string.format("%.3f", host.precise_now()) end,
}
function VARIABLES.request_uri()
  local args = VARIABLES.args()
  return field("path") and field("path") .. (args ~= "" and "?" .. args or "")
end

ngx.var = setmetatable({}, {
  __index = function(_, name)
    if VARIABLES[name] then return VARIABLES[name]() end
    local kind, rest = string.match(name, "^(%l+)_(.+)$")
    if kind == "http" then return req.get_headers()[rest] end
    if kind == "arg" then
      local value = req.get_uri_args()[rest]
      if type(value) == "table" then value = value[1] end
      return value == true and "" or value
    end
    if kind == "cookie" then
      for pair in string.gmatch(req.get_headers().cookie or "", "[^;]+") do
        local key, value = string.match(pair, "^%s*(.-)=(.*)$")
        if key == rest then return value end
      end
    end
    return nil
  end,
  __newindex = function() error("ngx.var cannot be set: keep it in a local variable, or in ngx.ctx", 2) end,
})

-- The response. It takes the place of what the function returns.
local function shape()
  local response = host.shape()
  if not response.said then
    response.said, response.headers, response.ctx = {}, {}, {}
  end
  return response
end

local function flatten(value, out)
  if type(value) == "table" then
    for _, item in ipairs(value) do flatten(item, out) end
  elseif value == ngx.null then
    out[#out + 1] = "null"
  else
    out[#out + 1] = tostring(value)
  end
end

local function say(place, ending, ...)
  local said = shape().said
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if type(value) == "function" then
      error("bad argument #" .. i .. " to '" .. place .. "' (string, number, boolean, nil, ngx.null, or array table expected, got function)", 3)
    end
    flatten(value, said)
  end
  said[#said + 1] = ending
  return 1
end

function ngx.say(...) return say("say", "\n", ...) end
function ngx.print(...) return say("print", nil, ...) end
function ngx.flush() return 1 end
function ngx.eof() return 1 end
function ngx.send_headers() return 1 end

function ngx.exit(status)
  local response = shape()
  if status >= 300 or not response.status and status >= 200 then response.status = status end
  return host.ngx_exit()
end

function ngx.redirect(uri, status)
  local response = shape()
  response.headers.location, response.status = uri, status or 302
  return host.ngx_exit()
end

local function header_name(name) return (string.gsub(string.lower(name), "_", "-")) end
ngx.header = setmetatable({}, {
  __index = function(_, name) return shape().headers[header_name(name)] end,
  __newindex = function(_, name, value)
    if type(value) == "table" and #value == 0 then value = nil end
    shape().headers[header_name(name)] = value
  end,
})
ngx.headers_sent = false

function ngx.sleep(seconds) return weir.time.sleep(seconds * 1000) end
function ngx.get_phase() return "content" end

-- What Weir does otherwise.
local OTHERWISE = {
  shared = "what invocations share is in `cache` (in memory) and `state` (for good)",
  location = 'write require("flow").call for a function, and require("http") for a server',
  exec = 'write return require("flow").call(NAME, args)',
  socket = 'write require("http")',
  timer = "append an event, and let a trigger do the work",
  thread = 'write require("http").all for requests at the same time',
  semaphore = "invocations share nothing that it could guard",
  on_abort = "an invocation goes on when its client has gone",
}
for _, name in { "set_header", "clear_header", "set_uri", "set_uri_args", "set_method", "set_body_data", "socket" } do
  req[name] = function() error("ngx.req." .. name .. " is not served by Weir: a request stays as it came", 2) end
end
table.freeze(req)
table.freeze(ngx.var)
table.freeze(ngx.header)

return setmetatable(ngx, {
  __index = function(_, name)
    if name == "status" then return shape().status or 0 end
    if name == "ctx" then return shape().ctx end
    if OTHERWISE[name] then error("ngx." .. name .. " is not served by Weir: " .. OTHERWISE[name], 2) end
    return nil
  end,
  __newindex = function(_, name, value)
    if name == "ctx" then
      shape().ctx = value
    elseif name == "status" and type(value) == "number" then
      shape().status = value
    else
      error("ngx." .. tostring(name) .. " cannot be set to this", 2)
    end
  end,
})
