//! A host made of memory, for tests.

pub mod costs;

use crate::{
    Answer, Args, Code, FailureKind, Host, HostError, HostPage, HostRow, Invocation, Limits, LogLevel,
    LogLine, Origin, Outcome, Reply, TopicRef, Watchdog, Worker, WorkerOptions,
};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_library::{Sent, Services};
use weir_schema::{
    At, FunctionName, InvocationId, Millis, Offset, Partitioner, Records, StateKey, StateRange, TopicId,
    TopicName, TraceContext,
};

/// A world whose every part a test can set and look at.
#[derive(Default, Debug)]
pub struct TestHost {
    /// The clock.
    pub now: Cell<i64>,
    /// The real clock: nanoseconds from 1970.
    pub wall: Cell<u64>,
    /// Rows by table and key.
    pub rows: RefCell<BTreeMap<(String, Bytes), HostRow>>,
    /// Generations of tables; 0 where none is set.
    pub generations: RefCell<HashMap<String, u32>>,
    /// What `os.getenv` sees.
    pub env: RefCell<HashMap<String, String>>,
    /// Level, message, fields and place of each line.
    pub lines: RefCell<Vec<(LogLevel, String, String, String)>>,
    /// Requests that were sent: the callee that sent each, its method, host, path, and the answer's status.
    pub sent: RefCell<Vec<(u64, String, Option<u16>)>>,
    /// Keys that were read.
    pub reads: RefCell<Vec<String>>,
    /// Immediate appends: their numbers and events.
    pub immediate: RefCell<Vec<(u32, Records)>>,
    /// Whether every answer takes a turn of the reactor.
    pub is_slow: Cell<bool>,
    /// How long every question keeps the thread, before its answer.
    pub busy_for: Cell<Duration>,
    /// How long the thread does not run at every question, as if others had taken the machine.
    pub still_for: Cell<Duration>,
    /// Whether no answer ever comes.
    pub is_stuck: Cell<bool>,
    /// What every read answers instead.
    pub error: RefCell<Option<HostError>>,
}

impl TestHost {
    /// A host without rows, whose topics are `orders` (4 partitions) and `emails` (1).
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Puts a row that never expires.
    pub fn put(&self, table: &str, key: &str, value: &str) {
        self.put_until(table, key, value, None);
    }

    /// Puts a row.
    pub fn put_until(&self, table: &str, key: &str, value: &str, expires: Option<Millis>) {
        let key = (table.to_owned(), Bytes::copy_from_slice(key.as_bytes()));
        let row = HostRow { value: Bytes::copy_from_slice(value.as_bytes()), expires };
        self.rows.borrow_mut().insert(key, row);
    }

    /// The messages that were logged.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        self.lines.borrow().iter().map(|l| l.1.clone()).collect()
    }

    fn answer<T: 'static>(&self, value: T) -> Answer<Result<T, HostError>> {
        std::thread::sleep(self.still_for.get());
        let asked = Instant::now();
        while asked.elapsed() < self.busy_for.get() {
            std::hint::spin_loop();
        }
        if let Some(error) = &*self.error.borrow() {
            return Answer::Now(Err(error.clone()));
        }
        if self.is_stuck.get() {
            return Answer::Later(Box::pin(std::future::pending()));
        }
        if self.is_slow.get() {
            return Answer::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(value)
            }));
        }
        Answer::Now(Ok(value))
    }
}

impl Host for TestHost {
    fn now(&self) -> Millis {
        Millis(self.now.get())
    }

    fn wall(&self) -> Duration {
        Duration::from_nanos(self.wall.get())
    }

    fn topic(&self, name: &str) -> Result<TopicRef, String> {
        let (id, partitions) = match name {
            "orders" => (1, 4),
            "emails" => (2, 1),
            _ => return Err(format!("topic {name:?} is not declared: add it to `topics: [{name}]`")),
        };
        let name = TopicName::new(name).expect("well-formed");
        Ok(TopicRef { name, id: TopicId(id), partitions, partitioner: Partitioner::Murmur2 })
    }

    fn generation(&self, table: &str) -> u32 {
        self.generations.borrow().get(table).copied().unwrap_or(0)
    }

