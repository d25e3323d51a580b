//! `env`: the variables of the environment that functions may see.

use crate::registry::Registry;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("get", |call, key: String| Ok(call.around.env(&key)))
}
