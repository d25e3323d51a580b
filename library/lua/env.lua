---@meta env

--- The variables of the environment that functions may see: those that `envVar` lists in `config/application.yml`, and
--- `WEIR_ENV`. `os.getenv` sees the same.
---
--- ```lua
--- local env = require "env"
---
--- print(env.get("NO_SUCH_VARIABLE")) --> nil
--- ```
---@class env
local env = {}

--- The value of a variable.
---@param key string
---@return string? value nil where it is not set, or not listed
function env.get(key) end

return env
