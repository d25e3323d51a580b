//! How a module's functions come into a VM.

use crate::call::{Call, Done, Native, at_once, waiting};
use mlua::{FromLuaMulti, Function, IntoLua, IntoLuaMulti, Lua, Table};
use std::cell::RefCell;

/// A module of Weir's.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// What `require` calls it.
    pub name: &'static str,
    pub(crate) install: fn(&Registry<'_>) -> mlua::Result<()>,
}

/// The tables of one module, in one VM.
#[derive(Debug)]
pub struct Installed {
    /// What `require` returns.
    pub module: Table,
    /// The methods of what its functions return.
    pub classes: Vec<Table>,
}

/// Where functions are put: a module, or a class of it.
pub struct Registry<'a> {
    lua: &'a Lua,
    /// As error texts show it: `random.` or `random generator:`.
    prefix: String,
    /// The number that error texts give the first argument: a method's first is the object.
    first: usize,
    table: Table,
    make: &'a dyn Fn(Native) -> mlua::Result<Function>,
    classes: &'a RefCell<Vec<Table>>,
}

impl Module {
    /// Makes the module's tables; `make` gives a function its Lua form. The tables are neither frozen nor shared yet.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn install(
        &self,
        lua: &Lua,
        make: &dyn Fn(Native) -> mlua::Result<Function>,
    ) -> mlua::Result<Installed> {
        let classes = RefCell::default();
        let module = lua.create_table()?;
        let to = Registry {
            lua,
            prefix: format!("{}.", self.name),
            first: 1,
            table: module.clone(),
            make,
            classes: &classes,
        };
        (self.install)(&to)?;
        Ok(Installed { module, classes: classes.into_inner() })
    }
}

impl std::fmt::Debug for Registry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Registry<'_> {
    /// A function that answers at once.
    pub(crate) fn add<A: FromLuaMulti, R: IntoLuaMulti>(
        &self,
        name: &str,
        f: impl Fn(&Call, A) -> Done<R> + 'static,
    ) -> mlua::Result<()> {
        self.put(name, at_once(&format!("{}{name}", self.prefix), self.first, f))
    }

    /// A function that may wait.
    pub(crate) fn add_later<A: FromLuaMulti, R: IntoLuaMulti, F: Future<Output = Done<R>> + 'static>(
        &self,
        name: &str,
        f: impl Fn(Call, A) -> F + 'static,
    ) -> mlua::Result<()> {
        self.put(name, waiting(&format!("{}{name}", self.prefix), self.first, f))
    }

    /// The VM.
    pub(crate) fn lua(&self) -> &Lua {
        self.lua
    }

    /// A constant.
    pub(crate) fn set(&self, name: &str, value: impl IntoLua) -> mlua::Result<()> {
        self.table.raw_set(name, value)
    }

    /// Where the methods of what the module's functions return are put, and the metatable of that.
    pub(crate) fn class(&self, name: &str) -> mlua::Result<(Registry<'_>, Table)> {
        let (table, metatable) = (self.lua.create_table()?, self.lua.create_table()?);
        metatable.raw_set("__index", &table)?;
        metatable.set_readonly(true);
        self.classes.borrow_mut().push(table.clone());
        // error texts count a method's arguments from the one behind the object
        Ok((Registry { prefix: format!("{name}:"), first: 0, table, ..*self }, metatable))
    }

    fn put(&self, name: &str, native: Native) -> mlua::Result<()> {
        self.table.raw_set(name, (self.make)(native)?)
    }
}
