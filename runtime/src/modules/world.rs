//! What reaches past the log: for modules of Weir's own that are written in Lua, and `os.exit`.

use super::{Call, Registry};
use crate::json::Style;
use crate::run::Answered;
use crate::{FailureKind, interrupt};
use bytes::Bytes;
use mlua::Value;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("ask", |call, (what, args): (String, Value)| ask(call, &what, &args))?;
    to.add("exit", |call, code: Value| exit(call, &code))?;
    // where the project's own code stands, but for one file, as an error's text begins
    to.add_plain("place", |call, but: Option<String>| {
        let levels = interrupt::stack_of(&call.lua);
        let is_own = |file: &str| call.run.code.file(file).is_some() && but.as_deref() != Some(file);
        let own = levels.iter().find(|level| is_own(&level.file));
        Ok(own.map(|level| format!("{}:{}: ", level.file, level.line)).unwrap_or_default())
    })?;
    // the main chunk of a file, for whoever runs it as it is
    to.add_plain("chunk", |call, path: String| {
        let Some(file) = call.run.code.file(&path) else {
            return Ok((None, Some(format!("there is no {path}"))));
        };
        if let Err(mistake) = &file.compiled {
            return Ok((None, Some(mistake.to_string())));
        }
        let env = call.run.frame(|f| f.env.clone());
        Ok((Some(call.shared.instance(&call.lua, &call.run.code, file, &env)?), None))
    })
}

fn ask(call: &Call, what: &str, args: &Value) -> mlua::Result<Answered> {
    let args = match call.shared.json.to_vec(&call.lua, args, Style::Strict)? {
        Ok(json) => Bytes::from(json),
        Err(error) => return call.raise(format!("{what}: {error}")),
    };
    call.then(call.run.host.ask(what, args), take)
}

fn take(call: &Call, answer: Result<Bytes, String>) -> mlua::Result<Answered> {
    match answer.map(|json| call.shared.json.parse(&call.lua, &json)) {
        Ok(parsed) => match parsed? {
            Ok(parsed) => call.value(parsed.value),
            Err(error) => call.raise(error.to_string()),
        },
        Err(text) => call.raise(text),
    }
}

/// `os.exit`: true, false or a number, as Lua has it.
fn exit(call: &Call, code: &Value) -> mlua::Result<Answered> {
    let code = match code {
        Value::Nil | Value::Boolean(true) => 0,
        Value::Boolean(false) => 1,
        other => other.as_i32().unwrap_or(1),
    };
    if !call.run.host.exit(code) {
        return call.raise("os.exit: a function cannot end the process: return, or raise with `error`");
    }
    call.run.doom_here(&call.lua, FailureKind::Cancelled, "os.exit")
}
