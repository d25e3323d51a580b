//! One Luau VM: set up once, sealed, and asked for fresh instances of functions.

use crate::code::CodeFile;
use crate::heap::Heap;
use crate::interrupt::{self, Arm};
use crate::json::{Cjson, Json};
use crate::memory::Memory;
use crate::run::{Frame, Run};
use crate::turns::Turns;
use crate::watchdog::Pulse;
use crate::{Code, WorkerOptions, modules};
use foldhash::HashMap;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Thread, Value};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use weir_library::{Chance, Services};
use weir_schema::FunctionName;

/// How many coroutines are kept to be used again: about as many as functions run at once on a busy worker.
const RESTING_THREADS: usize = 64;

/// A VM and what Rust holds of it.
#[derive(Debug)]
pub(crate) struct Vm {
    // before `lua`: the watchdog must have let go of the VM when it is closed
    pub(crate) pulse: Rc<Pulse>,
    pub(crate) shared: Rc<Shared>,
    pub(crate) lua: Lua,
}

/// What host functions need of their VM. Holds no strong reference to it: it is part of it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) heap: Rc<Heap>,
    pub(crate) json: Json,
    pub(crate) response: Table,
    pub(crate) services: Arc<Services>,
    /// Random numbers that nobody can tell.
    pub(crate) chance: RefCell<Chance>,
    drive: RefCell<Option<(Function, Function)>>,
    /// Weir's modules by name.
    natives: RefCell<Option<Table>>,
    /// Every environment looks further here.
    base: RefCell<Option<Table>>,
    mains: RefCell<HashMap<u128, Function>>,
    categories: RefCell<VecDeque<u8>>,
    loading: Table,
    /// What a coroutine yields when it waits for the host.
    waits: Table,
    /// Coroutines that have ended, to be used again.
    threads: RefCell<Vec<Thread>>,
    pub(crate) turns: Rc<Turns>,
    /// How often a piece of garbage was collected.
    pub(crate) pieces: Cell<u64>,
    /// Whether a chunk is being made of bytecode: the engine looks its globals up then.
    is_preparing: Cell<bool>,
}

impl Vm {
    pub(crate) fn new(options: &WorkerOptions) -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::new())?;
        let heap = Heap::new(options.memory);
        let json = Json::new(&lua, heap.clone())?;
        let response = lua.create_table()?;
        response.raw_set("__metatable", "response")?;
        response.set_readonly(true);
        let loading = lua.create_table()?;
        loading.set_readonly(true);
        let shared = Rc::new(Shared {
            heap,
            json,
            response,
            services: options.services.clone(),
            chance: RefCell::new(Chance::of_system().map_err(mlua::Error::external)?),
            drive: RefCell::default(),
            natives: RefCell::default(),
            base: RefCell::default(),
            mains: RefCell::default(),
            categories: RefCell::new((1..=254).collect()),
            loading,
            waits: lua.create_table()?,
            threads: RefCell::default(),
            turns: Rc::default(),
            pieces: Cell::default(),
            is_preparing: Cell::default(),
        });
        let globals = lua.globals();
        // with `_G` in the base, loading code would bind it to the base once and for all
        globals.raw_remove("_G")?;
        let host = modules::install(&lua, &shared)?;
        let prelude = lua.load(include_str!("vm/prelude.lua")).set_name("=weir");
        let (drive, evaluate, natives) = prelude.call((host, &shared.waits, interrupt::preempted()))?;
        lua.sandbox(true)?;
        let base = lua.create_table()?;
        let globals = lua.globals();
        globals.set_readonly(true);
        base.raw_set("__index", globals)?;
        base.set_readonly(true);
        *shared.drive.borrow_mut() = Some((drive, evaluate));
        *shared.natives.borrow_mut() = Some(natives);
        *shared.base.borrow_mut() = Some(base);
        let pulse = Rc::new(options.watchdog.watch(Arm::of(&lua)));
        Ok(Self { pulse, shared, lua })
    }

    /// Lends a category of memory: the one that has rested longest.
    pub(crate) fn lend_memory(&self) -> Memory {
        // 255 is shared by those that come when 254 invocations are under way
        let category = self.shared.categories.borrow_mut().pop_front().unwrap_or(255);
        Memory::new(category, interrupt::bytes_of(&self.lua, category))
    }

    pub(crate) fn return_memory(&self, memory: &Memory) {
        if memory.category != 255 {
            self.shared.categories.borrow_mut().push_back(memory.category);
        }
    }
}

