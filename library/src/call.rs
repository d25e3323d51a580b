//! One call of a library's function: what it is given, and what it answers.

use crate::{Services, Surroundings, thread_time};
use futures::future::LocalBoxFuture;
use mlua::{FromLuaMulti, IntoLua, IntoLuaMulti, Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that simple work is done with in well under a millisecond.
const FEW: usize = 256 << 10;

/// For how long a function may keep the reactor waiting.
const SLICE: Duration = Duration::from_millis(1);

/// How often the time is looked at.
const STEPS: u32 = 32;

/// What a host function answers.
pub enum Answer {
    /// One value.
    Value(Value),
    /// Any number of values; `nil, err` for what can fail at run time.
    Values(MultiValue),
    /// Raised at the line that called.
    Raise(Value),
    /// The function waits.
    Later(Waiting),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => f.debug_tuple("Value").field(value).finish(),
            Self::Values(values) => f.debug_tuple("Values").field(values).finish(),
            Self::Raise(error) => f.debug_tuple("Raise").field(error).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// An answer that takes time.
pub type Waiting = LocalBoxFuture<'static, mlua::Result<Answer>>;

/// A function of a module, as the runtime puts it into a VM.
pub type Native = Box<dyn Fn(&Lua, Rc<dyn Surroundings>, MultiValue) -> mlua::Result<Answer>>;

/// Why a call is an error of its caller.
#[derive(Debug)]
pub enum Fault {
    /// It asks for what cannot be: raised, behind the function's name.
    Misuse(String),
    /// The engine's own.
    Engine(mlua::Error),
}

/// What a function answers: values (a `Result<T, String>` in it is `nil, err`), or a fault.
pub type Done<T> = Result<T, Fault>;

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        match unexpected(&error) {
            Some(text) => Self::Misuse(text),
            None => Self::Engine(error),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Engine(mlua::Error::external(error))
    }
}

/// A fault of this text.
pub(crate) fn misuse<T>(text: impl Into<String>) -> Done<T> {
    Err(Fault::Misuse(text.into()))
}

/// The number that a value is.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    }
}

/// A number of seconds, or a duration as text (`"30s"`), written as in the configuration.
pub(crate) fn duration(value: &Value) -> Option<Duration> {
    match value {
        Value::String(text) => weir_schema::parse_duration(&text.to_string_lossy()).ok(),
        other => Duration::try_from_secs_f64(number(other)?).ok(),
    }
}

/// Refuses a table with a name that is no option.
pub(crate) fn only_options(options: &Table, names: &[&str]) -> Done<()> {
    for pair in options.pairs::<Value, Value>() {
        let name = match pair?.0 {
            Value::String(name) => name.to_string_lossy(),
            other => return misuse(format!("an option's name is text, got {}", other.type_name())),
        };
        if !names.contains(&name.as_str()) {
            return misuse(format!("there is no option {name:?}; there are {}", names.join(", ")));
        }
    }
    Ok(())
}

/// One call of a function.
#[derive(Clone)]
pub struct Call {
    /// The VM.
    pub lua: Lua,
    /// The invocation.
    pub around: Rc<dyn Surroundings>,
    function: Rc<str>,
}

impl Call {
    /// What the process has once.
    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        self.around.services()
    }

    /// A string of these bytes.
    ///
    /// # Errors
    /// The invocation may not take that much memory: it is over.
    pub fn text(&self, bytes: impl AsRef<[u8]>) -> Done<LuaString> {
        let bytes = bytes.as_ref();
        self.reserve(bytes.len())?;
        Ok(self.lua.create_string(bytes)?)
    }

    /// A string of these bytes, or why there are none.
    ///
    /// # Errors
    /// As [`Call::text`].
    pub fn text_or(&self, done: Result<impl AsRef<[u8]>, impl ToString>) -> Done<Result<LuaString, String>> {
        match done {
            Ok(bytes) => self.text(bytes).map(Ok),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// A new list: it is `[]` in JSON even when it is empty.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn list(&self) -> Done<Table> {
        let list = self.lua.create_table()?;
        list.set_metatable(Some(self.around.list()))?;
        Ok(list)
    }

    /// Asks for memory before it is taken: for what is made at once and larger than what it is made of.
    ///
    /// # Errors
    /// The invocation may not take that much: it is over.
    pub fn reserve(&self, bytes: usize) -> Done<()> {
        if self.around.may_take(bytes, &self.function) { Ok(()) } else { misuse("past the memory limit") }
    }

    /// Works on the bytes of a string: here if they are few, else on another thread.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn apart<T: Send + 'static>(
        &self,
        s: &LuaString,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Done<T> {
        self.apart_beyond(FEW, s, work).await
    }

    /// As [`Call::apart`], where up to `few` bytes are few.
    ///
    /// # Errors
    /// As there.
    pub async fn apart_beyond<T: Send + 'static>(
        &self,
        few: usize,
        s: &LuaString,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Done<T> {
        if s.as_bytes().len() <= few {
            return Ok(work(&s.as_bytes()));
        }
        let bytes = s.as_bytes().to_vec();
        self.off_thread(move || work(&bytes)).await
    }

    /// Works here, or on another thread if the work is long.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn apart_if<T: Send + 'static>(
        &self,
        is_long: bool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Done<T> {
        if is_long { self.off_thread(work).await } else { Ok(work()) }
    }

    /// Works on another thread, for what would keep the reactor waiting; its time counts as the invocation's.
    ///
    /// # Errors
    /// The work panicked.
    pub async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Done<T> {
        let timed = move || {
            let began = thread_time();
            (work(), thread_time().saturating_sub(began))
        };
        let (result, took) = tokio::task::spawn_blocking(timed).await.map_err(mlua::Error::external)?;
        self.around.charge(took);
        Ok(result)
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("function", &self.function).finish_non_exhaustive()
    }
}

