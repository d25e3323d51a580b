//! The host functions behind Weir's Lua modules; the prelude gives them their Lua shape.

mod chance;
mod context;
mod encoding;
mod flow;
mod library;
mod logging;
mod openresty;
mod require;
pub(crate) mod response;
mod state;
mod strings;
mod topics;
mod world;

pub(crate) use require::{Owner, owner};

use crate::call::is_out_of_memory;
use crate::heap::Guard;
use crate::interrupt;
use crate::run::{Answered, Raised, Run, memory_failure};
use crate::vm::{Shared, running};
use crate::{Answer, HostError};
use mlua::{FromLuaMulti, Function, IntoLua, Lua, MultiValue, Table, Value};
use std::rc::Rc;

/// A table of all host functions, for the prelude.
pub(crate) fn install(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let to = Registry { lua, shared, table: &table };
    to.put("null", Value::NULL)?;
    to.put("on_error", on_error(lua)?)?;
    to.add("native_error", |call, error: Value| native_error(call, &error))?;
    to.add("no_function", |call, kind: String| no_function(call, &kind))?;
    chance::install(&to)?;
    context::install(&to)?;
    encoding::install(&to)?;
    flow::install(&to)?;
    library::install(&to)?;
    logging::install(&to)?;
    openresty::install(&to)?;
    require::install(&to)?;
    response::install(&to)?;
    state::install(&to)?;
    strings::install(&to)?;
    topics::install(&to)?;
    world::install(&to)?;
    Ok(table)
}

/// Where host functions are put.
struct Registry<'a> {
    lua: &'a Lua,
    shared: &'a Rc<Shared>,
    table: &'a Table,
}

/// One call of a host function.
#[derive(Clone)]
struct Call {
    lua: Lua,
    shared: Rc<Shared>,
    run: Rc<Run>,
}

impl Registry<'_> {
    /// A function that answers `true` and values, `false, error`, or nothing for "later".
    fn add<A: FromLuaMulti>(
        &self,
        name: &str,
        f: impl Fn(&Call, A) -> mlua::Result<Answered> + 'static,
    ) -> mlua::Result<()> {
        self.put(name, self.function(f)?)
    }

    /// As [`Registry::add`], not put anywhere.
    fn function<A: FromLuaMulti>(
        &self,
        f: impl Fn(&Call, A) -> mlua::Result<Answered> + 'static,
    ) -> mlua::Result<Function> {
        let shared = self.shared.clone();
        self.lua.create_function(move |lua, args: A| {
            let (call, _lifted) = Call::begin(lua, &shared)?;
            let settled = call.run.settle(f(&call, args)?)?;
            Ok(match settled {
                Some((went_well, value, more)) => (Some(went_well), value, more),
                None => (None, Value::Nil, MultiValue::new()),
            })
        })
    }

    /// A function that answers its value alone.
    fn add_plain<A: FromLuaMulti, R: mlua::IntoLuaMulti>(
        &self,
        name: &str,
        f: impl Fn(&Call, A) -> mlua::Result<R> + 'static,
    ) -> mlua::Result<()> {
        let shared = self.shared.clone();
        let function = self.lua.create_function(move |lua, args: A| {
            let (call, _lifted) = Call::begin(lua, &shared)?;
            f(&call, args)
        })?;
        self.put(name, function)
    }

    /// Anything that the prelude needs. All modules share one table: a name that is taken is refused, or one would get what
    /// is another's.
    fn put(&self, name: &str, value: impl IntoLua) -> mlua::Result<()> {
        if self.table.contains_key(name)? {
            return Err(mlua::Error::runtime(format!("{name:?} is there twice: name it by its module")));
        }
        self.table.raw_set(name, value)
    }
}

impl Call {
    /// A call of the running invocation, and the limit on memory lifted for as long as it takes.
    fn begin(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<(Self, Guard)> {
        let lifted = shared.heap.lift(lua);
        Ok((Self { lua: lua.clone(), shared: shared.clone(), run: running()? }, lifted))
    }

    fn value(&self, value: impl IntoLua) -> mlua::Result<Answered> {
        Ok(Answered::Value(value.into_lua(&self.lua)?))
    }

    fn raise(&self, message: impl AsRef<str>) -> mlua::Result<Answered> {
        Ok(Answered::Raise(Value::String(self.lua.create_string(message.as_ref())?)))
    }

    /// Goes on with what the host answers, now or later.
    fn with<T: 'static>(
        &self,
        answer: Answer<Result<T, HostError>>,
        go_on: impl FnOnce(&Self, T) -> mlua::Result<Answered> + 'static,
    ) -> mlua::Result<Answered> {
        self.then(answer, |call, result| match result {
            Ok(value) => go_on(call, value),
            Err(error) => call.run.doom_by_host(&call.lua, &error),
        })
    }

    /// Goes on with an answer, now or later.
    fn then<T: 'static>(
        &self,
        answer: Answer<T>,
        go_on: impl FnOnce(&Self, T) -> mlua::Result<Answered> + 'static,
    ) -> mlua::Result<Answered> {
        match answer {
            Answer::Now(result) => go_on(self, result),
            Answer::Later(future) => {
                let call = self.clone();
                Ok(Answered::Later(Box::pin(async move { go_on(&call, future.await) })))
            }
        }
    }
}

/// Keeps an error and the stack that raised it. Runs where it was raised, before anything is unwound.
fn on_error(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, value: Value| {
        let run = running()?;
        let stack = interrupt::stack_of(lua);
        run.frame(|f| {
            // raised again on its way out: the first stack is the one that tells where
            let is_known = f.raised.as_ref().is_some_and(|r| r.value == value);
            if !is_known {
                f.raised = Some(Raised { value: value.clone(), stack });
            }
        });
        Ok(value)
    })
}

/// Makes a text of an error of the engine; one that says there is no memory ends the invocation.
fn native_error(call: &Call, error: &Value) -> mlua::Result<Answered> {
    let is_memory = match error {
        Value::Error(error) => is_out_of_memory(error),
        Value::String(text) => text.as_bytes() == b"not enough memory",
        _ => false,
    };
    if is_memory {
        let failure = memory_failure(call.run.limits(), "not enough memory");
        call.run.doom(failure.locate(&call.run.code, &interrupt::stack_of(&call.lua)));
        return call.value("not enough memory");
    }
    let text = match error {
        Value::Error(error) => error_text(error),
        other => return call.value(other.clone()),
    };
    call.value(text)
}

/// The innermost words of an error of ours.
fn error_text(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } => error_text(cause),
        mlua::Error::RuntimeError(text) => text.lines().next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

fn no_function(call: &Call, kind: &str) -> mlua::Result<Answered> {
    let function = call.run.function();
    call.value(format!("app/{function}.lua returns {kind}; it must `return function(args, ctx) … end`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::Vm;
    use crate::{Watchdog, WorkerOptions};

    #[test]
    fn a_name_that_two_modules_give_is_refused() {
        let vm = Vm::new(&WorkerOptions::new(Watchdog::start().expect("a thread"))).expect("memory for a VM");
        let table = vm.lua.create_table().expect("memory for a table");
        let to = Registry { lua: &vm.lua, shared: &vm.shared, table: &table };
        to.put("exit", 1).expect("it is free");
        let refused = to.add_plain("exit", |_, ()| Ok(())).expect_err("it is taken");
        assert!(refused.to_string().contains("\"exit\""), "{refused}");
    }
}
