//! `jwt`: tokens, as functions make and verify them.

use super::{Algorithm, Jwks, Key, Rules, Token, sign};
use crate::call::{Call, Done, misuse, only_options};
use crate::crypto::Scheme;
use crate::registry::Registry;
use mlua::{IntoLua as _, LuaString, Table, Value};

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("sign", sign_claims)?;
    to.add_later("verify", verify)?;
    to.add("decode", |call, token: LuaString| match Token::read(&token.to_string_lossy()) {
        Ok(token) => {
            let table = call.lua.create_table()?;
            for (name, json) in [("header", &token.header), ("claims", &token.claims)] {
                match call.around.read_json(json)? {
                    Ok(part) => table.raw_set(name, part)?,
                    Err(error) => return Ok(Err(format!("malformed token: its {name}: {error}"))),
                }
            }
            Ok(Ok(table))
        }
        Err(error) => Ok(Err(error)),
    })
}

async fn sign_claims(
    call: Call,
    (claims, key, options): (Table, LuaString, Option<Table>),
) -> Done<Result<String, String>> {
    let options = match options {
        Some(options) => options,
        None => call.lua.create_table()?,
    };
    let name: String = options.raw_get::<Option<String>>("algorithm")?.unwrap_or_else(|| "HS256".to_owned());
    let mut header = match options.raw_get("header")? {
        Value::Nil => serde_json::Map::new(),
        header => object(&call, &header, "header")?,
    };
    if let Some(kid) = options.raw_get::<Option<String>>("kid")? {
        header.insert("kid".to_owned(), kid.into());
    }
    let mut claims = object(&call, &Value::Table(claims), "claims")?;
    if let Some(seconds) = options.raw_get::<Option<f64>>("expires_in")? {
        let now = call.around.wall().as_secs();
        claims.entry("iat").or_insert(now.into());
        claims.entry("exp").or_insert((now + seconds.max(0.0) as u64).into());
    }
    let (claims, key) = (serde_json::Value::Object(claims).to_string(), key.as_bytes().to_vec());
    // RSA takes milliseconds
    let is_slow =
        matches!(Algorithm::named(&name), Some(Algorithm::Pair(Scheme::Rsa(_) | Scheme::RsaPss(_))));
    let signing = move || sign(claims.as_bytes(), &key, &name, header);
    call.apart_if(is_slow, signing).await
}

/// A Lua table as a JSON object.
fn object(call: &Call, value: &Value, what: &str) -> Done<serde_json::Map<String, serde_json::Value>> {
    let text = match call.around.write_json(value)? {
        Ok(text) => text,
        Err(error) => return misuse(format!("the {what}: {error}")),
    };
    match serde_json::from_slice(&text) {
        Ok(object) => Ok(object),
        Err(_) => misuse(format!("the {what} are a table with names")),
    }
}

/// Claims and header, or nil and why.
async fn verify(call: Call, (text, key, options): (LuaString, Value, Option<Table>)) -> Done<(Value, Value)> {
    let (algorithms, rules) = read_rules(&call, options)?;
    match verified(&call, &text.to_string_lossy(), key, &algorithms, &rules).await? {
        Ok(parts) => Ok(parts),
        Err(error) => Ok((Value::Nil, error.into_lua(&call.lua)?)),
    }
}

async fn verified(
    call: &Call,
    text: &str,
    key: Value,
    algorithms: &[String],
    rules: &Rules,
) -> Done<Result<(Value, Value), String>> {
    let token = match Token::read(text) {
        Ok(token) => token,
        Err(error) => return Ok(Err(error)),
    };
    let keys = keys(call, key, &token).await?;
    if let Err(error) = keys.and_then(|keys| token.verify(&keys, algorithms, rules)) {
        return Ok(Err(error));
    }
    let read = |json: &[u8]| call.around.read_json(json);
    match (read(&token.claims)?, read(&token.header)?) {
        (Ok(claims), Ok(header)) => Ok(Ok((claims, header))),
        _ => Ok(Err("malformed token: it has JSON that functions cannot read".to_owned())),
    }
}

/// A secret or a key in PEM; a table is a key set, one of its keys, or `{jwks = URL}`.
async fn keys(call: &Call, key: Value, token: &Token<'_>) -> Done<Result<Vec<Key>, String>> {
    let table = match key {
        Value::String(text) => return Ok(Key::read(&text.as_bytes()).map(|key| vec![key])),
        Value::Table(table) => table,
        other => return misuse(format!("the key is a text or a table, got {}", other.type_name())),
    };
    if let Value::String(url) = table.raw_get("jwks")? {
        let (services, only) = (call.services(), call.around.only_hosts());
        let kid = token.kid.as_deref();
        let known = services.jwks.keys(&services.outbound, &url.to_string_lossy(), kid, only).await;
        return Ok(known.map(|keys| keys.keys_for(token)).and_then(some_key));
    }
    let set = if table.raw_get::<Value>("keys")?.is_table() {
        table
    } else {
        call.lua.create_table_from([("keys", vec![table])])?
    };
    let set = object(call, &set.into_lua(&call.lua)?, "key")?;
    match serde_json::from_value::<Jwks>(set.into()) {
        Ok(set) => Ok(some_key(set.keys_for(token))),
        Err(error) => Ok(Err(format!("the key is no set of keys: {error}"))),
    }
}

fn some_key(keys: Vec<Key>) -> Result<Vec<Key>, String> {
    if keys.is_empty() { Err("none of the keys can have signed the token".to_owned()) } else { Ok(keys) }
}

/// The algorithms that are accepted, and what the claims must say.
fn read_rules(call: &Call, options: Option<Table>) -> Done<(Vec<String>, Rules)> {
    let mut rules = Rules { now: call.around.wall().as_secs_f64(), ..Rules::default() };
    let Some(options) = options else { return Ok((Vec::new(), rules)) };
    const NAMES: [&str; 6] = ["algorithms", "issuer", "audience", "subject", "leeway", "require"];
    only_options(&options, &NAMES)?;
    rules.leeway = options.raw_get::<Option<f64>>("leeway")?.unwrap_or(0.0);
    rules.issuer = texts(&options, "issuer")?;
    rules.audience = texts(&options, "audience")?;
    rules.subject = texts(&options, "subject")?.pop();
    rules.require = texts(&options, "require")?;
    Ok((texts(&options, "algorithms")?, rules))
}

/// A text, or a list of them.
fn texts(options: &Table, name: &str) -> Done<Vec<String>> {
    match options.raw_get(name)? {
        Value::Nil => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text.to_string_lossy()]),
        Value::Table(list) if list.raw_len() > 0 => {
            Ok(list.sequence_values::<String>().collect::<mlua::Result<_>>()?)
        }
        _ => misuse(format!("option `{name}` is a text, or a list with at least one")),
    }
}
