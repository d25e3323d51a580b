//! What keeps functions apart, and what each part of it costs: each is run alone, as an invocation runs it.

use super::{Bench, TestHost, invocation};
use crate::json::Style;
use crate::run::Run;
use crate::vm::Vm;
use crate::{Code, Limits, Watchdog, WorkerOptions, interrupt};
use mlua::{Function, Thread, Value};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use weir_schema::FunctionName;

const ROUNDS: usize = 9;
const TIMES: u32 = 10_000;

/// A function that does nothing, and one that computes for some milliseconds.
const NOTHING: &str = "return function() return 'hello' end";
const LOOP: &str = "return function() local x = 0 for i = 1, 2e6 do x = x + i % 7 end return x end";

/// Nanoseconds of parts of one invocation.
#[derive(Debug)]
pub struct Costs {
    /// Of a whole invocation of a function that does nothing.
    pub whole: f64,
    /// Of what keeps it apart from others, by name.
    pub parts: Vec<(&'static str, f64)>,
    /// Of a loop that lets others in each millisecond, and of the same without any of that.
    pub computing: (f64, f64),
}

/// Measures them, on this thread.
///
/// # Panics
/// There is no memory for a VM, or no thread.
#[must_use]
pub fn measure() -> Costs {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let nothing = Bench::new(&[("app/main.lua", NOTHING)]);
    let whole = nanos(TIMES, || drop(runtime.block_on(nothing.main(""))));
    let looping = Bench::new(&[("app/main.lua", LOOP)]);
    let mut patient = invocation("main", "");
    patient.limits = Limits { cpu: Duration::from_secs(60), ..Limits::default() };
    let apart = nanos(3, || drop(runtime.block_on(looping.run(&patient))));
    let parts = Parts::new();
    let plain: Function = parts.vm.lua.load(LOOP).call(()).expect("it is Lua");
    let alone = nanos(3, || drop(plain.call::<Value>(()).expect("it returns")));
    Costs { whole, parts: parts.measure(), computing: (apart, alone) }
}

/// Nanoseconds of one piece of work: the median of rounds.
fn nanos(times: u32, mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            (0..times).for_each(|_| work());
            began.elapsed().as_nanos() as f64 / f64::from(times)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

struct Parts {
    vm: Vm,
    code: Arc<Code>,
    name: FunctionName,
    run: Rc<Run>,
    function: Function,
    thread: Thread,
}

impl Parts {
    fn new() -> Self {
        let vm = Vm::new(&WorkerOptions::new(Watchdog::start().expect("a thread"))).expect("memory for a VM");
        let code = Arc::new(Code::from_sources([("app/main.lua", NOTHING)]));
        let (host, pulse, memory) = (TestHost::new(), vm.pulse.clone(), vm.lend_memory());
        let run = Run::new(code.clone(), Rc::new(invocation("main", "")), host, pulse, memory);
        let function: Function = vm.lua.load(NOTHING).call(()).expect("it is Lua");
        let thread = vm.lua.create_thread(function.clone()).expect("memory for a coroutine");
        Self { vm, code, name: invocation("main", "").function, run, function, thread }
    }

    fn measure(&self) -> Vec<(&'static str, f64)> {
        let call = nanos(TIMES, || drop(self.function.call::<Value>(()).expect("it returns")));
        vec![
            ("globals and modules of its own", nanos(TIMES, || self.globals())),
            ("a coroutine of its own", (nanos(TIMES, || self.coroutine()) - call).max(0.0)),
            ("memory counted and limited", nanos(TIMES, || self.memory())),
            ("time counted, and preemption", nanos(TIMES, || self.slice())),
            ("arguments and result as copies (JSON of 300 bytes)", nanos(TIMES, || self.copies())),
        ]
    }

    fn globals(&self) {
        let (shared, lua) = (&self.vm.shared, &self.vm.lua);
        let file = self.code.function_file(&self.name).expect("it is there");
        let frame = shared.frame(lua, self.name.clone()).expect("memory for a table");
        let main = shared.instance(lua, &self.code, file, &frame.env).expect("memory for a function");
        main.call::<Function>(()).expect("it returns a function");
    }

    fn coroutine(&self) {
        let thread =
            self.vm.shared.lend_thread(&self.vm.lua, &self.function).expect("memory for a coroutine");
        thread.resume::<Value>(()).expect("it returns");
        self.vm.shared.return_thread(&thread);
    }

    fn memory(&self) {
        let memory = self.vm.lend_memory();
        interrupt::set_category(&self.thread, memory.category);
        drop(self.vm.shared.heap.hold(&self.vm.lua));
        memory.used(&self.vm.lua);
        self.vm.return_memory(&memory);
    }

    fn slice(&self) {
        self.run.begin_slice(Waker::noop()).end();
        self.run.judge_slices();
    }

    fn copies(&self) {
        const EVENT: &str = r#"{"id":"o-17","customer":"c-4","items":[{"sku":"a-100","qty":1,"price":2.5},{"sku":"b-200","qty":3,"price":7},{"sku":"c-300","qty":2,"price":4}],"note":"leave it at the door, please","paid":true,"address":{"street":"Long Road 17","town":"Weir","code":"12345"},"tags":["new","fragile"],"at":1700000000000}"#;
        let (json, lua) = (&self.vm.shared.json, &self.vm.lua);
        let parsed = json.parse(lua, EVENT.as_bytes()).expect("memory for a table");
        let value = parsed.expect("it is JSON").value;
        json.to_vec(lua, &value, Style::Strict).expect("memory for a text").expect("it has a JSON form");
    }
}
