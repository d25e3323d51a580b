---@meta crypto

--- Hashes, signatures, encryption, passwords. Hashes are in hexadecimal digits, all else is bytes.
---
--- Keys are texts in PEM: `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` sign; `PUBLIC KEY`, `RSA PUBLIC KEY` or a
--- `CERTIFICATE`, of which the key alone is looked at, verify. Curves are P-256 (with SHA-256) and P-384 (with SHA-384);
--- RSA keys have 2048 bits or more. A key of Ed25519 may also be its 32 bytes. Randomness is always the system's, in a
--- replay too.
---
--- ```lua
--- local crypto = require "crypto"
---
--- print(crypto.sha256("abc")) --> ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
--- print(crypto.hmac_sha256("what do ya want for nothing?", "Jefe")) --> 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843
---
--- -- the signature of a webhook
--- local body, sent = "{}", "2ef42a94b4a6f1a9d8e6c8b6ee2d1e1fca2f05ab"
--- print(crypto.equal(crypto.hmac_sha1(body, "secret"), sent)) --> false
---
--- local key = crypto.random_bytes(32)
--- local sealed = crypto.seal(key, "a secret")
--- print(crypto.open(key, sealed)) --> a secret
--- print(crypto.open(key, sealed .. "x")) --> nil it was sealed with another key, or changed
---
--- local pair = crypto.ed25519_keypair()
--- local signature = crypto.ed25519_sign("hello", pair.private)
--- print(crypto.ed25519_verify("hello", signature, pair.public)) --> true
--- ```
---@class crypto
local crypto = {}

--- Broken: only for what others have chosen.
---@param s string
---@return string hex
function crypto.md5(s) end

--- Broken: only for what others have chosen.
---@param s string
---@return string hex
function crypto.sha1(s) end

--- SHA-256.
---@param s string
---@return string hex
function crypto.sha256(s) end

--- SHA-384.
---@param s string
---@return string hex
function crypto.sha384(s) end

--- SHA-512.
---@param s string
---@return string hex
function crypto.sha512(s) end

--- HMAC on MD5: only for what others have chosen.
---@param message string
---@param key string
---@return string hex
function crypto.hmac_md5(message, key) end

--- HMAC on SHA-1.
---@param message string
---@param key string
---@return string hex
function crypto.hmac_sha1(message, key) end

--- HMAC on SHA-256.
---@param message string
---@param key string
---@return string hex
function crypto.hmac_sha256(message, key) end

--- HMAC on SHA-384.
---@param message string
---@param key string
---@return string hex
function crypto.hmac_sha384(message, key) end

--- HMAC on SHA-512.
---@param message string
---@param key string
---@return string hex
function crypto.hmac_sha512(message, key) end

--- Whether two texts are the same, in a time that does not tell where they differ. For signatures and tokens.
---@param a string
---@param b string
---@return boolean
function crypto.equal(a, b) end

--- Bytes that nobody can guess.
---@param count integer at most 1048576
---@return string
function crypto.random_bytes(count) end

--- A random UUID (version 4) that nobody can guess.
---@return string
function crypto.uuid() end

--- Encrypts by AES-GCM: nobody can read the text, or change it unnoticed, without the key. The result is a random nonce
--- (12 bytes), the encrypted text and its tag (16 bytes). One key is good for some 2^32 texts.
---@param key string 16 or 32 random bytes
---@param text string
---@param also? string what is not encrypted, and must be the same when it is opened
---@return string sealed
function crypto.seal(key, text, also) end

--- Decrypts what `seal` made.
---@param key string
---@param sealed string
---@param also? string
---@return string? text
---@return string? err where it was sealed with another key, or changed
function crypto.open(key, sealed, also) end

--- A new pair of keys.
---@return {private: string, public: string} pair both in PEM
function crypto.ed25519_keypair() end

--- Signs by Ed25519.
---@param message string
---@param private_key string
---@return string? signature 64 bytes
---@return string? err where the key is none
function crypto.ed25519_sign(message, private_key) end

--- Whether the key's owner signed the message.
---@param message string
---@param signature string
---@param public_key string
---@return boolean? is_valid
---@return string? err where the key is none
function crypto.ed25519_verify(message, signature, public_key) end

--- Signs by RSA.
---@param message string
---@param private_key string
---@param options? {hash?: "sha256"|"sha384"|"sha512", padding?: "pkcs1"|"pss"} `sha256` and `pkcs1` if missing
---@return string? signature
---@return string? err where the key is none
function crypto.rsa_sign(message, private_key, options) end

--- Whether the key's owner signed the message.
---@param message string
---@param signature string
---@param public_key string
---@param options? {hash?: "sha1"|"sha256"|"sha384"|"sha512", padding?: "pkcs1"|"pss"} `sha1` with `pkcs1` alone
---@return boolean? is_valid
---@return string? err where the key is none
function crypto.rsa_verify(message, signature, public_key, options) end

--- Signs by ECDSA.
---@param message string
---@param private_key string
---@param options? {format?: "der"|"fixed"} `der`, as `openssl` writes it, if missing; `fixed` is the form of JOSE
---@return string? signature
---@return string? err where the key is none
function crypto.ecdsa_sign(message, private_key, options) end

--- Whether the key's owner signed the message.
---@param message string
---@param signature string
---@param public_key string
---@param options? {format?: "der"|"fixed"}
---@return boolean? is_valid
---@return string? err where the key is none
function crypto.ecdsa_verify(message, signature, public_key, options) end

--- Hashes a password by Argon2id, with a random salt: `$argon2id$v=19$…`. Takes tens of milliseconds on another thread,
--- which count as CPU time.
---@param password string
---@param options? {memory?: integer, passes?: integer, lanes?: integer} 19456 (KiB), 2 and 1 if missing
---@return string? hash
---@return string? err
function crypto.argon2_hash(password, options) end

--- Whether the password is the one of the hash.
---@param password string
---@param hash string
---@return boolean? is_valid
---@return string? err where the hash is none, or asks for more than 256 MiB or 16 passes
function crypto.argon2_verify(password, hash) end

--- Hashes a password by bcrypt, with a random salt: `$2b$12$…`.
---@param password string at most 72 bytes: what stands behind would not count
---@param cost? integer from 4 to 14, 12 if missing: one more takes twice as long
---@return string? hash
---@return string? err
function crypto.bcrypt_hash(password, cost) end

--- Whether the password is the one of the hash, whatever program made it.
---@param password string
---@param hash string `$2a$`, `$2b$`, `$2x$` or `$2y$`
---@return boolean? is_valid
---@return string? err where the hash is none, or has a cost above 14
function crypto.bcrypt_verify(password, hash) end

return crypto
