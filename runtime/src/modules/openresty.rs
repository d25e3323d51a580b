//! `ngx` and `resty.*`: Lua on top of Weir's modules, and what that needs of an invocation.

use super::Registry;
use weir_library::Surroundings as _;
use weir_library::openresty::{NGX, NGX_RE, SCRIPTS};

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    let chunk = |source: &str| to.lua.load(source).set_name("=weir").into_function();
    to.put("ngx", chunk(NGX)?)?;
    to.put("ngx_re", chunk(NGX_RE)?)?;
    let scripts = to.lua.create_table()?;
    for script in SCRIPTS {
        let entry = to.lua.create_table()?;
        entry.raw_set("chunk", chunk(script.source)?)?;
        entry.raw_set("about", script.about)?;
        scripts.raw_set(script.name, entry)?;
    }
    to.put("scripts", scripts)?;
    to.add_plain("precise_now", |call, (): ()| Ok(call.now().as_secs_f64()))?;
    // where the running function keeps what it answers by `ngx`
    to.add_plain("shape", |call, (): ()| {
        let known = call.run.frame(|f| f.shape.clone());
        let Some(shape) = known else {
            let shape = call.lua.create_table()?;
            call.run.frame(|f| f.shape = Some(shape.clone()));
            return Ok(shape);
        };
        Ok(shape)
    })
}
