//! Requests as transactions, on a real worker and a real log in a file.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;
use weir_gateway::{Done, Idempotency, Refusal, Transactor};
use weir_log::{Driver, LogConfig, SystemClock, TopicSpec};
use weir_runtime::{
    Args, Code, FailureKind, Invocation, Limits, Origin, Reply, Session, Watchdog, Worker, WorkerOptions,
};
use weir_schema::{FunctionName, InvocationId, Partitioner, StateKey, TableName, TopicName, TraceContext};

const COUNT: &str = "local state = require 'state'
return function()
  local n = (state.get('counters', 'visits') or 0) + 1
  state.set('counters', 'visits', n)
  return n
end";
const FAIL: &str = "local state, topics = require 'state', require 'topics'
return function()
  state.set('counters', 'visits', 99)
  topics.append('visits', {a = 1})
  error('no')
end";
const NOW: &str = "local topics = require 'topics'
return function()
  local places = topics.append('visits', {{value = 1}}, {immediate = true})
  error('after offset ' .. places[1].offset)
end";

struct Fixture {
    transactor: Transactor,
    code: Arc<Code>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let driver = Driver::sqlite(folder.path().join("log.db"));
        let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await;
        let session = Arc::new(Session::new(log.expect("opened"), Arc::new(SystemClock), BTreeMap::new()));
        let name = TopicName::new("visits").expect("valid");
        let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None };
        session.log().create_topic(&spec).await.expect("created");
        session.refresh_topics(|_| true).await.expect("listed");
        let options = WorkerOptions::new(Watchdog::start().expect("a thread"));
        let worker = Rc::new(Worker::new(&options).expect("a VM"));
        let files = [
            ("app/count.lua", COUNT),
            ("app/fail.lua", FAIL),
            ("app/now.lua", NOW),
            ("app/forever.lua", "return function() while true do end end"),
        ];
        let code = Arc::new(Code::from_sources(files));
        Self { transactor: Transactor { worker, session }, code, _folder: folder }
    }

    async fn run(&self, function: &str, key: Option<&Idempotency>, limits: Limits, dry: bool) -> Done {
        let invocation = Rc::new(Invocation {
            id: InvocationId(1),
            function: FunctionName::new(function).expect("valid"),
            args: Args::None,
            hops: 0,
            attempt: 1,
            trace: TraceContext::root(1, 2, false),
            origin: Origin::Call,
            replay: None,
            limits,
        });
        let trace = TraceContext::root(1, 1, false);
        self.transactor.run(&self.code, &invocation, key, trace, dry).await
    }

    async fn visits(&self) -> Option<String> {
        let table = TableName::new("counters").expect("valid");
        let key = StateKey { table, generation: 0, key: "visits".into() };
        let row = self.transactor.session.log().get(&[key]).await.expect("read").pop().flatten();
        row.map(|r| String::from_utf8(r.value.to_vec()).expect("UTF-8"))
    }

    async fn events(&self) -> u64 {
        self.transactor.session.log().topics().await.expect("listed")[0].tail[0].0
    }
}

fn value(done: &Done) -> String {
    match &done.result {
        Ok(Reply::Value(json)) => String::from_utf8(json.to_vec()).expect("UTF-8"),
        other => panic!("no value: {other:?}"),
    }
}

#[tokio::test]
async fn of_many_that_read_and_write_one_row_none_is_lost() {
    let local = LocalSet::new();
    local
        .run_until(async {
            let fixture = Rc::new(Fixture::new().await);
            let runs = (0..8).map(|_| {
                let fixture = fixture.clone();
                tokio::task::spawn_local(async move {
                    value(&fixture.run("count", None, Limits::default(), false).await)
                })
            });
            let mut seen = Vec::new();
            for run in runs.collect::<Vec<_>>() {
                seen.push(run.await.expect("ran").parse::<u32>().expect("a number"));
            }
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(fixture.visits().await.as_deref(), Some("8"));
        })
        .await;
}

#[tokio::test]
async fn a_failed_run_leaves_no_trace() {
    let fixture = Fixture::new().await;
    let done = fixture.run("fail", None, Limits::default(), false).await;
    assert!(matches!(done.result, Err(Refusal::Failed(f)) if f.kind == FailureKind::Raised));
    assert_eq!((fixture.visits().await, fixture.events().await), (None, 0));
}

#[tokio::test]
async fn an_immediate_append_stays_though_the_run_fails() {
    let fixture = Fixture::new().await;
    let done = fixture.run("now", None, Limits::default(), false).await;
    assert!(matches!(done.result, Err(Refusal::Failed(f)) if f.message.contains("after offset 0")));
    assert_eq!(fixture.events().await, 1);
}

#[tokio::test]
async fn twins_with_one_key_run_once_in_effect() {
    let fixture = Fixture::new().await;
    let key =
        |body: &str| Idempotency::new(&FunctionName::new("count").expect("valid"), "k", &[body.as_bytes()]);
    let (first, same) = (key("a"), key("a"));
    let (one, two) = tokio::join!(
        fixture.run("count", Some(&first), Limits::default(), false),
        fixture.run("count", Some(&same), Limits::default(), false),
    );
    assert_eq!((value(&one), value(&two)), ("1".into(), "1".into()));
    assert!(one.replayed != two.replayed, "one ran, and the other found its reply");
    let other = fixture.run("count", Some(&key("b")), Limits::default(), false).await;
    assert!(matches!(other.result, Err(Refusal::KeyReused)));
    assert_eq!(fixture.visits().await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_dry_run_commits_nothing_and_says_what_it_would() {
    let fixture = Fixture::new().await;
    let done = fixture.run("count", None, Limits::default(), true).await;
    assert_eq!((value(&done), done.effects.writes.len()), ("1".into(), 1));
    assert_eq!(fixture.visits().await, None);
}

#[tokio::test]
async fn a_function_that_runs_too_long_is_told_from_a_commit_that_does() {
    let fixture = Fixture::new().await;
    let limits = Limits { wall: Duration::from_millis(50), ..Limits::default() };
    let done = fixture.run("forever", None, limits, false).await;
    assert!(matches!(done.result, Err(Refusal::Failed(f)) if f.kind == FailureKind::Wall));
}
