-- resty.jwt: as lua-resty-jwt 0.1, which Spacer copies into a project, with its reasons. Claims are looked at before the
-- signature, as there. A key in PEM is never taken for a secret, which there it is.
local weir, load = ...
local cjson, base64, crypto = weir["cjson.safe"], weir.base64, weir.crypto

local M = { _VERSION = "0.1.11" }

local HMAC = { HS256 = crypto.hmac_sha256, HS512 = crypto.hmac_sha512 }
local RSA = { RS256 = "sha256", RS512 = "sha512" }
local AWESOME = "everything is awesome~ :p"

local function fail(reason) error({ reason = reason }, 0) end
local function is_pem(key) return type(key) == "string" and string.find(key, "-----BEGIN ", 1, true) ~= nil end

function M:jwt_encode(value)
  if type(value) == "table" then value = cjson.encode(value) end
  return base64.encode_url(value)
end

function M:jwt_decode(text, as_json)
  local data = base64.decode_url(text)
  if data and as_json then return (cjson.decode(data)) end
  return data
end

local function raw_part(name, object)
  if object["raw_" .. name] ~= nil then return object["raw_" .. name] end
  if object[name] == nil then fail("missing part " .. name) end
  return M:jwt_encode(object[name])
end

-- A secret, or what a function says of the key's id.
local function secret_text(secret, object)
  if type(secret) == "function" then
    local kid = object.header.kid
    if not HMAC[object.header.alg] then
      fail("secret function can only be used with hmac alg: " .. tostring(object.header.alg))
    end
    if kid == nil then fail("secret function specified without kid in header") end
    secret = secret(kid)
    if not secret then fail("function returned nil for kid: " .. tostring(kid)) end
  elseif type(secret) ~= "string" then
    fail("invalid secret type (must be string or function)")
  end
  if is_pem(secret) then fail("a key in PEM is no secret: alg " .. object.header.alg .. " takes a shared secret") end
  return secret
end

local function refuse_jwe(header)
  if header.typ == "JWE" or header.enc then fail("encrypted tokens (JWE) are not served") end
end

function M:sign(key, object)
  local header = object.header
  if header.typ ~= nil and header.typ ~= "JWT" and header.typ ~= "JWE" then
    fail("invalid typ: " .. tostring(header.typ))
  end
  refuse_jwe(header)
  local message = raw_part("header", object) .. "." .. raw_part("payload", object)
  local signature, err
  if HMAC[header.alg] then
    signature = weir.hex.decode(HMAC[header.alg](message, secret_text(key, object)))
  elseif RSA[header.alg] then
    signature, err = crypto.rsa_sign(message, key, { hash = RSA[header.alg] })
    if not signature then fail("signer error: " .. err) end
  else
    fail("unsupported alg: " .. tostring(header.alg))
  end
  return message .. "." .. M:jwt_encode(signature)
end

