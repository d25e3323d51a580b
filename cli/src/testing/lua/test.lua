-- What a test does to its project: each test has a log in memory of its own, and a clock that stands still.
local _, kit = ...
local test = {}

-- Asks the world; what is wrong is raised where the test called.
local function ask(what, args)
  local ok, answer = kit.ask(what, args)
  if not ok then error(kit.place() .. answer, 0) end
  return answer
end

local function encode(text)
  return (string.gsub(tostring(text), "[^%w%-_]", function(c) return string.format("%%%02X", string.byte(c)) end))
end

-- Members that are null are left out.
local function without_null(t)
  for key, value in next, t do
    if value == kit.null then t[key] = nil end
  end
  return t
end

local function given(value)
  if value == kit.null then return nil end
  return value
end

function test.call(name, args)
  local done = ask("call", { name = name, args = args })
  if done.failed then return nil, without_null(done.failed) end
  return given(done.result)
end

function test.request(method, path, body, headers)
  local answer = ask("request", { method = method, path = path, body = body, headers = headers })
  return without_null(answer)
end

function test.append(topic, value, options)
  local event = { value = value, key = options and options.key, headers = options and options.headers }
  local path = "/v1/topics/" .. encode(topic) .. "/events"
  return ask("admin", { method = "POST", path = path, body = event }).appended[1]
end

function test.run() return ask("run", {}) end

function test.events(topic)
  local page = ask("admin", { method = "GET", path = "/v1/topics/" .. encode(topic) .. "/events?limit=10000" })
  for _, event in page.events do without_null(event) end
  return page.events
end

function test.state(name)
  local page = ask("admin", { method = "GET", path = "/v1/state/" .. encode(name) .. "?limit=1000" })
  local rows = {}
  for _, row in page.rows do rows[row.key] = row.value end
  return rows
end

function test.get(name, key) return test.state(name)[tostring(key)] end

function test.set(name, key, value)
  ask("admin", { method = "PUT", path = "/v1/state/" .. encode(name) .. "/" .. encode(key), body = value })
end

function test.parked()
  local list = ask("admin", { method = "GET", path = "/v1/parked" })
  for _, event in list do without_null(event) end
  return list
end

-- From now on, what a request that a function sends is answered. The URL may end in `*`.
function test.http(method, url, answer)
  ask("http", { method = method, url = url, answer = answer or {} })
end

function test.requests()
  local list = ask("requests", nil)
  for _, request in list do without_null(request) end
  return list
end

function test.advance(duration) ask("advance", duration) end
function test.now() return ask("now", nil) end

return test
