//! Runs one function of an invocation to its end: the outer one, and callees by `flow`.

use crate::code::CodeFile;
use crate::failure::json_text;
use crate::json::{Style, WriteError};
use crate::modules::response::{self, said};
use crate::run::{Frame, Run, Settled};
use crate::vm::Shared;
use crate::{Failure, FailureKind, Reply, interrupt, memory};
use bytes::Bytes;
use mlua::thread::ThreadStatus;
use mlua::{Function, IntoLuaMulti, Lua, Thread, Value};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use weir_schema::FunctionName;

/// What the prelude's `drive` returns: whether it went well, then the two results, or the error and whether the function
/// had begun.
type Driven = (bool, Value, Value);

/// Runs the function that an invocation asks for, or a callee. A failure of the whole invocation is left in
/// the run's doom.
pub(crate) async fn call(
    lua: &Lua,
    shared: &Shared,
    run: &Rc<Run>,
    function: FunctionName,
    args: Value,
    may_yield: bool,
) -> Result<Reply, Failure> {
    let Some(file) = run.code.function_file(&function).cloned() else {
        return Err(Failure::new(
            FailureKind::NotFound,
            format!("there is no function {function}: app/{function}.lua"),
        ));
    };
    let mut frame = shared.frame(lua, function).map_err(|e| engine_failure(run, &e))?;
    frame.may_yield = may_yield;
    let driven = Drive::start(lua, shared, run, &file, frame, &shared.drive(), args)?.await;
    let frame = run.pop();
    let (frame, driven) = (frame.ok_or_else(lost_frame)?, driven.map_err(|e| engine_failure(run, &e))?);
    finish(lua, shared, run, frame, driven)
}

/// Runs a main chunk to its value, without waiting: for the route table.
pub(crate) fn evaluate(lua: &Lua, shared: &Shared, run: &Rc<Run>, file: &CodeFile) -> Result<Value, Failure> {
    let name = FunctionName::new("gateway").expect("a constant that is well-formed");
    let mut frame = shared.frame(lua, name).map_err(|e| engine_failure(run, &e))?;
    frame.may_yield = false;
    let mut drive = Drive::start(lua, shared, run, file, frame, &shared.evaluate(), Value::Nil)?;
    let poll = Pin::new(&mut drive).poll(&mut Context::from_waker(std::task::Waker::noop()));
    let frame = run.pop().ok_or_else(lost_frame)?;
    let Poll::Ready(driven) = poll else {
        return Err(Failure::new(FailureKind::Load, format!("{} cannot wait", file.path)));
    };
    match driven.map_err(|e| engine_failure(run, &e))? {
        (true, value, _) => Ok(value),
        (false, error, _) => Err(raised(lua, shared, run, frame, &error, false)),
    }
}

fn lost_frame() -> Failure {
    Failure::new(FailureKind::Raised, "the frame of a function is gone")
}

/// A coroutine of an invocation as a future. The outermost one tells time, and lets the reactor in after a slice.
struct Drive<'v> {
    lua: &'v Lua,
    shared: &'v Shared,
    run: Rc<Run>,
    thread: Thread,
    /// Which of the run's frames it is; 0: the outermost.
    frame: usize,
    /// The function, by the hash of its file.
    function: u128,
    next: Next,
    pause: Option<Pin<Box<dyn Future<Output = ()> + 'v>>>,
}

/// What the coroutine goes on with.
enum Next {
    Start(Function, Value),
    /// It was preempted, or has yielded to nobody.
    Resume,
    /// The answer that its frame waits for.
    Answer,
}

impl<'v> Drive<'v> {
    fn start(
        lua: &'v Lua,
        shared: &'v Shared,
        run: &Rc<Run>,
        file: &CodeFile,
        frame: Frame,
        driver: &Function,
        args: Value,
    ) -> Result<Self, Failure> {
        file.bytecode()?;
        let start = || {
            let main = shared.instance(lua, &run.code, file, &frame.env)?;
            let thread = shared.lend_thread(lua, driver)?;
            interrupt::set_category(&thread, run.memory().category);
            Ok((thread, main))
        };
        let (thread, main) = start().map_err(|e| engine_failure(run, &e))?;
        let depth = run.depth();
        run.push(frame);
        let next = Next::Start(main, args);
        let function = file.hash;
        Ok(Self { lua, shared, run: run.clone(), thread, frame: depth, function, next, pause: None })
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<mlua::Result<Driven>> {
        let before = std::mem::replace(&mut self.next, Next::Answer);
        let was_preempted = matches!(before, Next::Resume);
        let resumed = match before {
            Next::Start(main, args) => self.resume((main, args)),
            Next::Resume => self.resume(()),
            Next::Answer => match ready!(self.poll_waiting(cx)) {
                Ok(settled) => self.resume(settled),
                Err(error) => Err(error),
            },
        };
        let (first, value, second) = match resumed {
            Ok(values) => values,
            Err(error) => return Poll::Ready(Err(error)),
        };
        match first {
            Value::Boolean(went_well) if self.thread.status() == ThreadStatus::Finished => {
                self.shared.return_thread(&self.thread);
                return Poll::Ready(Ok((went_well, value, second)));
            }
            // the host function that left something to wait for has polled it; but what woke it may have been spent on a
            // function that was preempted before it came to wait
            Value::Table(mark) if mark == *self.shared.waits() => {
                if was_preempted {
                    return self.step(cx);
                }
            }
            _ => self.next = Next::Resume,
        }
        Poll::Pending
    }

    /// Waits until the function may go on.
    fn next_turn(&self) -> impl Future<Output = ()> + use<'v> {
        let (lua, shared, run, function) = (self.lua, self.shared, self.run.clone(), self.function);
        async move {
            shared.turns.clone().next().await;
            if run.memory().awaits_collection() {
                memory::collect_for(lua, shared, &run, function).await;
            }
        }
    }

    fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<mlua::Result<Settled>> {
        let _counting = interrupt::count_for(self.lua, self.run.memory().category);
        self.run.poll_waiting(self.frame, cx)
    }

    fn resume(&self, values: impl IntoLuaMulti) -> mlua::Result<(Value, Value, Value)> {
        let _held = self.shared.heap.hold(self.lua);
        self.thread.resume(values)
    }
}

impl<'v> Future for Drive<'v> {
    type Output = mlua::Result<Driven>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.frame > 0 {
            return this.step(cx);
        }
        if let Some(pause) = &mut this.pause {
            ready!(pause.as_mut().poll(cx));
            this.pause = None;
        }
        let run = this.run.clone();
        if !matches!(this.next, Next::Resume) {
            this.shared.turns.begin(this.function);
        }
        let slice = run.begin_slice(cx.waker());
        let poll = this.step(cx);
        let ran = slice.end();
        if poll.is_pending() {
            run.judge_slices();
            // a coroutine that is polled again at once would run 61 times before the reactor looks at its sockets;
            // the same goes for one that yields to nobody
            if run.was_preempted() || matches!(this.next, Next::Resume) {
                this.shared.turns.preempted(this.function, Instant::now(), ran);
                let mut pause: Pin<Box<dyn Future<Output = ()> + 'v>> = Box::pin(this.next_turn());
                let _asked_to_be_woken = pause.as_mut().poll(cx);
                this.pause = Some(pause);
            }
        }
        poll
    }
}

/// Makes a reply of what a function returned, or a failure of what it raised.
fn finish(lua: &Lua, shared: &Shared, run: &Run, frame: Frame, driven: Driven) -> Result<Reply, Failure> {
    let (value, second) = match driven {
        (true, value, second) => (value, second),
        (false, error, begun) => {
            return Err(raised(lua, shared, run, frame, &error, begun == Value::Boolean(true)));
        }
    };
    let file = || format!("app/{}.lua", frame.function);
    if !matches!(second, Value::Nil | Value::Boolean(false)) {
        let mut failure = shown(lua, shared, &second, FailureKind::Refused);
        failure.stack = Vec::new();
        return Err(failure);
    }
    if let Some(table) = response::of(shared, &value) {
        return response::build(lua, shared, &table)
            .map(Reply::Response)
            .map_err(|text| answer_failure(run, &file(), &text));
    }
    let shape = frame.shape.as_ref();
    if let Some(reply) = shape.and_then(|shape| said(shape, &value)) {
        return reply.map(Reply::Response).map_err(|text| answer_failure(run, &file(), &text));
    }
    let json = shared.json.to_vec(lua, &value, Style::Strict).map_err(|e| engine_failure(run, &e))?;
    let json = json.map_err(|error| unwritable(&file(), &error))?;
    match shape.map(|shape| response::around(shape, &json, run.depth() > 0)) {
        Some(Err(text)) => Err(answer_failure(run, &file(), &text)),
        Some(Ok(Some(response))) => Ok(Reply::Response(response)),
        Some(Ok(None)) | None => Ok(Reply::Value(json.into())),
    }
}

fn answer_failure(run: &Run, file: &str, text: &str) -> Failure {
    Failure::new(FailureKind::Raised, format!("{file}: {text}")).locate(&run.code, &[])
}

fn unwritable(file: &str, error: &WriteError) -> Failure {
    let mut failure =
        Failure::new(FailureKind::Raised, format!("{file}: the result has no JSON form: {error}"));
    failure.place = Some(file.to_owned());
    failure
}

/// The failure of a function that raised, or of a module that did not load, and so has not begun.
fn raised(lua: &Lua, shared: &Shared, run: &Run, frame: Frame, error: &Value, has_begun: bool) -> Failure {
    let kind = if has_begun { FailureKind::Raised } else { FailureKind::Load };
    let stack = frame.raised.map(|r| r.stack).unwrap_or_default();
    shown(lua, shared, error, kind).locate(&run.code, &stack)
}

/// A failure with this value as its payload.
fn shown(lua: &Lua, shared: &Shared, error: &Value, kind: FailureKind) -> Failure {
    let text = match error {
        Value::String(text) => crate::json::lossy(text),
        other => match shared.json.to_vec(lua, other, Style::CJSON) {
            Ok(Ok(json)) => {
                let message = String::from_utf8_lossy(&json).into_owned();
                let mut failure = Failure::new(kind, message);
                failure.payload = Bytes::from(json);
                return failure;
            }
            _ => crate::json::show(other),
        },
    };
    Failure { payload: json_text(&text), ..Failure::new(kind, text) }
}

/// The failure behind an error of the engine itself.
pub(crate) fn engine_failure(run: &Run, error: &mlua::Error) -> Failure {
    let text = error.to_string();
    if is_out_of_memory(error) {
        return crate::run::memory_failure(run.limits(), "not enough memory");
    }
    let first = text.lines().next().unwrap_or_default().to_owned();
    Failure::new(FailureKind::Raised, first).locate(&run.code, &[])
}

pub(crate) fn is_out_of_memory(error: &mlua::Error) -> bool {
    match error {
        mlua::Error::MemoryError(_) => true,
        mlua::Error::CallbackError { cause, .. } => is_out_of_memory(cause),
        // at the very limit the engine fails to make its own message
        other => other.to_string().contains("not enough memory"),
    }
}