local function parse(text)
  local parts = {}
  for part in string.gmatch(text, "[^.]+") do parts[#parts + 1] = part end
  if #parts == 4 or #parts == 5 then fail("encrypted tokens (JWE) are not served") end
  if #parts ~= 3 then fail("invalid jwt string") end
  local header, payload = M:jwt_decode(parts[1], true), M:jwt_decode(parts[2], true)
  if type(header) ~= "table" then fail("invalid header: " .. parts[1]) end
  if payload == nil then fail("invalid payload: " .. parts[2]) end
  return {
    raw_header = parts[1],
    raw_payload = parts[2],
    header = header,
    payload = payload,
    signature = parts[3],
    verified = false,
    valid = true,
  }
end

function M:load_jwt(text)
  local ok, object = pcall(parse, text)
  if ok then return object end
  local reason = type(object) == "table" and object.reason or "invalid jwt string"
  return { valid = false, verified = false, reason = reason }
end

local LEGACY = { valid_issuers = true, lifetime_grace_period = true, require_nbf_claim = true, require_exp_claim = true }

local function is_legacy(options)
  for name in options do
    if not LEGACY[name] then return false end
  end
  return next(options) ~= nil
end

local function from_legacy(options)
  local validators, spec = load("resty.jwt-validators"), {}
  local grace, nbf, exp = options.lifetime_grace_period, options.require_nbf_claim, options.require_exp_claim
  if options.valid_issuers ~= nil then spec.iss = validators.equals_any_of(options.valid_issuers) end
  if grace ~= nil then
    validators.set_system_leeway(grace)
    if nbf ~= true and exp ~= true then spec.__jwt = validators.require_one_of({ "nbf", "exp" }) end
  end
  for _, name in { "require_nbf_claim", "require_exp_claim" } do
    if options[name] ~= nil and type(options[name]) ~= "boolean" then
      error("'" .. name .. "' validation option is expected to be a boolean.", 0)
    end
  end
  if grace ~= nil or nbf ~= nil or exp ~= nil then
    spec.nbf = nbf and validators.is_not_before() or validators.opt_is_not_before()
    spec.exp = exp and validators.is_not_expired() or validators.opt_is_not_expired()
  end
  return spec
end

-- Why a claim breaks a rule; nil where none does.
local function broken_claim(object, specs)
  if #specs == 0 then specs = { { require_exp_claim = false, require_nbf_claim = false } } end
  local json = cjson.encode(object)
  for _, spec in specs do
    if is_legacy(spec) then spec = from_legacy(spec) end
    for claim, validate in spec do
      if type(validate) ~= "function" then
        error("Claim spec value must be a function - see jwt-validators.lua for helper functions", 0)
      end
      local value
      if claim == "__jwt" then
        value = cjson.decode(json)
      elseif type(object.payload) == "table" then
        value = object.payload[claim]
      end
      local ok, result = pcall(validate, value, claim, json)
      if not ok then
        if type(result) == "table" then return result.reason end
        return (string.gsub(result, "^.-:%d-: ", ""))
      elseif result == false then
        return string.format("Claim '%s' ('%s') returned failure", claim, tostring(value))
      end
    end
  end
  return nil
end

local function broken_hmac(key, object)
  local ok, signed = pcall(M.sign, M, key, object)
  if not ok then return type(signed) == "table" and signed.reason or "internal error" end
  local text = object.raw_header .. "." .. object.raw_payload .. "." .. object.signature
  if not crypto.equal(signed, text) then return "signature mismatch: " .. object.signature end
  return nil
end

local function broken_rsa(key, object)
  if key == nil then return "No trusted certs loaded" end
  local signature = M:jwt_decode(object.signature)
  if not signature then return "Wrongly encoded signature" end
  local message = object.raw_header .. "." .. object.raw_payload
  local verified, err = crypto.rsa_verify(message, signature, key, { hash = RSA[object.header.alg] })
  if verified == nil then return "Decode secret is not a valid cert/public key: " .. err end
  if not verified then return "Verification failed" end
  return nil
end

function M:verify_jwt_obj(key, object, ...)
  if not object.valid then return object end
  object.reason = object.reason or broken_claim(object, { ... })
  if object.reason then return object end
  local alg = tostring(object.header.alg)
  if self.alg_whitelist ~= nil and self.alg_whitelist[alg] == nil then
    return { verified = false, reason = "whitelist unsupported alg: " .. alg }
  end
  if HMAC[alg] then
    object.reason = broken_hmac(key, object)
  elseif RSA[alg] then
    object.reason = broken_rsa(key, object)
  else
    object.reason = "Unsupported algorithm " .. alg
  end
  if not object.reason then
    object.verified, object.reason = true, AWESOME
  end
  return object
end

function M:verify(key, text, ...)
  local object = M.load_jwt(self, text)
  if not object.valid then return { verified = false, reason = object.reason } end
  return M.verify_jwt_obj(self, key, object, ...)
end

function M:set_alg_whitelist(algorithms) self.alg_whitelist = algorithms end

function M:get_default_validation_options() return { require_exp_claim = false, require_nbf_claim = false } end

function M:set_trusted_certs_file()
  error("resty.jwt: set_trusted_certs_file is not served: give the signer's certificate or public key to verify", 2)
end

function M:set_x5u_content_retriever()
  error("resty.jwt: x5u is not served: give the signer's certificate or public key to verify", 2)
end

return M
