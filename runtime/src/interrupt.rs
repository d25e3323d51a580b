//! Where the engine is interrupted: slices, limits, memory by category.
//!
//! The engine calls its interrupt, where one is installed, at every loop back-edge, call and step of a pattern. The
//! pointer may be set from any thread. Three traps are avoided here: a coroutine of the function's own yields a mark (by
//! which the prelude knows that it was not the function's code), the handler stays armed once a limit is passed (so that
//! no `pcall` outlives it), and nothing is yielded or raised from inside the collector.
#![expect(unsafe_code, reason = "the engine's interrupt and its memory categories have no safe interface")]

use crate::failure::Level;
use crate::run::{Run, Verdict};
use mlua::{LightUserData, Lua, Thread, ffi};
use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicPtr, Ordering};

thread_local! {
    /// The run whose Lua code is executing on this thread.
    static CURRENT: RefCell<Option<Rc<Run>>> = const { RefCell::new(None) };
}

/// The run whose Lua code is executing; none outside of one (while the VM is being set up).
pub(crate) fn current() -> Option<Rc<Run>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes a run the current one, and returns the one before it.
pub(crate) fn enter(run: Option<Rc<Run>>) -> Option<Rc<Run>> {
    CURRENT.replace(run)
}

type Callback = unsafe extern "C-unwind" fn(*mut ffi::lua_State, c_int);

/// The interrupt of one VM, as other threads may set it.
#[derive(Debug)]
pub(crate) struct Arm(*const AtomicPtr<()>);

// SAFETY: the engine allows its interrupt to be set from any thread ("safe to set from an arbitrary thread", lua.h),
// and the accesses are atomic. The VM outlives every use: `Pulse` takes the arm from the watchdog before it is closed.
unsafe impl Send for Arm {}
// SAFETY: as above.
unsafe impl Sync for Arm {}

impl Arm {
    pub(crate) fn of(lua: &Lua) -> Self {
        // SAFETY: the callbacks stand in the VM's global state, and so live and stay as long as the VM does. An
        // optional function pointer has the layout of a pointer.
        unsafe {
            let callbacks = ffi::lua_callbacks(lua.exec_raw_lua(|raw| raw.state()));
            Self((&raw mut (*callbacks).interrupt).cast())
        }
    }

    pub(crate) fn arm(&self) {
        let handler: Callback = on_interrupt;
        // SAFETY: see `of`.
        unsafe { (*self.0).store(handler as *mut (), Ordering::Relaxed) };
    }

    pub(crate) fn disarm(&self) {
        // SAFETY: see `of`.
        unsafe { (*self.0).store(ptr::null_mut(), Ordering::Relaxed) };
    }
}

/// Its address is what a preempted coroutine yields.
static MARK: [u8; 1] = [0];

/// What a preempted coroutine yields.
pub(crate) fn preempted() -> LightUserData {
    LightUserData(MARK.as_ptr().cast_mut().cast())
}

unsafe extern "C-unwind" fn on_interrupt(l: *mut ffi::lua_State, gc: c_int) {
    // from inside the collector nothing may be raised
    if gc >= 0 {
        return;
    }
    // SAFETY: `l` is the running state. What `judge` borrows is released before anything is raised or yielded, so
    // that no destructor of ours stands in the way of the engine's unwinding.
    unsafe {
        match judge(l) {
            Verdict::Continue => {}
            Verdict::Disarm => (*ffi::lua_callbacks(l)).interrupt = None,
            Verdict::Yield => {
                (*ffi::lua_callbacks(l)).interrupt = None;
                // the engine keeps a few places free above what a function uses
                ffi::lua_pushlightuserdata(l, preempted().0);
                ffi::lua_yield(l, 1);
            }
            Verdict::End => {
                ffi::lua_rawcheckstack(l, 4);
                ffi::luaL_error(l, c"limit".as_ptr());
            }
        }
    }
}

unsafe fn judge(l: *mut ffi::lua_State) -> Verdict {
    let Some(run) = current() else { return Verdict::Disarm };
    // SAFETY: a plain question.
    let may_yield = || unsafe { ffi::lua_isyieldable(l) != 0 };
    run.judge(l as usize, may_yield, || levels(l), || collect(l))
}

