---@meta csv

--- Rows of fields, read and written (RFC 4180).
---
--- ```lua
--- local csv = require "csv"
---
--- local rows = csv.decode('sku,name\n7,"Pen, blue"\n', { header = true })
--- print(rows[1].sku, rows[1].name) --> 7 Pen, blue
--- print(csv.decode("a;b\n1;2", { separator = ";" })[2][2]) --> 2
--- print(csv.decode("a,b\n1")) --> nil CSV error: record 1 (line: 2, byte: 4): found record with 1 fields, but the previous record has 2 fields
--- print((csv.encode({ { sku = 7, name = 'a "pen"' } }, { header = true, columns = { "sku", "name" } }))) --> sku,name\r\n7,"a ""pen"""\r\n
--- ```
---@class csv
local csv = {}

--- How rows are written.
---@class csv.Options
---@field header? boolean whether the first line holds names; then rows are tables by name
---@field separator? string one byte; a comma
---@field columns? string[] the names of the columns, in order

--- Reads rows: lists of texts, or tables by the names of the columns.
---@param text string
---@param options? csv.Options
---@return table[]? rows
---@return string? err
function csv.decode(text, options) end

--- Writes rows: lists, or tables by the names of the columns. Without `columns` they are those of the first row, in
--- order. With `header` the names come first. A field that is a table raises an error.
---@param rows table[]
---@param options? csv.Options
---@return string
function csv.encode(rows, options) end

return csv