    fn get(&self, key: StateKey) -> Answer<Result<Option<HostRow>, HostError>> {
        let shown = String::from_utf8_lossy(&key.key).into_owned();
        self.reads.borrow_mut().push(format!("{}@{}/{shown}", key.table, key.generation));
        let row = self.rows.borrow().get(&(key.table.to_string(), key.key)).cloned();
        self.answer(row.and_then(|row| row.live(self.now())))
    }

    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>> {
        let rows = self.rows.borrow();
        let inside = rows.iter().filter(|((table, key), _)| {
            let row = StateKey { table: range.table.clone(), generation: range.generation, key: key.clone() };
            *table == range.table.as_str() && range.contains(&row)
        });
        let live =
            inside.filter_map(|((_, key), row)| Some((key.clone(), row.clone().live(self.now())?.value)));
        let mut page: Vec<_> = live.collect();
        let is_last = page.len() <= limit as usize;
        page.truncate(limit as usize);
        self.answer(HostPage { rows: page, is_last })
    }

    fn append_now(&self, n: u32, records: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        let places = (0..).zip(records.iter()).map(|(i, r)| (r.meta.at, Offset(i))).collect();
        self.immediate.borrow_mut().push((n, records));
        self.answer(places)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.borrow().get(name).cloned()
    }

    fn log(&self, line: LogLine<'_>) {
        let fields = String::from_utf8_lossy(&line.fields).into_owned();
        self.lines.borrow_mut().push((
            line.level,
            line.message.into_owned(),
            fields,
            line.place.into_owned(),
        ));
    }

    fn sent(&self, parent: u64, request: &Sent<'_>) {
        let Sent { method, host, path, status, .. } = request;
        self.sent.borrow_mut().push((parent, format!("{method} {host} {path}"), *status));
    }

    fn chain(&self) -> Answer<String> {
        Answer::Now("orders/0/17 ← on_order ← orders/0/16".to_owned())
    }
}

/// A worker, a project and a host.
#[derive(Debug)]
pub struct Bench {
    /// The worker.
    pub worker: Worker,
    /// The project.
    pub code: Arc<Code>,
    /// The host.
    pub host: Rc<TestHost>,
}

impl Bench {
    /// A project of these sources by path, on a worker of its own.
    #[must_use]
    pub fn new(sources: &[(&str, &str)]) -> Self {
        Self::with_services(sources, Services::default())
    }

    /// The same, with services of the test's own.
    #[must_use]
    pub fn with_services(sources: &[(&str, &str)], services: Services) -> Self {
        let options = WorkerOptions::new(Watchdog::start().expect("a thread"));
        let worker = Worker::new(&WorkerOptions { services: Arc::new(services), ..options }).expect("a VM");
        Self { worker, code: Arc::new(Code::from_sources(sources.iter().copied())), host: TestHost::new() }
    }

    /// Runs `app/main.lua` with JSON arguments.
    pub async fn main(&self, args: &str) -> Outcome {
        self.run(&invocation("main", args)).await
    }

    /// Runs an invocation.
    pub async fn run(&self, invocation: &Invocation) -> Outcome {
        self.worker.run(&self.code, invocation, self.host.clone()).await
    }
}

/// An invocation as a command makes it.
#[must_use]
pub fn invocation(function: &str, args: &str) -> Invocation {
    Invocation {
        id: InvocationId(1),
        function: FunctionName::new(function).expect("well-formed"),
        args: if args.is_empty() { Args::None } else { Args::Json(Bytes::copy_from_slice(args.as_bytes())) },
        hops: 0,
        attempt: 1,
        trace: TraceContext::root(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331, true),
        origin: Origin::Call,
        replay: None,
        limits: Limits::default(),
    }
}

/// The JSON text of a result.
///
/// # Panics
/// The invocation failed, or made a response of its own.
#[must_use]
pub fn value(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(Reply::Value(json)) => String::from_utf8_lossy(json).into_owned(),
        other => panic!("no value: {other:?}"),
    }
}

/// The value of `app/main.lua`, whose body is `source`.
///
/// # Errors
/// Why it failed: the kind and the words.
pub async fn main_of(source: &str) -> Result<String, (FailureKind, String)> {
    let bench = Bench::new(&[("app/main.lua", source)]);
    let outcome = bench.main("").await;
    match outcome.result {
        Ok(_) => Ok(value(&outcome)),
        Err(failure) => Err((failure.kind, failure.message)),
    }
}
