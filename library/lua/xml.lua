---@meta xml

--- XML, read and written. An element is a table with its `name`, its `attributes` by name and its `children`: texts and
--- elements in order. Text that is nothing but layout is passed over, and so are comments and document types: no entity
--- is expanded but `&lt;`, `&gt;`, `&amp;`, `&quot;`, `&apos;` and those of characters. Elements may stand in one another
--- 30 deep.
---
--- ```lua
--- local xml = require "xml"
---
--- local order = xml.decode('<order id="7"><sku>a &amp; b</sku><sku/></order>')
--- print(order.name, order.attributes.id, order.children[1].children[1], #order.children) --> order 7 a & b 2
--- print(xml.encode { name = "p", attributes = { class = "x" }, children = { "1 < 2", { name = "br" } } }) --> <p class="x">1 &lt; 2<br/></p>
--- print(xml.decode("<a><b></a>")) --> nil byte 6: ill-formed document: expected `</b>`, but `</a>` was found
--- ```
---@class xml
local xml = {}

--- An element.
---@class xml.Element
---@field name string with its prefix
---@field attributes? table<string, string>
---@field children? (string|xml.Element)[]

--- The root of a document.
---@param text string
---@return xml.Element? root
---@return string? err with the byte where it is found
function xml.decode(text) end

--- An element as text, without a declaration. What is no element raises an error.
---@param element xml.Element
---@param indent? integer blanks a level; without it all stands on one line
---@return string
function xml.encode(element, indent) end

return xml
