//! Finds the tests of a project and runs them, each in an invocation of its own.

use super::host::{Left, TestHost};
use super::world::Ground;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;
use weir_runtime::{Args, Failure, Invocation, Limits, Origin, Outcome, Reply};
use weir_schema::{FunctionName, InvocationId, TraceContext};

/// The modules that tests are run with, by what `require` calls them.
pub(super) const LIBRARY: [(&str, &str); 6] = [
    ("luaunit", include_str!("lua/luaunit.lua")),
    ("weir/luaunit", include_str!("lua/luaunit.lua")),
    ("weir/pretty", include_str!("lua/pretty.lua")),
    ("weir/runner", include_str!("lua/runner.lua")),
    ("weir/run-tests", "return require \"weir/runner\""),
    ("weir/test", include_str!("lua/test.lua")),
];

/// One test that has run.
#[derive(Debug)]
pub(super) struct Ran {
    /// `test/test_orders.lua`.
    pub(super) file: String,
    /// Empty where the file itself is the test.
    pub(super) name: String,
    pub(super) end: End,
    /// What it printed.
    pub(super) output: String,
    pub(super) took: Duration,
}

#[derive(Debug)]
pub(super) enum End {
    Passed,
    Skipped(String),
    Failed(Failed),
}

/// Why a test failed.
#[derive(Debug, Default)]
pub(super) struct Failed {
    pub(super) message: String,
    /// `test/test_orders.lua:12`.
    pub(super) place: Option<String>,
    /// The source around it.
    pub(super) frame: String,
    /// From the innermost outwards.
    pub(super) stack: Vec<String>,
}

/// A test that is to run, or has in the course of being found.
#[derive(Debug)]
pub(super) enum Planned {
    Test { file: String, name: String },
    Done(Ran),
}

impl Ran {
    /// `test/test_orders.lua: TestPlace.test_total`.
    pub(super) fn full_name(&self) -> String {
        full_name(&self.file, &self.name)
    }
}

fn full_name(file: &str, name: &str) -> String {
    if name.is_empty() { file.to_owned() } else { format!("{file}: {name}") }
}

/// The tests whose full name holds one of `patterns`, or all: those of `test/test_*.lua` first. A file without tests is
/// a helper of others, and a file that ends by `os.exit` has run its tests itself.
pub(super) async fn plan(ground: &Rc<Ground>, patterns: &[String]) -> anyhow::Result<Vec<Planned>> {
    let is_meant =
        |name: &str| patterns.is_empty() || patterns.iter().any(|pattern| name.contains(pattern.as_str()));
    let code = &ground.served.code;
    let mut files: Vec<_> = code.files_in("test/").filter(|f| !f["test/".len()..].contains('/')).collect();
    files.sort_by_key(|file| (!file.starts_with("test/test_"), *file));
    let mut planned = Vec::new();
    for file in files {
        let started = Instant::now();
        let (outcome, left) = run(ground, json!({ "file": file })).await?;
        let end = match (&outcome.result, left.exit) {
            (_, Some(code)) => exited(code),
            (Ok(reply), None) => {
                let tests = value_of(reply)["tests"].as_array().cloned().unwrap_or_default();
                let names = tests.iter().filter_map(Value::as_str);
                let names = names.filter(|name| is_meant(&full_name(file, name)));
                planned
                    .extend(names.map(|name| Planned::Test { file: file.to_owned(), name: name.to_owned() }));
                continue;
            }
            (Err(failure), None) => End::Failed(Failed::of(failure)),
        };
        if is_meant(file) {
            let ran = Ran {
                file: file.to_owned(),
                name: String::new(),
                end,
                output: left.output,
                took: started.elapsed(),
            };
            planned.push(Planned::Done(ran));
        }
    }
    Ok(planned)
}

/// Runs one test.
pub(super) async fn run_test(ground: &Rc<Ground>, file: String, name: String) -> anyhow::Result<Ran> {
    let started = Instant::now();
    let (outcome, left) = run(ground, json!({ "file": file, "test": name })).await?;
    let end = match (&outcome.result, left.exit) {
        (_, Some(code)) => exited(code),
        (Ok(reply), None) => {
            let value = value_of(reply);
            match value["status"].as_str() {
                Some("skip") => End::Skipped(value["message"].as_str().unwrap_or_default().to_owned()),
                _ => End::Passed,
            }
        }
        (Err(failure), None) => End::Failed(Failed::of(failure)),
    };
    Ok(Ran { file, name, end, output: left.output, took: started.elapsed() })
}

async fn run(ground: &Rc<Ground>, args: Value) -> anyhow::Result<(Outcome, Left)> {
    ground.forget();
    let host = TestHost::new(ground.clone());
    let invocation = Invocation {
        id: InvocationId(fastrand::u128(..)),
        function: FunctionName::new("weir/run-tests")?,
        args: Args::Json(args.to_string().into()),
        hops: 0,
        attempt: 1,
        trace: TraceContext::root(fastrand::u128(..), fastrand::u64(..), false),
        origin: Origin::Call,
        replay: None,
        limits: Limits {
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(60),
            memory: 256 << 20,
            ..Limits::default()
        },
    };
    let outcome = ground.worker.run(&ground.served.code, &invocation, host.clone()).await;
    let left = host.finish().await?;
    Ok((outcome, left))
}

fn exited(code: i32) -> End {
    match code {
        0 => End::Passed,
        _ => End::Failed(Failed { message: format!("it ended with os.exit({code})"), ..Failed::default() }),
    }
}

fn value_of(reply: &Reply) -> Value {
    match reply {
        Reply::Value(json) => serde_json::from_slice(json).unwrap_or_default(),
        Reply::Response(_) => Value::Null,
    }
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        let place = failure.place.clone();
        let told = place.as_ref().and_then(|p| failure.message.strip_prefix(&format!("{p}: ")));
        Self {
            message: told.unwrap_or(&failure.message).to_owned(),
            place,
            frame: failure.frame.clone(),
            stack: failure.stack.clone(),
        }
    }
}
