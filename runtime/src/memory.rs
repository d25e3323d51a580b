//! What one invocation holds of its VM's memory, and how what it has dropped is collected.
//!
//! A collection of the whole heap takes as long as thousands of small functions. So who is past its limit waits until it
//! is known what of that is garbage, and who has failed of it until it is gone; meanwhile the heap is collected in pieces,
//! each in a turn of the offender's.

use crate::interrupt;
use crate::run::Run;
use crate::vm::Shared;
use mlua::Lua;
use std::cell::Cell;
use std::time::Instant;
use weir_library::thread_time;

/// What remains of an invocation when its garbage is gone: less than this.
const REMAINS: usize = 1 << 20;

/// A category of memory, lent to one invocation.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) category: u8,
    /// What was allocated for the category when it was lent: garbage of earlier invocations.
    pub(crate) base: usize,
    pub(crate) peak: Cell<usize>,
    garbage: Cell<Garbage>,
}

/// Whether what is held past the limit may be garbage.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Garbage {
    #[default]
    Possible,
    /// The limit is passed, and the invocation waits for a collection.
    Awaited,
    /// What was garbage is gone, and nothing has run since.
    Gone,
}

impl Memory {
    pub(crate) fn new(category: u8, base: usize) -> Self {
        Self { category, base, peak: Cell::default(), garbage: Cell::default() }
    }

    pub(crate) fn note(&self, bytes: usize) -> usize {
        let used = bytes.saturating_sub(self.base);
        self.peak.set(self.peak.get().max(used));
        used
    }

    /// Bytes that are held, garbage included.
    pub(crate) fn used(&self, lua: &Lua) -> usize {
        self.note(interrupt::bytes_of(lua, self.category))
    }

    /// Whether the invocation goes on only when garbage has been collected.
    pub(crate) fn awaits_collection(&self) -> bool {
        self.garbage.get() == Garbage::Awaited
    }

    /// Whether nothing has run since garbage was collected: what is held is no garbage.
    pub(crate) fn is_collected(&self) -> bool {
        self.garbage.get() == Garbage::Gone
    }

    /// Whether more than `limit` is held in the coroutine `state` that is not garbage. Where that is not known, it is if
    /// the coroutine `can_wait` for it, and is made to; else everything is collected at once.
    pub(crate) fn is_past(&self, limit: usize, state: usize, can_wait: bool, collect: impl FnOnce()) -> bool {
        let is_collected = self.garbage.replace(Garbage::Possible) == Garbage::Gone;
        let holds_more = || self.note(interrupt::bytes_at(state, self.category)) > limit;
        if is_collected || !holds_more() {
            return is_collected && holds_more();
        }
        if can_wait {
            self.garbage.set(Garbage::Awaited);
            return false;
        }
        collect();
        holds_more()
    }
}

/// Collects until what `run` holds is within its limit, or is no garbage. `function` is whose turns that takes.
pub(crate) async fn collect_for(lua: &Lua, shared: &Shared, run: &Run, function: u128) {
    collect(lua, shared, run, function, run.limits().memory).await;
    run.memory().garbage.set(Garbage::Gone);
}

/// Collects what `run`, which has ended, has left: the engine does not collect in need, and it must not be the next one's
/// trouble.
pub(crate) async fn collect_after(lua: &Lua, shared: &Shared, run: &Run, function: u128) {
    collect(lua, shared, run, function, run.limits().memory.min(REMAINS)).await;
}

async fn collect(lua: &Lua, shared: &Shared, run: &Run, function: u128, enough: usize) {
    // a collection that was under way may have met what was dropped later
    let mut to_come = 2;
    while to_come > 0 && run.memory().used(lua) > enough && !run.left().is_zero() {
        let began = thread_time();
        let is_whole = shared.collect_piece(lua);
        let ran = thread_time().saturating_sub(began);
        to_come -= u32::from(is_whole);
        run.charge(ran);
        shared.turns.preempted(function, Instant::now(), ran);
        shared.turns.clone().next().await;
    }
}
