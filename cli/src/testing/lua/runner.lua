-- Runs one test of a file, or lists the tests that it has. Each runs in an invocation of its own, from the file's
-- first line on, so that no test sees what another has left.
local _, kit = ...

-- What a file that prints and runs itself expects of a process.
local function writer()
  local file = {}
  function file.write(_, ...)
    for i = 1, select("#", ...) do kit.ask("write", tostring((select(i, ...)))) end
    return file
  end
  function file.flush() return true end
  function file.close() return true end
  function file.setvbuf() return true end
  return file
end
local stdout = writer()
-- asked for by this name, the environment is one whose globals may change under loaded code: `os` does
local env = getfenv(1)
env.os = setmetatable({}, { __index = os })
env.io = {
  stdout = stdout, stderr = writer(),
  write = function(...) return stdout:write(...) end,
  flush = stdout.flush,
}
function print(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  kit.ask("write", table.concat(parts, "\t") .. "\n")
end

-- Its own error, or what luaunit raises to say that the test is over.
local function is_over(e) return type(e) == "table" and e.luaunit ~= nil end

-- What a test raised; a luaunit of the project's own has its outcomes in texts.
local function caught(e)
  local kind, words
  if type(e) == "string" then kind, words = string.match(e, "LuaUnit test (%u+):%s*(.*)$") end
  if kind == "FAILURE" then e = kit.place("lib/luaunit.lua") .. words end
  if kind == "SKIP" then e = { luaunit = "skip", message = words } end
  if kind == "SUCCESS" then e = { luaunit = "ok" } end
  return kit.on_error(e)
end

local function load_file(path)
  local main, mistake = kit.chunk(path)
  if not main then error(mistake, 0) end
  local ok, result = xpcall(main, kit.on_error, path)
  if ok then return result end
  if is_over(result) and result.luaunit == "run" then return result.instances end
  error(result, 0)
end

local function is_test(name) return type(name) == "string" and string.lower(string.sub(name, 1, 4)) == "test" end

-- Adds what is a test of `holder`, or a class of them, by name.
local function add(found, holder, prefix, class)
  for name, value in next, holder do
    if is_test(name) and type(value) == "function" then
      found[prefix .. name] = { run = value, class = class }
    elseif is_test(name) and type(value) == "table" and not class then
      add(found, value, name .. ".", value)
    end
  end
end

-- The tests of a file: its globals, or those of the table that it returns; luaunit's list of {name, class} pairs too.
local function tests_of(path)
  local returned, found = load_file(path), {}
  if type(returned) == "table" and type(returned[1]) == "table" then
    for _, pair in returned do add(found, { [pair[1]] = pair[2] }, "", nil) end
  elseif type(returned) == "table" then
    add(found, returned, "", nil)
  end
  add(found, _G, "", nil)
  return found
end

local function named(holder, ...)
  for _, name in { ... } do
    if holder and type(rawget(holder, name)) == "function" then return holder[name] end
  end
  return function() end
end

local function run(test)
  local class = test.class
  named(_G, "setupSuite", "setUpSuite")()
  named(class, "setupClass", "setUpClass")(class)
  local set_up = named(class, "setUp", "setup", "SetUp", "Setup")
  local tear_down = named(class, "tearDown", "teardown", "TearDown", "Teardown")
  local ok, e = xpcall(function()
    set_up(class)
    test.run(class)
  end, caught)
  local is_down, trouble = pcall(tear_down, class)
  pcall(named(class, "teardownClass", "tearDownClass"), class)
  pcall(named(_G, "teardownSuite", "tearDownSuite"))
  if ok and not is_down then error(trouble, 0) end
  if ok or (is_over(e) and e.luaunit == "ok") then return { status = "ok" } end
  if is_over(e) then return { status = "skip", message = e.message } end
  error(e, 0)
end

return function(args)
  local tests = tests_of(args.file)
  if args.test then
    local test = tests[args.test]
    if not test then error(args.file .. " has no test " .. args.test .. " any more", 0) end
    return run(test)
  end
  local names = {}
  for name in next, tests do names[#names + 1] = name end
  table.sort(names)
  return { tests = names }
end