/// Kilobytes of memory that a piece of a collection looks at: a fraction of a millisecond. A table is looked at as a whole.
const PIECE: c_int = 256;

/// One piece of a collection; whether it is the last one. No memory limit may hold: it allocates now and then.
pub(crate) fn collect_piece(lua: &Lua) -> bool {
    // SAFETY: no Lua code runs, and nothing that is collected runs any.
    lua.exec_raw_lua(|raw| unsafe { ffi::lua_gc(raw.state(), ffi::LUA_GCSTEP, PIECE) == 1 })
}

fn collect(l: *mut ffi::lua_State) {
    // SAFETY: allowed wherever an allocation is, which a safepoint is.
    unsafe { ffi::lua_gc(l, ffi::LUA_GCCOLLECT, 0) };
}

/// Whether the running coroutine can yield: not below a sort comparator, a metamethod or a gsub callback.
pub(crate) fn can_yield(lua: &Lua) -> bool {
    // SAFETY: a plain question.
    lua.exec_raw_lua(|raw| unsafe { ffi::lua_isyieldable(raw.state()) != 0 })
}

/// What is allocated by `thread` and the coroutines that it makes counts for `category`.
pub(crate) fn set_category(thread: &Thread, category: u8) {
    // SAFETY: sets a byte of the thread.
    unsafe { ffi::lua_setmemcat(thread.state(), c_int::from(category)) };
}

/// What host functions allocate while a function waits for them counts for `category`, until the guard is dropped.
pub(crate) fn count_for(lua: &Lua, category: u8) -> Counting<'_> {
    set_main_category(lua, category);
    Counting(lua)
}

/// See [`count_for`].
#[derive(Debug)]
pub(crate) struct Counting<'v>(&'v Lua);

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        set_main_category(self.0, 0);
    }
}

fn set_main_category(lua: &Lua, category: u8) {
    // SAFETY: sets a byte of the state that Rust uses where no coroutine runs.
    lua.exec_raw_lua(|raw| unsafe { ffi::lua_setmemcat(raw.state(), c_int::from(category)) });
}

/// Bytes that are allocated for a category now, garbage included.
pub(crate) fn bytes_of(lua: &Lua, category: u8) -> usize {
    // SAFETY: reads a counter.
    lua.exec_raw_lua(|raw| unsafe { ffi::lua_totalbytes(raw.state(), c_int::from(category)) })
}

/// As [`bytes_of`], from inside the interrupt.
pub(crate) fn bytes_at(state: usize, category: u8) -> usize {
    // SAFETY: `state` is the running coroutine, which `judge` was called with.
    unsafe { ffi::lua_totalbytes(state as *mut ffi::lua_State, c_int::from(category)) }
}

/// The Lua levels of the running coroutine, innermost first; functions of the engine are left out.
pub(crate) fn stack_of(lua: &Lua) -> Vec<Level> {
    lua.exec_raw_lua(|raw| levels(raw.state()))
}

fn levels(l: *mut ffi::lua_State) -> Vec<Level> {
    const DEEPEST: c_int = 64;
    let mut levels = Vec::new();
    for level in 0..DEEPEST {
        // SAFETY: lua_getinfo fills what its second argument asks for; the strings live as long as the function,
        // which is on the stack.
        unsafe {
            let mut info: ffi::lua_Debug = std::mem::zeroed();
            if ffi::lua_getinfo(l, level, c"sln".as_ptr(), &raw mut info) == 0 {
                break;
            }
            let line = usize::try_from(info.currentline).unwrap_or(0);
            if line == 0 || info.short_src.is_null() {
                continue;
            }
            let text = |p: *const std::ffi::c_char| CStr::from_ptr(p).to_string_lossy().into_owned();
            let name = (!info.name.is_null()).then(|| text(info.name)).filter(|n| !n.is_empty());
            levels.push(Level { file: text(info.short_src), line, name });
        }
    }
    levels
}
