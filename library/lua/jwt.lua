---@meta jwt

--- JSON Web Tokens: signed, verified, with what their claims must say.
---
--- Algorithms: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA. Which of them may have
--- signed a token is decided by the key that verifies it, never by the token alone: a secret takes HS, a key of RSA RS and
--- PS, one of P-256 ES256, of P-384 ES384, of Ed25519 EdDSA. A text in PEM is never taken for a secret. `none` does not
--- exist. Times are those of the real clock, in a replay too.
---
--- ```lua
--- local jwt = require "jwt"
---
--- local token = jwt.sign({sub = "u1", aud = "shop"}, "a long secret", {expires_in = 3600})
--- local claims, err = jwt.verify(token, "a long secret", {audience = "shop"})
--- print(claims.sub) --> u1
--- print(jwt.verify(token, "another secret")) --> nil the signature is wrong
--- print(jwt.verify(token, "a long secret", {audience = "bank"})) --> nil the audience is not the expected one
--- print(jwt.decode(token).header.alg) --> HS256
--- ```
---
--- ```
--- -- of a provider that publishes its keys: they are kept for five minutes, and asked for again when a token names another
--- local claims, err = jwt.verify(token, {jwks = "https://login.example.com/.well-known/jwks.json"},
---   {issuer = "https://login.example.com/", audience = "shop", require = {"exp"}})
--- ```
---@class jwt
local jwt = {}

--- Makes a token.
---@param claims table
---@param key string a secret, or a private key in PEM (PKCS #8, or PKCS #1 for RSA)
---@param options? {algorithm?: string, expires_in?: number, kid?: string, header?: table} HS256 if missing; `expires_in` seconds sets `exp` and `iat` where the claims have none
---@return string? token
---@return string? err where the key is none, or not for the algorithm
function jwt.sign(claims, key, options) end

--- What a token must say. A claim that is asked for must be there; `exp`, `nbf` and `iat` always count if they are there.
---@class JwtRules
---@field algorithms? string|string[] only these of those that fit the key
---@field issuer? string|string[] one of these must have issued it
---@field audience? string|string[] it must be meant for one of these
---@field subject? string whom it must be about
---@field leeway? number seconds by which clocks may differ, 0 if missing
---@field require? string|string[] claims that must be there, as `"exp"`

--- Verifies a token: its signature, then its claims.
---@param token string
---@param key string|table a secret; a public key or a certificate in PEM; a key or a set of keys of RFC 7517; or `{jwks = URL}`
---@param rules? JwtRules
---@return table? claims
---@return table|string err_or_header the token's header; where `claims` is nil, why
function jwt.verify(token, key, rules) end

--- Reads a token and verifies nothing: anyone can have made it.
---@param token string
---@return {header: table, claims: table}? parts
---@return string? err where it is no token
function jwt.decode(token) end

return jwt
