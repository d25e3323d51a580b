---@meta yaml

--- YAML 1.2, read and written. What has a form in JSON has one here; tags beyond the core schema are passed over, aliases
--- are written out, and may stand for 10000 values in all.
---
--- ```lua
--- local yaml = require "yaml"
---
--- local order = yaml.decode("id: 7\nitems:\n  - {sku: a, qty: 2}\n  - {sku: b, qty: 1}\nnote: 'yes'\n")
--- print(order.id, order.items[1].sku, #order.items, order.note) --> 7 a 2 yes
--- print((yaml.encode({ a = { 1, 2 }, b = "true" }))) --> a:\n  - 1\n  - 2\nb: "true"\n
--- print(yaml.decode("a: [1")) --> nil line 2: while parsing a flow sequence, expected ',' or ']'
--- ```
---@class yaml
local yaml = {}

--- The value of a text with one document; `null` is `json.null`.
---@param text string
---@return any value
---@return string? err with its line
function yaml.decode(text) end

--- The values of all documents of a text.
---@param text string
---@return any[]? values
---@return string? err with its line
function yaml.decode_all(text) end

--- A value as text, its keys in order. A value without a JSON form raises an error.
---@param value any
---@return string
function yaml.encode(value) end

return yaml
