//! One thread's VM, as the gateway and the triggers use it.

use crate::deadline::within;
use crate::run::{Run, wall_failure};
use crate::vm::Vm;
use crate::watchdog::Watchdog;
use crate::{
    Answer, Args, Code, Effects, Failure, FailureKind, Host, HostError, HostPage, HostRow, Invocation,
    Limits, LogLine, Origin, Outcome, Reply, TopicRef, Usage,
};
use crate::{call, memory};
use mlua::{Table, Value};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_library::Services;
use weir_schema::{
    At, FunctionName, InvocationId, Millis, Offset, Records, StateKey, StateRange, TraceContext,
};

/// How a worker is made.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Shared by all workers of the process.
    pub watchdog: Arc<Watchdog>,
    /// Bytes that the whole VM may take: far above what one invocation may, since what waits takes memory too and
    /// garbage is not collected at once.
    pub memory: usize,
    /// What libraries share: one for all workers of a process.
    pub services: Arc<Services>,
}

impl WorkerOptions {
    /// The defaults, with services of their own.
    #[must_use]
    pub fn new(watchdog: Arc<Watchdog>) -> Self {
        Self { watchdog, memory: 512 << 20, services: Arc::default() }
    }
}

/// A route as `app/gateway.lua` lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteEntry {
    /// `GET`, …, as written.
    pub method: String,
    /// The pattern.
    pub path: String,
    /// The function.
    pub function: FunctionName,
}

/// The worker's VM could not be made.
#[derive(Debug, thiserror::Error)]
#[error("set up the Lua engine: {0}")]
pub struct WorkerError(#[from] mlua::Error);

/// Runs functions on its thread, many at a time: one that waits lets the others go on, and so does one that has
/// run for a millisecond. Give the thread 8 MiB of stack.
#[derive(Debug)]
pub struct Worker {
    vm: Vm,
}

impl Worker {
    /// A worker with a VM of its own.
    ///
    /// # Errors
    /// There is not enough memory for a VM.
    pub fn new(options: &WorkerOptions) -> Result<Self, WorkerError> {
        Ok(Self { vm: Vm::new(options)? })
    }

    /// Runs a function once, with fresh globals, and returns what became of it. Commits nothing: that is for
    /// the caller. Needs a tokio runtime with time; a dropped future ends the invocation where it waits.
    pub async fn run(&self, code: &Arc<Code>, invocation: &Invocation, host: Rc<dyn Host>) -> Outcome {
        self.run_shared(code, Rc::new(invocation.clone()), host).await
    }

    /// As [`Worker::run`], without a copy of the invocation: for the hot path.
    pub async fn run_shared(
        &self,
        code: &Arc<Code>,
        invocation: Rc<Invocation>,
        host: Rc<dyn Host>,
    ) -> Outcome {
        let lent = Lent { vm: &self.vm, run: self.begin(code, invocation, host) };
        let limits = *lent.run.limits();
        let done = {
            // pinned here: moving a future of this size costs as much as a small function
            let work = std::pin::pin!(self.work(&lent.run));
            within(lent.run.started, limits.wall, work).await
        };
        let result = done.unwrap_or_else(|| Err(wall_failure(&limits)));
        lent.finish(result).await
    }

    /// The routes that `app/gateway.lua` returns, in order; none if there is no such file. `env` is what it sees of
    /// the environment.
    ///
    /// # Errors
    /// It does not load, or returns something else than a list of `{METHOD, PATH, FUNCTION}`.
    pub fn routes(
        &self,
        code: &Arc<Code>,
        env: &BTreeMap<String, String>,
    ) -> Result<Vec<RouteEntry>, Failure> {
        let Some(file) = code.file("app/gateway.lua") else { return Ok(Vec::new()) };
        let host = Rc::new(NoHost { env: env.clone() });
        let lent = Lent { vm: &self.vm, run: self.begin(code, Rc::new(gateway_invocation()), host) };
        let value = call::evaluate(&self.vm.lua, &self.vm.shared, &lent.run, file);
        let value = match lent.run.take_doom() {
            Some(failure) => Err(failure),
            None => value,
        };
        value.and_then(|value| read_routes(&value))
    }

    /// Bytes that the VM takes when all that can be collected is.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn settled_memory(&self) -> usize {
        let mut before = usize::MAX;
        loop {
            self.vm.lua.gc_collect().expect("nothing that is collected runs code");
            let used = self.vm.lua.used_memory();
            // the stacks of coroutines that rest become shorter with each collection
            if used >= before {
                return used;
            }
            before = used;
        }
    }

    /// Pieces of garbage that were collected for functions that had passed their memory limit.
    #[cfg(feature = "test-support")]
    #[must_use]
    pub fn collected_pieces(&self) -> u64 {
        self.vm.shared.pieces.get()
    }

    fn begin(&self, code: &Arc<Code>, invocation: Rc<Invocation>, host: Rc<dyn Host>) -> Rc<Run> {
        let memory = self.vm.lend_memory();
        Run::new(code.clone(), invocation, host, self.vm.pulse.clone(), memory)
    }

    async fn work(&self, run: &Rc<Run>) -> Result<Reply, Failure> {
        let args = self.args(run).map_err(|e| call::engine_failure(run, &e))?;
        call::call(&self.vm.lua, &self.vm.shared, run, run.invocation.function.clone(), args, true).await
    }

    fn args(&self, run: &Run) -> mlua::Result<Value> {
        let json = &self.vm.shared.json;
        match &run.invocation.args {
            Args::None => Ok(Value::Nil),
            Args::Json(text) => crate::args::from_json(&self.vm.lua, json, run, text),
            Args::Merged { params, query, body, form } => {
                let merged = crate::args::Merged { params, query, body: body.as_ref(), form };
                crate::args::merge(&self.vm.lua, json, run, &merged)
            }
        }
    }
}

