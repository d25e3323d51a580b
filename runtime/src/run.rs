//! One invocation while it runs: its callees, what it did, what it used, and whether it must end.

use crate::failure::Level;
use crate::interrupt;
use crate::journal::{Journal, Mark};
use crate::json::Cjson;
use crate::memory::Memory;
use crate::meter::Began;
use crate::watchdog::{Pulse, SLICE};
use crate::{Code, EventContext, Failure, FailureKind, Host, HostError, Invocation, Limits, Origin};
use mlua::{MultiValue, Table, Value};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use weir_library::{Chance, Waiting, thread_time};
use weir_schema::FunctionName;

pub(crate) use weir_library::Answer as Answered;

/// What the function gets: `true` and values, or `false` and an error.
pub(crate) type Settled = (bool, Value, MultiValue);

/// What the interrupt does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Continue,
    Disarm,
    Yield,
    End,
}

/// An error as it was raised.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) value: Value,
    pub(crate) stack: Vec<Level>,
}

/// One function of the invocation: the one that was asked for, or a callee by `flow`.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) function: FunctionName,
    /// Whether its coroutine may yield when its slice is over: not below a C call that cannot.
    pub(crate) may_yield: bool,
    pub(crate) env: Table,
    /// What `require` has loaded, by path, once it was asked.
    pub(crate) loaded: Option<Table>,
    /// Whether `package.loaded` was written to.
    pub(crate) has_replaced: bool,
    pub(crate) raised: Option<Raised>,
    /// What it has set of `cjson`.
    pub(crate) cjson: Cjson,
    /// What it answers by `ngx`.
    pub(crate) shape: Option<Table>,
}

impl Frame {
    /// See the field; made when it is asked for, since most functions require nothing.
    pub(crate) fn loaded(&mut self, lua: &mlua::Lua) -> mlua::Result<Table> {
        if let Some(loaded) = &self.loaded {
            return Ok(loaded.clone());
        }
        let loaded = lua.create_table()?;
        Ok(self.loaded.insert(loaded).clone())
    }
}

pub(crate) struct Run {
    pub(crate) code: Arc<Code>,
    pub(crate) invocation: Rc<Invocation>,
    pub(crate) host: Rc<dyn Host>,
    pub(crate) journal: RefCell<Journal>,
    pub(crate) started: Instant,
    /// The call by `flow` that is under way; 0: none.
    pub(crate) calling: Cell<u64>,
    /// Immediate appends so far.
    pub(crate) immediate: Cell<u32>,
    /// Appends without a key so far.
    pub(crate) keyless: Cell<u32>,
    /// Requests so far that may change something.
    pub(crate) requests: Cell<u32>,
    /// The random numbers of its event, once they are asked for.
    chance: RefCell<Option<Chance>>,
    /// Those of `math.random` after `math.randomseed`.
    pub(crate) dice: RefCell<Option<Chance>>,
    frames: RefCell<Vec<Frame>>,
    /// The failure that ends the invocation, whatever the function does about it.
    doom: RefCell<Option<Failure>>,
    /// What each frame waits for, outermost first; none while it is polled.
    waiting: RefCell<Vec<Option<Waiting>>>,
    /// Of whoever polls the outermost frame: host functions poll what they leave with it once.
    waker: RefCell<Option<Waker>>,
    pulse: Rc<Pulse>,
    cpu: Cell<Duration>,
    slice: Cell<Option<Began>>,
    was_preempted: Cell<bool>,
    memory: Memory,
}

