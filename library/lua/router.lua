---@meta router

--- Paths matched with patterns, and made of them. `:name` stands for one segment, `*name` (or `*`) at the end for one or
--- more. A slash at the end makes no difference.
---
--- ```lua
--- local router = require "router"
---
--- print(router.match("/users/7/posts", "/users/:id/posts")) --> true
--- print(router.params("/users/7", "/users/:id").id) --> 7
--- print(router.params("/files/a/b.txt", "/files/*path").path) --> a/b.txt
--- print(router.path("/users/:id", { id = "ada l" })) --> /users/ada%20l
--- ```
---@class router
local router = {}

--- Whether a path fits a pattern.
---@param path string
---@param pattern string
---@return boolean
function router.match(path, pattern) end

--- The parameters of a path, as they stand in it: escapes are not undone.
---@param path string
---@param pattern string
---@return table<string, string> params empty where the path does not fit
function router.params(path, pattern) end

--- The path that a pattern and its parameters come to, escaped. A parameter that is missing raises an error.
---@param pattern string
---@param params? table<string, string|number>
---@return string
function router.path(pattern, params) end

return router