impl Shared {
    /// Runs a main chunk and the function that it returns: see the prelude.
    pub(crate) fn drive(&self) -> Function {
        self.drive.borrow().as_ref().expect("set when the VM was made").0.clone()
    }

    /// Runs a main chunk alone.
    pub(crate) fn evaluate(&self) -> Function {
        self.drive.borrow().as_ref().expect("set when the VM was made").1.clone()
    }

    /// One of Weir's modules; nil if there is none of this name.
    pub(crate) fn native(&self, name: &str) -> mlua::Result<Value> {
        self.natives.borrow().as_ref().map_or(Ok(Value::Nil), |natives| natives.raw_get(name))
    }

    /// Marks a module that is being loaded.
    pub(crate) fn loading(&self) -> &Table {
        &self.loading
    }

    pub(crate) fn is_preparing(&self) -> bool {
        self.is_preparing.get()
    }

    /// What a coroutine yields when it waits for the host.
    pub(crate) fn waits(&self) -> &Table {
        &self.waits
    }

    /// One piece of a collection of the VM's garbage; whether it was the last one.
    pub(crate) fn collect_piece(&self, lua: &Lua) -> bool {
        let _lifted = self.heap.lift(lua);
        self.pieces.set(self.pieces.get() + 1);
        interrupt::collect_piece(lua)
    }

    /// A coroutine that will run `driver`.
    pub(crate) fn lend_thread(&self, lua: &Lua, driver: &Function) -> mlua::Result<Thread> {
        let rested = self.threads.borrow_mut().pop();
        let Some(thread) = rested else { return lua.create_thread(driver.clone()) };
        thread.reset(driver.clone())?;
        Ok(thread)
    }

    /// Takes back a coroutine that has ended well.
    pub(crate) fn return_thread(&self, thread: &Thread) {
        let mut threads = self.threads.borrow_mut();
        if threads.len() < RESTING_THREADS {
            threads.push(thread.clone());
        }
    }

    /// A frame for a function, with globals of its own.
    pub(crate) fn frame(&self, lua: &Lua, function: FunctionName) -> mlua::Result<Frame> {
        // room for `_G`: to grow costs as much as to make it
        let env = lua.create_table_with_capacity(0, 1)?;
        env.set_metatable(self.base.borrow().clone())?;
        env.raw_set("_G", &env)?;
        env.set_safeenv(true);
        Ok(Frame {
            function,
            may_yield: true,
            env,
            loaded: None,
            has_replaced: false,
            raised: None,
            cjson: Cjson::default(),
            shape: None,
        })
    }

    /// A file's main chunk as new: no upvalue, no global is shared with another instance.
    pub(crate) fn instance(
        &self,
        lua: &Lua,
        code: &Code,
        file: &CodeFile,
        env: &Table,
    ) -> mlua::Result<Function> {
        let main = self.mains.borrow().get(&file.hash).cloned();
        let main = match main {
            Some(main) => main,
            None => self.load(lua, code, file)?,
        };
        let instance = main.deep_clone()?;
        instance.set_environment(env.clone())?;
        Ok(instance)
    }

    /// Loads a file, once per version of it.
    fn load(&self, lua: &Lua, code: &Code, file: &CodeFile) -> mlua::Result<Function> {
        let bytecode = file.compiled.as_ref().map_err(|e| mlua::Error::external(e.clone()))?;
        let chunk = lua.load(&bytecode[..]).set_mode(mlua::chunk::ChunkMode::Binary);
        self.is_preparing.set(true);
        let main = chunk.set_name(format!("={}", file.path)).into_function();
        self.is_preparing.set(false);
        let main = main?;
        let mut mains = self.mains.borrow_mut();
        let hashes = code.hashes();
        // two versions side by side are common (a reload, a deploy); what is older goes
        if mains.len() > 2 * hashes.len() + 64 {
            mains.retain(|hash, _| hashes.contains(hash));
        }
        mains.insert(file.hash, main.clone());
        Ok(main)
    }
}

/// The run that executes; host functions are only reached from one.
pub(crate) fn running() -> mlua::Result<Rc<Run>> {
    interrupt::current().ok_or_else(|| mlua::Error::runtime("no invocation is running"))
}
