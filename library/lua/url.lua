---@meta url

--- Addresses taken apart, put together and escaped.
---
--- ```lua
--- local url = require "url"
---
--- local parts = url.parse("https://ada:pw@shop.example:8080/a%20b?tag=x&tag=y&n=1#top")
--- print(parts.scheme, parts.host, parts.path, parts.fragment) --> https shop.example:8080 /a b top
--- print(parts.username, parts.password) --> ada pw
--- print(parts.query.n, parts.query.tag[1], parts.query.tag[2]) --> 1 x y
---
--- print(url.build { scheme = "https", host = "shop.example", path = "/a b", query = { q = "a&b" } }) --> https://shop.example/a%20b?q=a%26b
--- print(url.parse("http://x/%zz")) --> nil invalid URL escape "%zz"
--- ```
---@class url
local url = {}

--- An address taken apart, its escapes undone.
---@class url.Parts
---@field scheme string `""` where there is none
---@field host string with its port
---@field path string
---@field fragment string
---@field query table<string, string|string[]> a name that repeats has a list
---@field username? string
---@field password? string

--- Takes an address apart; a relative one (`/a?b=c`) too.
---@param s string
---@return url.Parts? parts
---@return string? err
function url.parse(s) end

--- Puts an address together, and escapes what has to be. Every part may be left out; the values of `query` are text,
--- numbers, booleans or lists of them, and stand in the order of their names.
---@param parts table as `url.parse` returns it
---@return string
function url.build(parts) end

--- What `reference` means on the page `base`.
---
--- ```lua
--- local url = require "url"
---
--- print(url.join("https://shop.example/a/b", "../c?d=1")) --> https://shop.example/c?d=1
--- ```
---@param base string
---@param reference string
---@return string? address
---@return string? err
function url.join(base, reference) end

--- Escapes a text for a query: a blank is `+`.
---@param s string
---@return string
function url.encode(s) end

--- Undoes `url.encode`.
---@param s string
---@return string? text
---@return string? err
function url.decode(s) end

--- Fields as a query or as the body of a form, in the order of their names.
---
--- ```lua
--- local url = require "url"
---
--- print(url.query { name = "Ada L.", tag = { "x", "y" } }) --> name=Ada+L.&tag=x&tag=y
--- print(url.parse_query("name=Ada+L.").name) --> Ada L.
--- ```
---@param fields table<string, any> text, numbers, booleans, or lists of them
---@return string
function url.query(fields) end

--- The fields of a query or of a form's body.
---@param s string
---@return table<string, string|string[]>? fields a name that repeats has a list
---@return string? err
function url.parse_query(s) end

return url