/// Lets others in now and then, while a function works for long with values of its VM, and ends it at the limits.
#[derive(Debug)]
pub(crate) struct Pace<'c> {
    call: &'c Call,
    began: Instant,
    steps: u32,
}

impl<'c> Pace<'c> {
    pub(crate) fn new(call: &'c Call) -> Self {
        Self { call, began: Instant::now(), steps: 0 }
    }

    /// Between two steps of some microseconds.
    pub(crate) async fn step(&mut self) -> Done<()> {
        self.steps += 1;
        if !self.steps.is_multiple_of(STEPS) || self.began.elapsed() < SLICE {
            return Ok(());
        }
        if !self.call.around.may_go_on() {
            return misuse("the invocation is over");
        }
        tokio::task::yield_now().await;
        self.began = Instant::now();
        Ok(())
    }
}

/// A function that answers at once. `first` is the number that error texts give its first argument.
pub(crate) fn at_once<A: FromLuaMulti, R: IntoLuaMulti>(
    name: &str,
    first: usize,
    f: impl Fn(&Call, A) -> Done<R> + 'static,
) -> Native {
    let function: Rc<str> = name.into();
    Box::new(move |lua, around, args| {
        let call = Call { lua: lua.clone(), around, function: function.clone() };
        let done = read(lua, first, args).and_then(|args| f(&call, args));
        answer(&call, done)
    })
}

/// A function that may wait. Where nothing has to be waited for, it answers at once too.
pub(crate) fn waiting<A: FromLuaMulti, R: IntoLuaMulti, F: Future<Output = Done<R>> + 'static>(
    name: &str,
    first: usize,
    f: impl Fn(Call, A) -> F + 'static,
) -> Native {
    let function: Rc<str> = name.into();
    Box::new(move |lua, around, args| {
        let call = Call { lua: lua.clone(), around, function: function.clone() };
        match read(lua, first, args) {
            Ok(args) => {
                let work = f(call.clone(), args);
                Ok(Answer::Later(Box::pin(async move { answer(&call, work.await) })))
            }
            Err(fault) => answer::<()>(&call, Err(fault)),
        }
    })
}

fn read<A: FromLuaMulti>(lua: &Lua, first: usize, args: MultiValue) -> Done<A> {
    A::from_lua_args(args, first, None, lua).map_err(|error| match wrong_argument(&error) {
        Some(text) => Fault::Misuse(text),
        None => Fault::Engine(error),
    })
}

fn answer<R: IntoLuaMulti>(call: &Call, done: Done<R>) -> mlua::Result<Answer> {
    match done {
        Ok(values) => Ok(Answer::Values(values.into_lua_multi(&call.lua)?)),
        Err(Fault::Misuse(text)) => {
            Ok(Answer::Raise(format!("{}: {text}", call.function).into_lua(&call.lua)?))
        }
        Err(Fault::Engine(error)) => Err(error),
    }
}

/// Which argument is wrong, and what it has to be.
fn wrong_argument(error: &mlua::Error) -> Option<String> {
    let mlua::Error::BadArgument { pos, cause, .. } = error else { return None };
    Some(format!("argument {pos}: {}", unexpected(cause)?))
}

/// What a value has to be, and is not.
fn unexpected(error: &mlua::Error) -> Option<String> {
    let mlua::Error::FromLuaConversionError { from, to, .. } = error else { return None };
    let expected = match to.as_str() {
        "string" | "String" | "&str" | "BString" => "text",
        "f64" => "a number",
        "i64" | "u64" | "i32" | "u32" | "u16" | "u8" | "usize" => "a whole number",
        "table" => "a table",
        "function" => "a function",
        other => other,
    };
    let got = match (expected, *from) {
        ("a whole number", "number") => "another number",
        ("text", "string") => "bytes that are not UTF-8",
        (_, from) => from,
    };
    Some(format!("{expected} expected, got {got}"))
}
