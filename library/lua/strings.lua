---@meta strings

--- What Lua's own `string` lacks, with the names of Go's package of this name. Texts are searched for as they are: no
--- character has a special meaning. For patterns there is `re`.
---
--- ```lua
--- local strings = require "strings"
---
--- print(strings.trim("  a b \n")) --> a b
--- print(strings.join(strings.split("a,b,,c", ","), "|")) --> a|b||c
--- print(strings.replace("1.2.3", ".", "-", 1)) --> 1-2.3
--- print(strings.contains("50% off", "% o")) --> true
--- print(strings.toUpper("grün")) --> GRÜN
--- print(strings.padLeft("7", 3, "0")) --> 007
--- ```
---@class strings
local strings = {}

--- Without blanks and line breaks at both ends.
---@param s string
---@return string
function strings.trim(s) end

--- Without blanks and line breaks at the beginning.
---@param s string
---@return string
function strings.trimLeft(s) end

--- Without blanks and line breaks at the end.
---@param s string
---@return string
function strings.trimRight(s) end

--- The pieces between separators. Without a separator (`""`) the characters.
---
--- ```lua
--- local strings = require "strings"
---
--- print(#strings.split("", ",")) --> 1
--- print(strings.join(strings.split("añb", ""), " ")) --> a ñ b
--- ```
---@param s string
---@param sep string
---@return string[]
function strings.split(s, sep) end

--- The pieces between blanks and line breaks, however many of them.
---@param s string
---@return string[]
function strings.fields(s) end

--- The lines, without their ends (`\n` or `\r\n`).
---@param s string
---@return string[]
function strings.lines(s) end

--- All entries of a list in one text. An entry that is neither text nor number raises an error.
---@param arr (string|number)[]
---@param sep string
---@return string
function strings.join(arr, sep) end

--- Whether `s` begins with `x`.
---@param s string
---@param x string
---@return boolean
function strings.hasPrefix(s, x) end

--- Whether `s` ends with `x`.
---@param s string
---@param x string
---@return boolean
function strings.hasSuffix(s, x) end

--- Whether `x` stands in `s`.
---@param s string
---@param x string
---@return boolean
function strings.contains(s, x) end

--- How often `x` stands in `s`, without overlaps.
---@param s string
---@param x string
---@return integer
function strings.count(s, x) end

--- `s` with `new` for `old`: everywhere, or the first `n` times.
---@param s string
---@param old string not empty
---@param new string
---@param n? integer -1 or nil: everywhere
---@return string
function strings.replace(s, old, new, n) end

--- In lower case; letters of every language, if the text is UTF-8.
---@param s string
---@return string
function strings.toLower(s) end

--- In upper case; letters of every language, if the text is UTF-8.
---@param s string
---@return string
function strings.toUpper(s) end

--- `s`, `n` times.
---@param s string
---@param n integer
---@return string
function strings.rep(s, n) end

--- The same as `strings.rep`. `repeat` is a word of Lua's, so it is called as `strings["repeat"]`.
---@param s string
---@param n integer
---@return string
strings["repeat"] = function(s, n) end

--- `s` with as much before it as it takes to be `width` characters long.
---@param s string
---@param width integer
---@param with? string what to fill with; a blank
---@return string
function strings.padLeft(s, width, with) end

--- `s` with as much behind it as it takes to be `width` characters long.
---@param s string
---@param width integer
---@param with? string what to fill with; a blank
---@return string
function strings.padRight(s, width, with) end

return strings
