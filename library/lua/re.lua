---@meta re

--- Regular expressions whose time grows with the length of the text and never with its powers: what comes from outside
--- can be searched with them, and with patterns that come from outside too. The syntax is that of Rust's `regex`: Perl's,
--- without look-around and back-references. `(?i)` at the beginning passes over the case. In Lua a long string
--- (`[[\d+]]`) keeps its backslashes.
---
--- ```lua
--- local re = require "re"
---
--- local m = re.match("2026-11-21 late", [[(?<year>\d{4})-(\d\d)]])
--- print(m[0], m[1], m.year, m[2]) --> 2026-11 2026 2026 11
--- print(re.find("price: 12 EUR", [[\d+]])) --> 8 9
--- print(re.replace("a1b22", [[([a-z])(\d+)]], "$2$1 ")) --> 1a 22b  2
--- print(#re.all("to be or not to be", [[\b\w\w\b]])) --> 5
--- print(re.is_match("GET", "(?i)^(get|head)$")) --> true
--- print(re.check("(")) --> nil unclosed group
--- ```
---@class re
local re = {}

--- Whether the pattern matches anywhere in the text. As with all functions of the module, a pattern that is none raises
--- an error.
---@param s string
---@param pattern string
---@return boolean
function re.is_match(s, pattern) end

--- Where the first match stands.
---@param s string
---@param pattern string
---@param init? integer where to begin; 1
---@return integer? from nil where there is none
---@return integer? to
function re.find(s, pattern, init) end

--- The first match: the whole at 0, its groups by number and by name. A group that took no part is nil.
---@param s string
---@param pattern string
---@param init? integer where to begin; 1
---@return table<integer|string, string>? match nil where there is none
function re.match(s, pattern, init) end

--- All matches, each as `re.match` returns it.
---@param s string
---@param pattern string
---@param limit? integer how many at most; past 1000000 without a limit an error is raised
---@return table<integer|string, string>[]
function re.all(s, pattern, limit) end

--- The text with every match replaced, and how many there were. In `with`, `$1` and `${name}` stand for groups and `$$`
--- for a dollar.
---@param s string
---@param pattern string
---@param with string
---@param n? integer how many at most
---@return string text
---@return integer count
function re.replace(s, pattern, with, n) end

--- The pieces between the matches.
---@param s string
---@param pattern string
---@param limit? integer how many pieces at most; the last one holds the rest
---@return string[]
function re.split(s, pattern, limit) end

--- A pattern that matches this text and nothing else.
---@param s string
---@return string
function re.escape(s) end

--- Whether a pattern is one: for patterns that come from outside.
---@param pattern string
---@return true? ok
---@return string? err
function re.check(pattern) end

return re
