//! What a VM may allocate, and when that is enforced: while Lua code runs.
//!
//! Under a limit each allocation can fail, so the engine runs every call from Rust that may allocate protected, which
//! takes ten times as long as the call. What Rust makes for a function is small, or no larger than a few times the
//! bytes that it holds already: for that the limit is lifted, but for what is [`LARGE`].

use mlua::Lua;
use std::cell::Cell;
use std::rc::Rc;

/// Values made of more bytes than this are made under the limit.
pub(crate) const LARGE: usize = 64 << 10;

/// The memory of one VM. Without a limit until [`Heap::hold`] is called.
#[derive(Debug)]
pub(crate) struct Heap {
    limit: usize,
    is_held: Cell<bool>,
}

impl Heap {
    pub(crate) fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { limit, is_held: Cell::new(false) })
    }

    /// Enforces the limit until the guard is dropped: around all that runs Lua code or makes something large.
    pub(crate) fn hold(self: &Rc<Self>, lua: &Lua) -> Guard {
        self.change(lua, true)
    }

    /// Lifts the limit until the guard is dropped: in host functions.
    pub(crate) fn lift(self: &Rc<Self>, lua: &Lua) -> Guard {
        self.change(lua, false)
    }

    /// Lifts the limit if what is to be made of `bytes` bytes is not large.
    pub(crate) fn lift_for(self: &Rc<Self>, lua: &Lua, bytes: usize) -> Guard {
        self.change(lua, bytes > LARGE)
    }

    fn change(self: &Rc<Self>, lua: &Lua, is_held: bool) -> Guard {
        let before = self.is_held.get();
        self.set(lua, is_held);
        Guard { heap: self.clone(), lua: lua.clone(), before }
    }

    fn set(&self, lua: &Lua, is_held: bool) {
        if self.is_held.replace(is_held) != is_held {
            let limit = if is_held { self.limit } else { 0 };
            lua.set_memory_limit(limit).expect("the VM is ours, with mlua's allocator");
        }
    }
}

/// Puts the limit back as it was.
#[derive(Debug)]
pub(crate) struct Guard {
    heap: Rc<Heap>,
    lua: Lua,
    before: bool,
}

impl Guard {
    /// Whether an allocation may fail now.
    pub(crate) fn is_held(&self) -> bool {
        self.heap.is_held.get()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.heap.set(&self.lua, self.before);
    }
}
