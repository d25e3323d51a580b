//! Where `require` looks, in this order: (1) the names that are always Weir's, (2) `app/`, (3) `lib/`, then the
//! project's root, (4) Weir's other modules. `weir/NAME` is always Weir's.
//!
//! The first group is Weir's even where the project has a file of that name: Spacer copied its own nginx-only
//! runtime into each project's `lib/`. The last is not, so that a project's own `lib/log.lua` wins.

use super::{Call, Registry};
use crate::code::CodeFile;
use mlua::{Function, Value};

/// Weir's, whatever the project holds.
const ALWAYS: [&str; 8] = ["flow", "topics", "cjson", "cjson.safe", "bit", "uuid", "ngx", "resty"];

/// The module, if it is there already; else its main chunk, and the path under which it is kept; else an error.
type Found = (Value, Option<Function>, String);

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_plain("find_module", |call, name: Value| match &name {
        Value::String(text) => find(call, &text.to_string_lossy()),
        other => error(format!("require: a name expected, got {}", other.type_name())),
    })?;
    to.add_plain("store_module", |call, (path, value): (String, Value)| {
        call.run.frame(|f| f.loaded.clone()).raw_set(path, value)
    })
}

fn find(call: &Call, name: &str) -> mlua::Result<Found> {
    let own = name.strip_prefix("weir/").or_else(|| name.strip_prefix("weir."));
    let native = own.unwrap_or(name);
    let group = native.split(['/', '.']).next().unwrap_or(native);
    let dotted = if group == "resty" { native.replace('/', ".") } else { native.to_owned() };
    let native = dotted.as_str();
    let is_reserved = ALWAYS.contains(&native) || (group == "resty" && native != group);
    if !is_reserved
        && own.is_none()
        && let Some(file) = call.run.code.module(name)
    {
        return load(call, name, file);
    }
    match call.shared.native(native)? {
        Value::Nil if is_reserved => error(format!("module {name:?} comes with a later version of Weir")),
        Value::Nil if own.is_some() => error(format!("module {name:?} is none of Weir's")),
        Value::Nil => {
            let slashed = name.replace('.', "/");
            error(format!(
                "module {name:?} not found: no app/{slashed}.lua, lib/{slashed}.lua, {slashed}.lua, and none of Weir's"
            ))
        }
        Value::Function(make) => made(call, native, make),
        module => found(module),
    }
}

/// A module of which each function has its own: made when it is first required.
fn made(call: &Call, name: &str, make: Function) -> mlua::Result<Found> {
    let path = format!("weir/{name}");
    match call.run.frame(|f| f.loaded.clone()).raw_get::<Value>(path.as_str())? {
        Value::Nil => Ok((Value::Nil, Some(make), path)),
        module => found(module),
    }
}

fn load(call: &Call, name: &str, file: &CodeFile) -> mlua::Result<Found> {
    let (loaded, env) = call.run.frame(|f| (f.loaded.clone(), f.env.clone()));
    let value: Value = loaded.raw_get(&*file.path)?;
    if value.as_table() == Some(call.shared.loading()) {
        return error(format!(
            "module {name:?} is required while it is being loaded: {} requires itself, directly or through others",
            file.path
        ));
    }
    if !value.is_nil() {
        return found(value);
    }
    if let Err(mistake) = &file.compiled {
        return error(mistake.to_string());
    }
    loaded.raw_set(&*file.path, call.shared.loading())?;
    let main = call.shared.instance(&call.lua, &call.run.code, file, &env)?;
    Ok((Value::Nil, Some(main), file.path.to_string()))
}

fn found(module: Value) -> mlua::Result<Found> {
    Ok((module, None, String::new()))
}

fn error(text: String) -> mlua::Result<Found> {
    Ok((Value::Nil, None, text))
}
