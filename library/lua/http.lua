---@meta http

--- Requests to other servers. Connections are kept and shared by all functions of the node.
---
--- What may be reached is the configuration's business (`weir.outbound`): outside development no private, loopback or
--- link-local address, unless its network is named there. The address that is connected to is what is checked, at each
--- redirect too. There is no proxy between. In a replay no request is sent but to the hosts of `--allow-http`.
---
--- A request is no part of the transaction: when the function runs again, because it failed or met a conflict, it is sent
--- again. So all but GET, HEAD and OPTIONS carry `Idempotency-Key: ID-N`, with `ctx.id` and the number of such requests
--- of the invocation before it, from 0: the same in each run of an event. It is best to append an event and let a
--- trigger make the call. `traceparent` goes along, too; a header that the function sets itself stays as it is.
---
--- ```lua
--- local http = require "http"
---
--- local answer, err = http.get("ftp://example.com/")
--- print(answer, err) --> nil "ftp://example.com/" is no URL that can be requested: the scheme is http or https
--- ```
---
--- ```
--- local answer, err = http.post("https://api.example.com/orders", {json = {sku = "x"}, timeout = "5s"})
--- if not answer then return nil, err end
--- if answer.status == 201 then return answer:json() end
--- ```
---@class http
local http = {}

--- What a request is told. Of `body`, `json` and `form` one can be given.
---@class HttpOptions
---@field headers? table<string, string|number|string[]> a list repeats the header
---@field query? string|table<string, string|number|boolean|string[]> a table is added to the URL's query, a text takes its place
---@field body? string sent as it is
---@field json? any sent as JSON
---@field form? table<string, string|number|boolean|string[]> sent as a form
---@field timeout? number|string seconds, or a text as `"5s"`: for everything, redirects and body included; `weir.outbound.timeout` if missing
---@field redirects? integer how many are followed, 5 if missing and 20 at most; 0: a redirect is the answer
---@field max_body? integer bytes of the answer's body, unpacked; `weir.outbound.maxBody` if missing
---@field auth? {user: string, pass: string} sent as `Authorization: Basic`

--- An answer, whatever its status.
---@class HttpAnswer
---@field status integer `statusCode` and `status_code` are the same
---@field headers table<string, string> names in lower case, found in any case; what repeats is joined by commas, but `set-cookie`, which is a list
---@field body string unpacked, if it came as gzip
---@field url string what answered, after redirects

--- The body as JSON.
---@return any? value
---@return string? err where it is no JSON
function HttpAnswer:json() end

--- Asks by GET.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err where there is none: no connection, no answer in time, denied, too large
function http.get(url, options) end

--- Sends by POST.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.post(url, options) end

--- Sends by PUT.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.put(url, options) end

--- Sends by PATCH.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.patch(url, options) end

--- Asks by DELETE.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.delete(url, options) end

--- Asks by HEAD: the answer has no body.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.head(url, options) end

--- Asks by OPTIONS.
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.options(url, options) end

--- As the others, with the method as a text.
---@param method string
---@param url string
---@param options? HttpOptions
---@return HttpAnswer? answer
---@return string? err
function http.request(method, url, options) end

--- Sends several requests at the same time, 16 of them at once, and waits for all. What gets no answer is
--- `{error = TEXT}` in its place.
---
--- ```lua
--- local http = require "http"
---
--- local answers = http.all({"nonsense", {url = "nonsense", method = "POST", json = {1}}})
--- print(#answers, answers[1].error == answers[2].error) --> 2 true
--- ```
---@param requests (string|table)[] URLs, or tables with `url`, `method` (GET if missing) and what `HttpOptions` has; at most 256
---@return (HttpAnswer|{error: string})[] answers in the order of the requests
function http.all(requests) end

return http
