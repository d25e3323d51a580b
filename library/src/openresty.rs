//! Modules in the shape of OpenResty's, written in Lua on top of Weir's own.
//!
//! They keep state (an alg whitelist, a leeway, what `ngx.say` has said), so each function gets its own, but of `ngx`,
//! whose state is with the function that runs.

use crate::registry::Module;

/// What `ngx` is made of, and nobody else is given.
pub const NATIVE: Module = Module { name: "ngx.native", install: crate::re::install_spans };

/// A module that is written in Lua.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// What `require` calls it.
    pub name: &'static str,
    /// A chunk. It is given Weir's modules, a function that requires another of these, and `about`.
    pub source: &'static str,
    /// What tells it from others of the same source.
    pub about: &'static str,
}

const fn script(name: &'static str, source: &'static str) -> Script {
    Script { name, source, about: "" }
}

const fn digest(name: &'static str, about: &'static str) -> Script {
    Script { name, source: include_str!("openresty/digest.lua"), about }
}

/// `ngx`. It is given Weir's modules, nothing, and what it needs of the runtime: `ctx_field`, `log`, `ngx_re`, `precise_now`,
/// `shape`, `ngx_exit`, `null`.
pub const NGX: &str = include_str!("openresty/ngx.lua");

/// `ngx.re`. It is given Weir's modules.
pub const NGX_RE: &str = include_str!("openresty/ngx_re.lua");

/// The others, by name.
pub const SCRIPTS: &[Script] = &[
    script("resty.hmac", include_str!("openresty/hmac.lua")),
    script("resty.jwt", include_str!("openresty/jwt.lua")),
    script("resty.jwt-validators", include_str!("openresty/jwt_validators.lua")),
    digest("resty.md5", "md5"),
    script("resty.random", include_str!("openresty/random.lua")),
    digest("resty.sha1", "sha1"),
    digest("resty.sha256", "sha256"),
    digest("resty.sha384", "sha384"),
    digest("resty.sha512", "sha512"),
    script("resty.string", include_str!("openresty/string.lua")),
];
