//! Where `require` looks, in this order: (1) the names that are always Weir's, (2) `app/`, (3) `lib/`, then the
//! project's root, (4) Weir's other modules. `weir/NAME` is always Weir's.
//!
//! The first group is Weir's even where the project has a file of that name: Spacer copied its own nginx-only
//! runtime into each project's `lib/`. The last is not, so that a project's own `lib/log.lua` wins.

use super::{Call, Registry};
use crate::code::CodeFile;
use mlua::{Function, Value};
use std::borrow::Cow;

/// Weir's, whatever the project holds.
const FIRST: [&str; 8] = ["flow", "topics", "cjson", "cjson.safe", "bit", "uuid", "ngx", "resty"];
/// Weir's, where the project holds none; so are those of the library.
const LAST: [&str; 11] =
    ["json", "log", "state", "bit32", "coroutine", "debug", "math", "os", "string", "table", "utf8"];

/// Whose module a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Owner {
    /// Weir's, always.
    Weir,
    /// The project's if it has one, else Weir's.
    ProjectOrWeir,
    /// The project's alone.
    Project,
}

/// Whose module `name` is.
pub(crate) fn owner(name: &str) -> Owner {
    let group = name.split(['/', '.']).next().unwrap_or(name);
    match () {
        () if FIRST.contains(&name) || (group == "resty" && name != group) => Owner::Weir,
        () if LAST.contains(&name) || weir_library::MODULES.iter().any(|m| m.name == name) => {
            Owner::ProjectOrWeir
        }
        () => Owner::Project,
    }
}

/// The module, if it is there already; else its main chunk, the path under which it is kept, and whether it is written
/// by us; else an error.
type Found = (Value, Option<Function>, String, bool);

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_plain("find_module", |call, name: Value| match &name {
        Value::String(text) => find(call, &text.to_string_lossy()),
        other => error(format!("require: a name expected, got {}", other.type_name())),
    })?;
    to.add_plain("store_module", |call, (path, value): (String, Value)| {
        call.run.frame(|f| f.loaded(&call.lua))?.raw_set(path, value)
    })?;
    to.add_plain("get_loaded", |call, name: String| get_loaded(call, &name))?;
    to.add_plain("set_loaded", |call, (name, value): (String, Value)| set_loaded(call, &name, value))
}

/// `package.loaded[name]`. Nil while a chunk is being prepared: the engine would take what it finds then for good.
fn get_loaded(call: &Call, name: &str) -> mlua::Result<Value> {
    if call.shared.is_preparing() {
        return Ok(Value::Nil);
    }
    let loaded = call.run.frame(|f| f.loaded(&call.lua))?;
    let replaced: Value = loaded.raw_get(replacement(name))?;
    if !replaced.is_nil() {
        return Ok(replaced);
    }
    let file = call.run.code.module(name).filter(|_| owner(name) != Owner::Weir);
    match file {
        Some(file) => {
            let value: Value = loaded.raw_get(&*file.path)?;
            Ok(if value.as_table() == Some(call.shared.loading()) { Value::Nil } else { value })
        }
        None => match call.shared.native(&native_name(name))? {
            Value::Function(_) => loaded.raw_get(made_path(&native_name(name))),
            module => Ok(module),
        },
    }
}

/// `package.loaded[name] = value`: what `require` answers from now on; with nil, the file is loaded again.
fn set_loaded(call: &Call, name: &str, value: Value) -> mlua::Result<()> {
    let loaded = call.run.frame(|f| {
        f.has_replaced = true;
        f.loaded(&call.lua)
    })?;
    if let Some(file) = call.run.code.module(name).filter(|_| value.is_nil()) {
        loaded.raw_set(&*file.path, Value::Nil)?;
    }
    loaded.raw_set(replacement(name), value)
}

/// Where a module that was set by hand is kept: under no file's path.
fn replacement(name: &str) -> String {
    format!("={}", name.replace('.', "/"))
}

fn find(call: &Call, name: &str) -> mlua::Result<Found> {
    if call.run.frame(|f| f.has_replaced) {
        let replaced: Value = call.run.frame(|f| f.loaded(&call.lua))?.raw_get(replacement(name))?;
        if !replaced.is_nil() {
            return found(replaced);
        }
    }
    let own = name.strip_prefix("weir/").or_else(|| name.strip_prefix("weir."));
    let native = own.unwrap_or(name);
    let owner = owner(native);
    if owner == Owner::Weir || (own.is_some() && owner == Owner::ProjectOrWeir) {
        return weirs(call, native);
    }
    if let Some(file) = call.run.code.library(name).filter(|_| own.is_some()) {
        return load(call, name, file, true);
    }
    if own.is_some() {
        return error(format!("module {name:?} is none of Weir's"));
    }
    match (call.run.code.module(name), call.run.code.library(name)) {
        (Some(file), _) => load(call, name, file, false),
        (None, _) if owner == Owner::ProjectOrWeir => weirs(call, name),
        (None, Some(file)) => load(call, name, file, true),
        (None, None) => {
            let slashed = name.replace('.', "/");
            error(format!(
                "module {name:?} not found: no app/{slashed}.lua, lib/{slashed}.lua, {slashed}.lua, and none of Weir's"
            ))
        }
    }
}

fn weirs(call: &Call, name: &str) -> mlua::Result<Found> {
    let name = &native_name(name);
    match call.shared.native(name)? {
        Value::Nil => error(format!("module {name:?} comes with a later version of Weir")),
        Value::Function(make) => made(call, name, make),
        module => found(module),
    }
}

/// A module of which each function has its own: made when it is first required.
fn made(call: &Call, name: &str, make: Function) -> mlua::Result<Found> {
    let path = made_path(name);
    match call.run.frame(|f| f.loaded(&call.lua))?.raw_get::<Value>(path.as_str())? {
        Value::Nil => Ok((Value::Nil, Some(make), path, false)),
        module => found(module),
    }
}

/// Where a module that is made for each function is kept: under no file's path.
fn made_path(name: &str) -> String {
    format!("weir/{name}")
}

/// `resty/jwt` is `resty.jwt`.
fn native_name(name: &str) -> Cow<'_, str> {
    if name.starts_with("resty/") { name.replace('/', ".").into() } else { name.into() }
}

fn load(call: &Call, name: &str, file: &CodeFile, is_ours: bool) -> mlua::Result<Found> {
    let (loaded, env) = call.run.frame(|f| (f.loaded(&call.lua), f.env.clone()));
    let loaded = loaded?;
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
    Ok((Value::Nil, Some(main), file.path.to_string(), is_ours))
}

fn found(module: Value) -> mlua::Result<Found> {
    Ok((module, None, String::new(), false))
}

fn error(text: String) -> mlua::Result<Found> {
    Ok((Value::Nil, None, text, false))
}
