---@meta flow

--- Calls another function of the project within the same transaction and with the same limits. Arguments and results are
--- copied as JSON: no table is shared.
---
--- ```lua
--- local flow = require "flow"
---
--- print(flow.call("prices/quote", { sku = "x" }).price) --> 7
--- local price, failed = flow.try("no/such", {})
--- print(price, failed.status, failed.error) --> nil 404 not found
--- ```
---@class flow
local flow = {}

--- How a callee failed.
---@class flow.Failed
---@field status integer as HTTP would tell it: 400 for a second value, 404 for no such function, 500 for an error
---@field error any the error, or the body of its response

--- The function's result. Where it fails, a text is raised that ends with the body that HTTP would answer, as Spacer's
--- did.
---@param name string as below `app/`: `"prices/quote"`
---@param args? any with a JSON form
---@return any result
function flow.call(name, args) end

--- The function's result, or nil and how it failed. Then what it appended and wrote is undone, and the caller goes on.
---@param name string as below `app/`: `"prices/quote"`
---@param args? any with a JSON form
---@return any result
---@return flow.Failed? failed
function flow.try(name, args) end

return flow
