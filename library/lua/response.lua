---@meta response

--- An answer of the function's own: `return response(201, {id = 1})`. It commits whatever its status is; in a trigger a
--- status of 400 and above is a failure. `response` is there without `require`.
---
--- ```lua
--- local answer = response(201, { id = 1 }, { ["X-Total"] = "3", ["Set-Cookie"] = { "a=1", "b=2" } })
--- print(answer.status, answer.body.id) --> 201 1
--- ```
---@class response
---@field status integer of the answer
---@field body? any of the answer
---@field headers? table<string, string|number|(string|number)[]> a name that repeats has a list

--- Makes an answer. A table as body is sent as JSON, without the `data` around it; a text as it is.
---@param status integer 100 to 599
---@param body? any
---@param headers? table<string, string|number|(string|number)[]>
---@return response
function response(status, body, headers) end