/// A run that has a category of memory, and gives it back even if its future is dropped.
struct Lent<'w> {
    vm: &'w Vm,
    run: Rc<Run>,
}

impl Lent<'_> {
    async fn finish(self, result: Result<Reply, Failure>) -> Outcome {
        let run = &self.run;
        let result = match run.take_doom() {
            Some(failure) => Err(failure),
            None => result.and_then(|reply| within_output(run, reply)),
        };
        run.memory().used(&self.vm.lua);
        let effects = match &result {
            Ok(_) => run.journal.take().finish(),
            Err(_) => Effects::default(),
        };
        if matches!(&result, Err(f) if f.kind == FailureKind::Memory) {
            run.close();
            let function = run.code.function_file(&run.invocation.function).map_or(0, |file| file.hash);
            memory::collect_after(&self.vm.lua, &self.vm.shared, run, function).await;
        }
        let usage = Usage { cpu: run.cpu(), wall: run.started.elapsed(), memory: run.memory().peak.get() };
        Outcome { result, effects, usage }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.run.close();
        self.vm.return_memory(self.run.memory());
    }
}

fn within_output(run: &Run, reply: Reply) -> Result<Reply, Failure> {
    let result = match &reply {
        Reply::Value(value) => value.len(),
        Reply::Response(response) => response.body.len(),
    };
    let bytes = result + run.journal.borrow().bytes();
    if bytes <= run.limits().output {
        return Ok(reply);
    }
    let limit = run.limits().output;
    let text = format!(
        "the result, the appends and the writes take {bytes} bytes; the limit is {limit} (weir.limits.output)"
    );
    Err(Failure::new(FailureKind::Output, text))
}

fn gateway_invocation() -> Invocation {
    Invocation {
        id: InvocationId(0),
        function: FunctionName::new("gateway").expect("a constant that is well-formed"),
        args: Args::None,
        hops: 0,
        attempt: 1,
        trace: TraceContext::root(1, 1, false),
        origin: Origin::Call,
        replay: None,
        limits: Limits::default(),
    }
}

fn read_routes(value: &Value) -> Result<Vec<RouteEntry>, Failure> {
    let wrong = |what: String| {
        let mut failure = Failure::new(FailureKind::Load, format!("app/gateway.lua: {what}"));
        failure.place = Some("app/gateway.lua".into());
        failure
    };
    let Value::Table(list) = value else {
        let what =
            format!("returns {}; it must return a list of {{METHOD, PATH, FUNCTION}}", value.type_name());
        return Err(wrong(what));
    };
    let mut routes = Vec::new();
    for n in 1..=list.raw_len() {
        let parts = list.raw_get::<Table>(n).and_then(|entry| {
            Ok((entry.raw_get::<String>(1)?, entry.raw_get::<String>(2)?, entry.raw_get::<String>(3)?))
        });
        let (method, path, function) =
            parts.map_err(|_| wrong(format!("entry {n} is not {{METHOD, PATH, FUNCTION}}, three texts")))?;
        let function = FunctionName::new(&function).map_err(|e| wrong(format!("entry {n}: {e}")))?;
        routes.push(RouteEntry { method, path, function });
    }
    Ok(routes)
}

/// The world of the route table: nothing but the environment.
struct NoHost {
    env: BTreeMap<String, String>,
}

const NOT_THERE: &str = "app/gateway.lua only lists the routes";

impl Host for NoHost {
    fn now(&self) -> Millis {
        Millis(0)
    }

    fn wall(&self) -> Duration {
        Duration::ZERO
    }

    fn topic(&self, _: &str) -> Result<TopicRef, String> {
        Err(NOT_THERE.to_owned())
    }

    fn generation(&self, _: &str) -> u32 {
        0
    }

    fn get(&self, _: StateKey) -> Answer<Result<Option<HostRow>, HostError>> {
        Answer::Now(Err(HostError::Unavailable(NOT_THERE.to_owned())))
    }

    fn scan(&self, _: StateRange, _: u32) -> Answer<Result<HostPage, HostError>> {
        Answer::Now(Err(HostError::Unavailable(NOT_THERE.to_owned())))
    }

    fn append_now(&self, _: u32, _: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        Answer::Now(Err(HostError::Unavailable(NOT_THERE.to_owned())))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn log(&self, line: LogLine<'_>) {
        tracing::info!(place = %line.place, "{}", line.message);
    }

    fn chain(&self) -> Answer<String> {
        Answer::Now(String::new())
    }
}
