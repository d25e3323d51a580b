//! Where `require` looks, in this order: (1) the names that are always Weir's, (2) `app/`, (3) `lib/`, then the
//! project's root, (4) Weir's other modules. `weir/NAME` is always Weir's.
//!
//! The first group is Weir's even where the project has a file of that name: Spacer copied its own nginx-only
//! runtime into each project's `lib/`. The last is not, so that a project's own `lib/log.lua` wins.

use super::{Call, Registry};
use crate::code::CodeFile;
use mlua::{IntoLua, Value};
use std::sync::Arc;

/// Weir's, whatever the project holds.
const FIRST: [&str; 8] = ["flow", "topics", "cjson", "cjson.safe", "bit", "uuid", "ngx", "resty"];
/// Weir's, where the project holds none.
const LAST: [&str; 3] = ["json", "log", "state"];

/// What the prelude does next, with what, and the path under which the module is kept.
type Found = (&'static str, Value, Option<String>);

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_plain("find_module", |call, name: Value| {
        let Value::String(name) = &name else {
            return error(call, &format!("require: a name expected, got {}", name.type_name()));
        };
        find(call, &crate::json::lossy(name))
    })?;
    to.add_plain("store_module", |call, (path, value): (String, Value)| {
        call.run.frame(|f| f.loaded.clone()).raw_set(path, value)
    })?;
    to.add_plain("later", |_, name: String| Ok(format!("module {name:?} comes with a later version of Weir")))
}

fn find(call: &Call, name: &str) -> mlua::Result<Found> {
    let own = name.strip_prefix("weir/").or_else(|| name.strip_prefix("weir."));
    let native = own.unwrap_or(name);
    let group = native.split(['/', '.']).next().unwrap_or(native);
    let is_first = FIRST.contains(&native) || (group == "resty" && native != group);
    if is_first || (own.is_some() && LAST.contains(&native)) {
        return Ok(("native", native.into_lua(&call.lua)?, None));
    }
    if own.is_some() {
        return error(call, &format!("module {name:?} is none of Weir's"));
    }
    match lookup(call, name) {
        Some(file) => load(call, name, &file),
        None if LAST.contains(&name) => Ok(("native", name.into_lua(&call.lua)?, None)),
        None => {
            let slashed = name.replace('.', "/");
            error(
                call,
                &format!(
                    "module {name:?} not found: no app/{slashed}.lua, lib/{slashed}.lua, {slashed}.lua, and none of Weir's"
                ),
            )
        }
    }
}

/// A dot is a slash, unless there is a file with the dot.
fn lookup(call: &Call, name: &str) -> Option<Arc<CodeFile>> {
    let slashed = name.replace('.', "/");
    let candidates = ["app/", "lib/", ""]
        .into_iter()
        .flat_map(|folder| [format!("{folder}{name}.lua"), format!("{folder}{slashed}.lua")]);
    candidates.into_iter().find_map(|path| call.run.code.file(&path).cloned())
}

fn load(call: &Call, name: &str, file: &CodeFile) -> mlua::Result<Found> {
    let (loaded, env) = call.run.frame(|f| (f.loaded.clone(), f.env.clone()));
    let value: Value = loaded.raw_get(&*file.path)?;
    if value.as_table() == Some(call.shared.loading()) {
        return error(
            call,
            &format!(
                "module {name:?} is required while it is being loaded: {} requires itself, directly or through others",
                file.path
            ),
        );
    }
    if !value.is_nil() {
        return Ok(("loaded", value, None));
    }
    if let Err(mistake) = &file.compiled {
        return error(call, &mistake.to_string());
    }
    loaded.raw_set(&*file.path, call.shared.loading())?;
    let main = call.shared.instance(&call.lua, &call.run.code, file, &env)?;
    Ok(("run", Value::Function(main), Some(file.path.to_string())))
}

fn error(call: &Call, text: &str) -> mlua::Result<Found> {
    Ok(("error", text.into_lua(&call.lua)?, None))
}
