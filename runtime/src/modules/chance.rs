//! What `os.time` and `math.random` stand on: the invocation's clock and its random numbers.

use super::Registry;
use mlua::LuaString;
use weir_library::Chance;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_plain("now", |call, (): ()| Ok(call.run.now().as_secs() as f64))?;
    to.add_plain("chance", |call, (): ()| {
        let own = call.run.dice.borrow_mut().as_mut().map(Chance::float);
        Ok(own.unwrap_or_else(|| call.run.draw(&call.shared.chance, Chance::float)))
    })?;
    to.add_plain("reseed", |call, seed: LuaString| {
        *call.run.dice.borrow_mut() = Some(Chance::of(&[&seed.as_bytes()]));
        Ok(())
    })
}
