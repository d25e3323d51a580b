//! The modules of `weir-library`, and what they see of an invocation.

use super::{Call, Registry};
use crate::json::Style;
use mlua::{MultiValue, Table, Value};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_library::openresty::NATIVE;
use weir_library::{Files, MODULES, Sent, Services, Surroundings};

/// Puts the modules where the prelude finds them, to give their functions a Lua shape.
pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    let libraries = to.lua.create_table()?;
    for module in MODULES.iter().chain([&NATIVE]) {
        let installed = module.install(to.lua, &|native| {
            to.function(move |call, args: MultiValue| native(&call.lua, Rc::new(call.clone()), args))
        })?;
        let library = to.lua.create_table()?;
        library.raw_set("module", installed.module)?;
        library.raw_set("classes", installed.classes)?;
        libraries.raw_set(module.name, library)?;
    }
    to.put("libraries", libraries)
}

impl Surroundings for Call {
    fn services(&self) -> &Arc<Services> {
        &self.shared.services
    }

    fn id(&self) -> String {
        self.run.invocation.id.to_string()
    }

    fn now(&self) -> Duration {
        self.run.now()
    }

    fn wall(&self) -> Duration {
        self.run.host.wall()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.run.draw(&self.shared.chance, |chance| chance.fill(bytes));
    }

    fn env(&self, name: &str) -> Option<String> {
        self.run.host.env(name)
    }

    fn files(&self) -> Arc<dyn Files> {
        self.run.code.clone()
    }

    fn read_json(&self, text: &[u8]) -> mlua::Result<Result<Value, String>> {
        let parsed = self.shared.json.parse(&self.lua, text)?;
        Ok(parsed.map(|parsed| parsed.value).map_err(|error| error.to_string()))
    }

    fn write_json(&self, value: &Value) -> mlua::Result<Result<Vec<u8>, String>> {
        Ok(self.shared.json.to_vec(&self.lua, value, Style::Strict)?.map_err(|error| error.to_string()))
    }

    fn list(&self) -> Table {
        self.shared.json.array().clone()
    }

    fn may_take(&self, bytes: usize, what: &str) -> bool {
        self.run.may_take(&self.lua, bytes as f64, what)
    }

    fn largest(&self) -> usize {
        self.run.limits().memory
    }

    fn may_go_on(&self) -> bool {
        self.run.may_go_on(&self.lua)
    }

    fn next_request(&self) -> u32 {
        let n = self.run.requests.get();
        self.run.requests.set(n + 1);
        n
    }

    fn only_hosts(&self) -> Option<Arc<[String]>> {
        self.run.invocation.replay.as_ref().map(|replay| replay.allow_http.clone())
    }

    fn span_id(&self) -> u64 {
        fastrand::u64(1..)
    }

    fn traceparent(&self, span: u64) -> String {
        self.run.invocation.trace.child(span).to_string()
    }

    fn sent(&self, request: &Sent<'_>) {
        self.run.host.sent(self.run.calling.get(), request);
    }

    fn charge(&self, cpu: Duration) {
        self.run.charge(cpu);
    }
}
