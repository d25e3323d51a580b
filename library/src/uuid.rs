//! `uuid`: identifiers that nobody else has.

use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use mlua::{LuaString, Value};
use uuid::{Builder, Uuid};

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    for (name, namespace) in NAMESPACES {
        to.set(name, namespace.to_string())?;
    }
    to.add("v4", |call, (): ()| v4(call))?;
    to.add("generate_v4", |call, (): ()| v4(call))?;
    to.add("v5", |_, (namespace, name): (LuaString, LuaString)| {
        let Ok(namespace) = Uuid::try_parse_ascii(&namespace.as_bytes()) else {
            return misuse(format!("{:?} is no UUID", namespace.to_string_lossy()));
        };
        Ok(Uuid::new_v5(&namespace, &name.as_bytes()).to_string())
    })?;
    to.add("v7", |call, (): ()| {
        let millis = u64::try_from(call.around.now().as_millis()).unwrap_or(u64::MAX);
        let mut random = [0; 10];
        call.around.fill_random(&mut random);
        Ok(Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string())
    })?;
    to.add("is_valid", |_, text: Value| match text {
        Value::String(text) => Ok(Uuid::try_parse_ascii(&text.as_bytes()).is_ok()),
        _ => Ok(false),
    })?;
    // Spacer's functions call it before the first one; here there is nothing to be seeded
    to.add("seed", |_, seed: Value| Ok(seed))
}

/// RFC 9562, appendix A.
const NAMESPACES: [(&str, Uuid); 4] = [
    ("DNS", Uuid::NAMESPACE_DNS),
    ("URL", Uuid::NAMESPACE_URL),
    ("OID", Uuid::NAMESPACE_OID),
    ("X500", Uuid::NAMESPACE_X500),
];

fn v4(call: &Call) -> Done<String> {
    let mut random = [0; 16];
    call.around.fill_random(&mut random);
    Ok(Builder::from_random_bytes(random).into_uuid().to_string())
}
