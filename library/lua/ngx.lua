---@meta ngx

--- The parts of OpenResty's API that functions use, for code written for it and for Spacer. It is a global, too. New code
--- is better off with `ctx`, `response`, `re`, `crypto`, `base64`, `url` and `log`.
---
--- What a function says by `say` and `print` is its response, with `status` and `header`; then it returns nothing. Where it
--- says nothing and returns a value, `status` and `header` stand around the usual `{"data": …}`. `exit` ends the function at
--- once, whatever catches errors around it; what it wrote is committed, as with `response`. A function that `flow` calls has
--- a response of its own.
---
--- There are the constants `HTTP_*` (statuses and methods), `OK`, `ERROR`, `AGAIN`, `DONE`, `DECLINED` and the levels of
--- `log`: `STDERR`, `EMERG`, `ALERT`, `CRIT`, `ERR` (all these are errors here), `WARN`, `NOTICE`, `INFO`, `DEBUG`. What is
--- not served raises an error that says what to write instead: `shared`, `location`, `exec`, `socket`, `timer`, `thread`,
--- and all that changes the request.
---
--- ```lua
--- print(ngx.md5("hello")) --> 5d41402abc4b2a76b9719d911017c592
--- print(ngx.escape_uri("a b/c")) --> a%20b%2Fc
--- print(ngx.re.match("order 1234", "[0-9]+")[0]) --> 1234
--- print(ngx.encode_args({ b = "x y", a = true })) --> a&b=x%20y
--- ```
---@class ngx
---@field null userdata what `null` is in JSON
---@field status integer the response's status
---@field header table<string, string|string[]> the response's headers, in any case, `_` for `-`
---@field ctx table what one function keeps while it runs
---@field var NgxVar the request, by nginx's names
---@field req NgxReq the request
---@field re NgxRe regular expressions
---@field headers_sent boolean always false: a response leaves when its function has ended
local ngx = {}

--- What nginx calls the request's parts; nil for what is not there: `uri`, `document_uri`, `request_uri`, `args`,
--- `query_string`, `is_args`, `request_method`, `request_body`, `remote_addr`, `host`, `scheme`, `server_protocol`,
--- `content_type`, `content_length`, `request_id`, `time_iso8601`, `msec`, `http_NAME`, `arg_NAME`, `cookie_NAME`.
---@class NgxVar

--- The request. A function that a trigger or `flow` runs has none: method POST, no headers, no body.
---@class NgxReq

--- The headers, found in any case, `_` for `-`.
---@return table<string, string>
function NgxReq.get_headers() end

--- The method.
---@return string
function NgxReq.get_method() end

--- The query. A name without a value is true, one that repeats is a list.
---@return table<string, string|true|table>
function NgxReq.get_uri_args() end

--- The fields of a form.
---@return table<string, string|true|table>
function NgxReq.get_post_args() end

--- The raw body; nil if it is empty. It needs no `read_body`, which does nothing.
---@return string?
function NgxReq.get_body_data() end

--- Regular expressions, in linear time: those of `re`, without look-around and back references. Flags `i`, `m`, `s`, `x`,
--- `a` and `u`; `j`, `o`, `d`, `D` and `J` mean nothing here. `$` is the very end, also before a line break.
---@class NgxRe

--- The first match: the whole at 0, the groups by number and name, false for one that took no part.
---@param subject string
---@param regex string
---@param options? string flags
---@param ctx? {pos?: integer} where to begin; it is moved behind the match
---@param into? table is filled instead of a new table
---@return table? captures
---@return string? err where the expression is none
function NgxRe.match(subject, regex, options, ctx, into) end

--- Where the first match, or one of its groups, begins and ends.
---@param subject string
---@param regex string
---@param options? string flags
---@param ctx? {pos?: integer}
---@param nth? integer the group
---@return integer? from
---@return integer? to
---@return string? err where the expression is none
function NgxRe.find(subject, regex, options, ctx, nth) end

--- Walks over all matches.
---@param subject string
---@param regex string
---@param options? string flags
---@return (fun(): table?)? iterator
---@return string? err where the expression is none
function NgxRe.gmatch(subject, regex, options) end

--- Replaces the first match. In a text `$1` and `${1}` are groups, `$0` the whole, `$$` a dollar.
---@param subject string
---@param regex string
---@param with string|fun(captures: table): string
---@param options? string flags
---@return string? text
---@return integer? count
---@return string? err where the expression is none
function NgxRe.sub(subject, regex, with, options) end

--- Replaces all matches.
---@param subject string
---@param regex string
---@param with string|fun(captures: table): string
---@param options? string flags
---@return string? text
---@return integer? count
---@return string? err where the expression is none
function NgxRe.gsub(subject, regex, with, options) end

--- Adds to the response, with a line break at the end. Tables are lists, also nested.
---@param ... any
---@return integer
function ngx.say(...) end

--- Adds to the response.
---@param ... any
---@return integer
function ngx.print(...) end

--- Ends the function with this status; below 200 with the one that is set.
---@param status integer
function ngx.exit(status) end

--- Ends the function with a redirect.
---@param uri string
---@param status? integer 302 if missing
function ngx.redirect(uri, status) end

--- Does nothing: a response leaves when its function has ended.
---@return integer
function ngx.flush() end

--- Does nothing.
---@return integer
function ngx.eof() end

--- Does nothing.
---@return integer
function ngx.send_headers() end

--- Writes to the log.
---@param level integer
---@param ... any
function ngx.log(level, ...) end

--- The time in seconds with a fraction; in a trigger the event's.
---@return number
function ngx.now() end

--- The time in whole seconds; in a trigger the event's.
---@return integer
function ngx.time() end

--- Does nothing: the time is always up to date.
function ngx.update_time() end

--- `2026-01-31`, in UTC.
---@return string
function ngx.today() end

--- `2026-01-31 23:59:59`, in UTC.
---@return string
function ngx.utctime() end

--- The same as `utctime`: a server of Weir has no zone of its own.
---@return string
function ngx.localtime() end

--- `Thu, 18 Nov 2010 11:27:35 GMT`.
---@param seconds number
---@return string
function ngx.http_time(seconds) end

--- `Thu, 18-Nov-10 11:27:35 GMT`.
---@param seconds number
---@return string
function ngx.cookie_time(seconds) end

--- Waits.
---@param seconds number
function ngx.sleep(seconds) end

--- Always `content`.
---@return string
function ngx.get_phase() end

--- In hexadecimal digits.
---@param s string
---@return string
function ngx.md5(s) end

--- As bytes.
---@param s string
---@return string
function ngx.md5_bin(s) end

--- As bytes.
---@param s string
---@return string
function ngx.sha1_bin(s) end

--- As bytes.
---@param key string
---@param s string
---@return string
function ngx.hmac_sha1(key, s) end

--- Bytes as text of 64 characters.
---@param s string
---@param no_padding? boolean
---@return string
function ngx.encode_base64(s, no_padding) end

--- The bytes; nil where the text is none. Padding may be missing.
---@param s string
---@return string?
function ngx.decode_base64(s) end

--- Percent-encodes all but letters, digits and `-._~`.
---@param s string
---@return string
function ngx.escape_uri(s) end

--- Percent-decodes; `+` is a space.
---@param s string
---@return string
function ngx.unescape_uri(s) end

--- A table as a query, its names in order. True is a name without a value, false leaves it out, a list repeats it.
---@param args table
---@return string
function ngx.encode_args(args) end

--- A query as a table.
---@param text string
---@param most? integer 100 if missing; 0: all
---@return table args
---@return string? err `truncated` where there are more
function ngx.decode_args(text, most) end

return ngx
