---@meta resty.jwt

--- JSON Web Tokens as lua-resty-jwt 0.1 has them, which Spacer copies into a project, with its texts in `reason`. New code
--- is better off with `jwt`.
---
--- HS256, HS512, RS256 and RS512. The rules of `resty.jwt-validators` are there, too, with all their names; their clock is
--- the real one. Encrypted tokens (JWE), `x5u` and a file of trusted certificates are not served. A key in PEM is never
--- taken for a shared secret. What is set of it holds for the function that sets it.
---
--- ```lua
--- local jwt = require "resty.jwt"
--- local validators = require "resty.jwt-validators"
---
--- local token = jwt:sign("a secret", { header = { typ = "JWT", alg = "HS256" }, payload = { sub = "u1" } })
--- print(jwt:verify("a secret", token, { sub = validators.equals("u1") }).verified) --> true
--- print(jwt:verify("a secret", token, { sub = validators.equals("u2") }).reason) --> Claim 'sub' ('u1') returned failure
--- ```
---@class resty.jwt
---@field _VERSION string of lua-resty-jwt, whose functions these are
local jwt = {}

--- What a token says, and whether that is so.
---@class RestyToken
---@field valid boolean whether it is a token
---@field verified boolean whether the signature and the claims are right
---@field reason? string why not
---@field header table
---@field payload table
---@field signature string
---@field raw_header string
---@field raw_payload string

--- Signs. What cannot be signed raises a table with `reason`.
---@param key string|fun(kid: string): string a secret, or a private key in PEM
---@param object {header: table, payload: table}
---@return string token
function jwt:sign(key, object) end

--- Reads a token, and verifies the claims by the rules, then the signature.
---@param key string|fun(kid: string): string? a secret; a public key or a certificate in PEM
---@param token string
---@param ... table claim to rule; without any, `exp` and `nbf` count if they are there
---@return RestyToken
function jwt:verify(key, token, ...) end

--- Reads a token and verifies nothing.
---@param token string
---@return RestyToken
function jwt:load_jwt(token) end

--- Verifies what `load_jwt` has read.
---@param key string|fun(kid: string): string?
---@param object RestyToken
---@param ... table claim to rule
---@return RestyToken
function jwt:verify_jwt_obj(key, object, ...) end

--- A table as JSON, or a text as it is, in base64url.
---@param value table|string
---@return string
function jwt:jwt_encode(value) end

--- What base64url stands for; nil where it is none.
---@param text string
---@param as_json? boolean
---@return any?
function jwt:jwt_decode(text, as_json) end

--- The rules that count where none is given.
---@return table
function jwt:get_default_validation_options() end

--- Not served: raises an error.
function jwt:set_trusted_certs_file() end

--- Not served: raises an error.
function jwt:set_x5u_content_retriever() end

--- Accepts only these algorithms: `{RS256 = 1}`.
---@param algorithms table
function jwt:set_alg_whitelist(algorithms) end

return jwt