impl Run {
    pub(crate) fn new(
        code: Arc<Code>,
        invocation: Rc<Invocation>,
        host: Rc<dyn Host>,
        pulse: Rc<Pulse>,
        memory: Memory,
    ) -> Rc<Self> {
        Rc::new(Self {
            code,
            invocation,
            host,
            journal: RefCell::default(),
            started: Instant::now(),
            calling: Cell::new(0),
            immediate: Cell::new(0),
            keyless: Cell::new(0),
            requests: Cell::new(0),
            chance: RefCell::default(),
            dice: RefCell::default(),
            frames: RefCell::default(),
            doom: RefCell::default(),
            waiting: RefCell::default(),
            waker: RefCell::default(),
            pulse,
            cpu: Cell::default(),
            slice: Cell::default(),
            was_preempted: Cell::default(),
            memory,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.invocation.limits
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.cpu.get()
    }

    /// What is left of its wall time.
    pub(crate) fn left(&self) -> Duration {
        self.limits().wall.saturating_sub(self.started.elapsed())
    }

    /// Counts CPU time that was used elsewhere.
    pub(crate) fn charge(&self, cpu: Duration) {
        self.cpu.set(self.cpu.get() + cpu);
    }

    /// Whether so many more bytes may be taken at once; if not, the invocation is over. `what` asks.
    pub(crate) fn may_take(&self, lua: &mlua::Lua, bytes: f64, what: &str) -> bool {
        let limits = self.limits();
        let is_allowed = bytes <= limits.memory as f64;
        if !is_allowed {
            let failure =
                memory_failure(limits, &format!("{what} of {bytes} bytes is past the memory limit"));
            self.doom(failure.locate(&self.code, &interrupt::stack_of(lua)));
        }
        is_allowed
    }

    /// Whether a host function may go on working; if not, the invocation is over.
    pub(crate) fn may_go_on(&self, lua: &mlua::Lua) -> bool {
        if self.memory.used(lua) > self.limits().memory {
            self.doom(memory_failure(self.limits(), "memory limit exceeded"));
        } else if self.is_past_cpu(Instant::now()) {
            self.doom(cpu_failure(self.limits()));
        }
        !self.is_doomed()
    }

    // --- time and chance, as the function sees them

    /// From 1970: the time of its event, or the real one.
    pub(crate) fn now(&self) -> Duration {
        match self.seed() {
            Some(event) => Duration::from_millis(u64::try_from(event.timestamp.0).unwrap_or(0)),
            None => self.host.wall(),
        }
    }

    /// The event that its clock and its random numbers are those of.
    fn seed(&self) -> Option<&EventContext> {
        match &self.invocation.origin {
            Origin::Event(event) if self.limits().is_seeded => Some(event),
            Origin::Event(_) | Origin::Http(_) | Origin::Call => None,
        }
    }

    /// Draws from its random numbers: those of its event, else from `others`. A replay is another group and another
    /// attempt, so neither counts; but two functions of one event do not draw the same.
    pub(crate) fn draw<T>(&self, others: &RefCell<Chance>, draw: impl FnOnce(&mut Chance) -> T) -> T {
        let Some(event) = self.seed() else { return draw(&mut others.borrow_mut()) };
        let mut chance = self.chance.borrow_mut();
        draw(chance.get_or_insert_with(|| {
            Chance::of(&[
                event.topic.as_str().as_bytes(),
                &event.partition.to_le_bytes(),
                &event.offset.0.to_le_bytes(),
                &event.timestamp.0.to_le_bytes(),
                self.invocation.function.as_str().as_bytes(),
            ])
        }))
    }

    // --- frames

    pub(crate) fn depth(&self) -> usize {
        self.frames.borrow().len()
    }

    pub(crate) fn push(&self, frame: Frame) {
        self.frames.borrow_mut().push(frame);
    }

    pub(crate) fn pop(&self) -> Option<Frame> {
        self.frames.borrow_mut().pop()
    }

    /// Looks at the function that is executing.
    pub(crate) fn frame<R>(&self, look: impl FnOnce(&mut Frame) -> R) -> R {
        let mut frames = self.frames.borrow_mut();
        look(frames.last_mut().expect("Lua code runs in a frame"))
    }

    pub(crate) fn function(&self) -> FunctionName {
        self.frame(|f| f.function.clone())
    }

    pub(crate) fn mark(&self) -> Mark {
        self.journal.borrow().mark()
    }

    // --- the end of it

    /// Ends the invocation with this failure: no `pcall` outlives it.
    pub(crate) fn doom(&self, failure: Failure) {
        let mut doom = self.doom.borrow_mut();
        if doom.is_none() {
            *doom = Some(failure);
        }
        if self.slice.get().is_some() {
            self.pulse.arm().arm();
        }
    }

    /// Ends it for something that the executing function did; the text is to be raised there.
    pub(crate) fn doom_here(
        &self,
        lua: &mlua::Lua,
        kind: FailureKind,
        message: &str,
    ) -> mlua::Result<Answered> {
        let failure = Failure::new(kind, message).locate(&self.code, &interrupt::stack_of(lua));
        self.doom(failure);
        Ok(Answered::Raise(Value::String(lua.create_string(message)?)))
    }

    pub(crate) fn doom_by_host(&self, lua: &mlua::Lua, error: &HostError) -> mlua::Result<Answered> {
        let kind = match error {
            HostError::Unavailable(_) => FailureKind::Unavailable,
            HostError::Cancelled => FailureKind::Cancelled,
        };
        self.doom_here(lua, kind, &error.to_string())
    }

    pub(crate) fn is_doomed(&self) -> bool {
        self.doom.borrow().is_some()
    }

    pub(crate) fn take_doom(&self) -> Option<Failure> {
        self.doom.borrow_mut().take()
    }

    // --- waiting

    /// What the executing function gets from `answer`, if it is there.
    pub(crate) fn settle(&self, answer: Answered) -> mlua::Result<Option<Settled>> {
        let future = match settled(answer) {
            Ok(settled) => return Ok(Some(settled)),
            Err(future) => future,
        };
        let frame = self.depth() - 1;
        self.waiting.borrow_mut().resize_with(frame, || None);
        self.waiting.borrow_mut().push(Some(future));
        let waker = self.waker.borrow().clone().unwrap_or_else(|| Waker::noop().clone());
        match self.poll_waiting(frame, &mut Context::from_waker(&waker)) {
            Poll::Ready(settled) => settled.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// Polls what the frame waits for.
    pub(crate) fn poll_waiting(&self, frame: usize, cx: &mut Context<'_>) -> Poll<mlua::Result<Settled>> {
        loop {
            let future = self.waiting.borrow_mut().get_mut(frame).and_then(Option::take);
            let Some(mut future) = future else {
                return Poll::Ready(Err(mlua::Error::runtime("nothing to wait for")));
            };
            let poll = future.as_mut().poll(cx);
            let mut waiting = self.waiting.borrow_mut();
            let Poll::Ready(answer) = poll else {
                // what callees wait for stands behind it
                waiting[frame] = Some(future);
                return Poll::Pending;
            };
            waiting.truncate(frame);
            match answer.map(settled) {
                Ok(Ok(settled)) => return Poll::Ready(Ok(settled)),
                Ok(Err(next)) => waiting.push(Some(next)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Drops what is waited for: nobody asks any more, and the engine's garbage must not keep it.
    pub(crate) fn close(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        drop(waiting);
        self.frames.borrow_mut().clear();
    }

    // --- time and memory

    /// Lua code runs from now on, until the slice is dropped.
    pub(crate) fn begin_slice(self: &Rc<Self>, waker: &Waker) -> Slice<'_> {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        drop(known);
        let now = Instant::now();
        let is_long = self.cpu.get() >= SLICE;
        self.slice.set(Some(self.pulse.meter.begin(now, is_long, thread_time)));
        self.was_preempted.set(false);
        self.pulse.begin(now);
        if self.is_doomed() || self.memory.is_collected() {
            self.pulse.arm().arm();
        }
        Slice { run: self, previous: interrupt::enter(Some(self.clone())) }
    }

    /// Whether the last slice ended because it was over.
    pub(crate) fn was_preempted(&self) -> bool {
        self.was_preempted.get()
    }

    /// Ends the invocation if its slices together were too long: one that yields again and again is never in a slice
    /// for long enough to be interrupted.
    pub(crate) fn judge_slices(&self) {
        if self.cpu.get() > self.limits().cpu && !self.is_doomed() {
            self.doom(cpu_failure(self.limits()));
        }
    }

    /// What the interrupt does in the coroutine `state`.
    pub(crate) fn judge(
        &self,
        state: usize,
        may_yield: impl FnOnce() -> bool,
        stack: impl FnOnce() -> Vec<Level>,
        collect: impl FnOnce(),
    ) -> Verdict {
        if self.is_doomed() {
            return Verdict::End;
        }
        let Ok(frames) = self.frames.try_borrow() else { return Verdict::Continue };
        let can_yield = frames.last().is_some_and(|f| f.may_yield) && may_yield();
        drop(frames);
        let now = Instant::now();
        let ran = self.slice.get().map_or(Duration::ZERO, |began| began.ago(now));
        if ran < SLICE && !self.memory.is_collected() {
            // set by a watchdog that was late: for the invocation before this one
            return Verdict::Disarm;
        }
        if let Some(failure) = self.over(now, state, can_yield, collect) {
            self.doom(failure.locate(&self.code, &stack()));
            return Verdict::End;
        }
        if can_yield && ran >= SLICE {
            self.was_preempted.set(true);
            return Verdict::Yield;
        }
        // the watchdog sets it again
        Verdict::Disarm
    }

    /// The limit that has been passed.
    fn over(&self, now: Instant, state: usize, can_yield: bool, collect: impl FnOnce()) -> Option<Failure> {
        let limits = self.limits();
        if self.is_past_cpu(now) {
            return Some(cpu_failure(limits));
        }
        if self.started.elapsed() > limits.wall {
            return Some(wall_failure(limits));
        }
        let is_past = self.memory.is_past(limits.memory, state, can_yield, collect);
        is_past.then(|| memory_failure(limits, "memory limit exceeded"))
    }

    fn is_past_cpu(&self, now: Instant) -> bool {
        let left = self.limits().cpu.saturating_sub(self.cpu.get());
        let Some(began) = self.slice.get() else { return self.cpu.get() > self.limits().cpu };
        // the system is asked only where it could be
        began.ago(now) > left && self.used_since(began, now) > left
    }

    fn used_since(&self, began: Began, now: Instant) -> Duration {
        self.pulse.meter.used(began, now, thread_time)
    }
}

/// The answer as the function gets it, or what it waits for.
fn settled(answer: Answered) -> Result<Settled, Waiting> {
    match answer {
        Answered::Value(value) => Ok((true, value, MultiValue::new())),
        Answered::Values(mut values) => Ok((true, values.pop_front().unwrap_or(Value::Nil), values)),
        Answered::Raise(value) => Ok((false, value, MultiValue::new())),
        Answered::Later(future) => Err(future),
    }
}

fn cpu_failure(limits: &Limits) -> Failure {
    Failure::new(FailureKind::Cpu, format!("CPU time limit exceeded: {:?} (weir.limits.cpu)", limits.cpu))
}

/// A time in which Lua code of a run executes. Ends when it is dropped, by a panic too: the worker goes on.
#[derive(Debug)]
pub(crate) struct Slice<'r> {
    run: &'r Rc<Run>,
    previous: Option<Rc<Run>>,
}

impl Slice<'_> {
    /// Ends it; the CPU time that it took.
    pub(crate) fn end(self) -> Duration {
        let before = self.run.cpu.get();
        let run = self.run;
        drop(self);
        run.cpu.get().saturating_sub(before)
    }
}

impl Drop for Slice<'_> {
    fn drop(&mut self) {
        self.run.pulse.end();
        drop(interrupt::enter(self.previous.take()));
        if let Some(began) = self.run.slice.take() {
            self.run.charge(self.run.used_since(began, Instant::now()));
        }
    }
}

pub(crate) fn wall_failure(limits: &Limits) -> Failure {
    Failure::new(FailureKind::Wall, format!("wall time limit exceeded: {:?} (weir.limits.wall)", limits.wall))
}

pub(crate) fn memory_failure(limits: &Limits, what: &str) -> Failure {
    Failure::new(FailureKind::Memory, format!("{what}: {} bytes (weir.limits.memory)", limits.memory))
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("id", &self.invocation.id).finish_non_exhaustive()
    }
}
