//! Logs that are copied: from a file into PostgreSQL and back.

use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use weir_log::conformance::ownership::Owner;
use weir_log::conformance::places::Schema;
use weir_log::conformance::server::Server;
use weir_log::conformance::{Fixture, START, add, key, put, range, spec};
use weir_log::{
    Copied, Driver, LogConfig, LogError, ManualClock, Phase, ReadLimit, SqliteOptions, TopicSpec, copy,
};
use weir_schema::{AppName, At, Millis, Offset, Op, Partitioner, RecordsBuilder, StateKey, TableName, Write};

/// A folder with logs, and a schema.
struct Places {
    folder: tempfile::TempDir,
    schema: Schema,
}

impl Places {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder is made"), schema: Schema::fresh() }
    }

    /// Every file has a folder of its own, as every log has.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).join("log.db")
    }

    fn sqlite(&self, name: &str) -> Driver {
        Driver::sqlite(self.file(name))
    }

    fn postgres(&self) -> Driver {
        Driver::Postgres(self.schema.options())
    }
}

fn shop() -> AppName {
    AppName::new("shop").expect("valid")
}

async fn try_open(driver: Driver) -> Result<Fixture, LogError> {
    let clock = Arc::new(ManualClock::default());
    let log = weir_log::open(LogConfig { driver, app: Some(shop()), clock: clock.clone() }).await?;
    Ok(Fixture::new(log, clock, ()))
}

async fn open(driver: Driver) -> Fixture {
    try_open(driver).await.expect("the log is opened")
}

async fn copy_all(from: Driver, to: Driver) -> Result<Copied, LogError> {
    copy(from, to, &shop(), &mut |_| ()).await
}

async fn refusal(from: Driver, to: Driver) -> String {
    copy_all(from, to).await.expect_err("it is refused").to_string()
}

/// Puts one of everything into the log: what it returns is where the last events went.
async fn fill(f: &Fixture) -> At {
    let wide = TopicSpec {
        partitioner: Partitioner::Crc32,
        retention: Some(Duration::from_secs(86_400)),
        ..spec("wide", 3)
    };
    let wide = f.log.create_topic(&wide).await.expect("created").id;
    let [first, second] = [0, 1].map(|partition| At { topic: wide, partition });
    f.append(first, &["gone", "gone too", "kept"]).await;
    f.log.trim(first, Offset(2)).await.expect("trimmed");
    f.append(second, &["all of it goes"]).await;
    f.log.trim(second, Offset(1)).await.expect("trimmed");
    f.clock.set(Millis(START.0 + 5000));
    let at = f.partition().await;
    let mut all = f.transaction();
    let mut records = RecordsBuilder::default();
    records.push(at, Some(b""), Some(b"{\"a\": 1}"), [("h", &b"1"[..]), ("h", b""), ("weir-hops", b"\xff")]);
    records.push(at, Some(b"k\0\xff"), None, []);
    records.push(at, None, Some(b""), []);
    all.appends.push(records.build());
    let stamp = all.id;
    all.writes = vec![
        put(&key("stock", "eu/1"), "{\"n\":1}", stamp),
        put(&key("stock", "eu/2"), "007", stamp),
        add(&key("counters", "orders"), -17, stamp),
        put(&key("_weir_parked", "p\0\u{1}"), "{}", stamp),
        put(&key("_weir_catalog", "t"), "1", stamp),
    ];
    let later = StateKey { generation: 3, ..key("stock", "") };
    let value = Bytes::from_static(b"\xff\0");
    all.writes.push(Write { key: later, op: Op::Put { value, expires: Some(Millis(7)) }, stamp });
    f.done(all).await;
    for partition in 0..3 {
        let values: Vec<_> = (0..300).map(|n| format!("value {n} of {partition}")).collect();
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        f.append(At { topic: wide, partition }, &values).await;
    }
    let mut rows = f.transaction();
    let row = |n| put(&key("rows", &format!("{n:03}")), &format!("\"{n}\""), rows.id);
    rows.writes = (0..300).map(row).collect();
    f.done(rows).await;
    at
}

/// Takes part in a group, moves its position there and half back.
async fn take_part(f: &Fixture, at: At) {
    let mut owner = Owner::join(f, "events/f", at).await;
    owner.move_to(f, 3).await;
    owner.move_to(f, 1).await;
}

/// Everything in a log that its users see.
async fn everything(f: &Fixture) -> (String, Vec<String>) {
    let topics = f.log.topics().await.expect("listed");
    let mut lines = Vec::new();
    for topic in &topics {
        for (at, earliest) in topic.partitions().zip(&topic.earliest) {
            let all = ReadLimit { events: 10_000, bytes: 1 << 30 };
            let records = f.log.read(at, *earliest, all).await.expect("read");
            lines.extend(records.iter().map(|r| {
                let m = r.meta;
                format!(
                    "{at:?} {} {:?} {:?} {:?} {:?}",
                    m.offset,
                    m.time,
                    r.key(),
                    r.value(),
                    r.headers_encoded()
                )
            }));
        }
    }
    for name in ["stock", "counters", "rows", "_weir_parked", "_weir_catalog"] {
        for generation in [0, 3] {
            let table = TableName::new(name).expect("valid");
            let range = weir_schema::StateRange { table, generation, ..range("t", "", None) };
            let rows = weir_log::all_rows(&*f.log, range).await.expect("scanned");
            lines.extend(rows.iter().map(|row| format!("{name} {generation} {row:?}")));
        }
    }
    let positions = f.log.positions(None).await.expect("read");
    (format!("{topics:?} {positions:?} {:?}", f.catalog()), lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_the_same_after_it_was_copied_to_postgres_and_back() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    let at = fill(&original).await;
    take_part(&original, at).await;
    let (before, writer) = (everything(&original).await, original.log.capabilities().writer);
    original.log.close().await.expect("closed");

    let there = copy_all(places.sqlite("a"), places.postgres()).await.expect("copied");
    assert_eq!(there.differences, [""; 0]);
    assert_eq!((there.topics, there.events, there.rows, there.positions), (2, 904, 306, 1));
    let back = copy_all(places.postgres(), places.sqlite("b")).await.expect("copied back");
    assert_eq!(back.tallies, there.tallies);

    for driver in [places.postgres(), places.sqlite("b")] {
        let copied = open(driver).await;
        assert_eq!(everything(&copied).await, before);
        assert!(copied.log.capabilities().writer.0 > writer.0, "ids of transactions never come twice");
        let receipt = copied.append(at, &["next"]).await;
        assert_eq!(weir_log::conformance::offsets(&receipt), [3]);
        take_part_again(&copied, at).await;
        copied.log.close().await.expect("closed");
    }
}

/// The group goes on where it was, under an epoch that nobody has had.
async fn take_part_again(f: &Fixture, at: At) {
    let before = f.log.positions(None).await.expect("read").remove(0);
    let owner = Owner::join(f, "events/f", at).await;
    assert!(owner.epoch > before.epoch);
    // the one before has not handed it over
    assert_eq!((owner.position, owner.incarnation, owner.unclean), (Offset(1), 1, 1));
}

/// Copies until so many events and rows are there, and is gone then, as a process that was killed.
async fn cut(from: Driver, to: Driver, phase: Phase, done: u64) {
    let enough = Notify::new();
    let mut watcher = |progress: weir_log::Progress| {
        if progress.phase == phase && progress.done >= done {
            enough.notify_one();
        }
    };
    let app = shop();
    tokio::select! {
        biased;
        () = enough.notified() => {}
        copied = copy(from, to, &app, &mut watcher) => panic!("it ended before {done}: {copied:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_cut_off_goes_on_and_nobody_can_open_its_half() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    fill(&original).await;
    let before = everything(&original).await;
    original.log.close().await.expect("closed");
    for target in [places.sqlite("b"), places.postgres()] {
        for (phase, done) in
            [(Phase::Copying, 0), (Phase::Copying, 1), (Phase::Copying, 905), (Phase::Comparing, 700)]
        {
            cut(places.sqlite("a"), target.clone(), phase, done).await;
            let said = try_open(target.clone()).await.expect_err("it is a half").to_string();
            assert!(said.contains("a copy into it has not ended"), "{said}");
        }
        let copied = copy_all(places.sqlite("a"), target.clone()).await.expect("copied");
        assert_eq!((copied.before, copied.differences), (1210, vec![]));
        let copied = open(target).await;
        assert_eq!(everything(&copied).await, before);
        copied.log.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_changed_since_a_copy_was_cut_off_is_copied_as_it_is_now() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    let at = fill(&original).await;
    original.log.close().await.expect("closed");
    for target in [places.sqlite("b"), places.postgres()] {
        cut(places.sqlite("a"), target.clone(), Phase::Comparing, 0).await;
        let original = open(places.sqlite("a")).await;
        original.append(at, &["new"]).await;
        original.put(&key("rows", "000"), "\"new\"").await;
        original.put(&key("a-table-before-the-others", "0"), "1").await;
        let topics = original.log.topics().await.expect("listed");
        let wide = topics.iter().find(|topic| topic.spec.partitions == 3).expect("there is one");
        let before = wide.earliest[1];
        original
            .log
            .trim(At { topic: wide.id, partition: 1 }, Offset(before.0 + 100))
            .await
            .expect("trimmed");
        let before = everything(&original).await;
        original.log.close().await.expect("closed");

        let copied = copy_all(places.sqlite("a"), target.clone()).await.expect("copied");
        assert_eq!(copied.differences, [""; 0]);
        let copied = open(target).await;
        assert_eq!(everything(&copied).await, before);
        copied.log.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_told_and_the_copy_stays_closed() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    fill(&original).await;
    original.log.close().await.expect("closed");
    cut(places.sqlite("a"), places.sqlite("b"), Phase::Comparing, 0).await;
    cut(places.sqlite("a"), places.postgres(), Phase::Comparing, 0).await;
    spoil(&places.file("b"));
    let stranger = places.schema.connect().await;
    stranger
        .batch_execute("UPDATE rows SET value = 'spoilt' WHERE key = '\\x313233'")
        .await
        .expect("changed");
    for (target, what) in [
        (places.sqlite("b"), "topic wide partition 1: 300 with"),
        (places.postgres(), "table rows: 300 with"),
    ] {
        let copied = copy_all(places.sqlite("a"), target.clone()).await.expect("read");
        assert_eq!(copied.differences.len(), 1, "{:?}", copied.differences);
        assert!(copied.differences[0].starts_with(what), "{:?}", copied.differences);
        let said = try_open(target).await.expect_err("it stays closed").to_string();
        assert!(said.contains("a copy into it has not ended"), "{said}");
    }
}

/// Changes an event in a file.
fn spoil(file: &Path) {
    let connection = rusqlite::Connection::open(file).expect("opened");
    let changed =
        connection.execute("UPDATE events SET ts = ts + 1 WHERE value = CAST('value 7 of 1' AS BLOB)", []);
    assert_eq!(changed.expect("changed"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_copy_would_harm_is_refused() {
    let places = Places::new();
    for name in ["a", "c"] {
        let log = open(places.sqlite(name)).await;
        fill(&log).await;
        log.log.close().await.expect("closed");
    }
    let (a, b, c) = (places.sqlite("a"), places.sqlite("b"), places.sqlite("c"));
    let said = refusal(a.clone(), c.clone()).await;
    assert!(
        said.contains("it holds 904 events, 306 rows of state and 0 positions: name an empty place"),
        "{said}"
    );
    let said = refusal(Driver::Memory, b.clone()).await;
    assert!(said.contains("it begins and ends with its process"), "{said}");
    let said = refusal(places.sqlite("none"), b.clone()).await;
    assert!(said.contains("there is no log"), "{said}");
    assert!(!places.file("none").exists());
    let said = refusal(places.postgres(), b.clone()).await;
    assert!(said.contains("there is no log"), "{said}");
    let said = refusal(a.clone(), a.clone()).await;
    assert!(said.contains("a server works on it, or another command moves it"), "{said}");

    cut(a.clone(), b.clone(), Phase::Copying, 300).await;
    let said = refusal(c.clone(), b.clone()).await;
    assert!(said.contains("it is the half of a copy of another log"), "{said}");
    let said = refusal(b, places.sqlite("d")).await;
    assert!(said.contains("it is the half of a copy itself"), "{said}");

    let error = copy(a, places.sqlite("d"), &AppName::new("bank").expect("valid"), &mut |_| ()).await;
    let said = error.expect_err("it is refused").to_string();
    assert!(said.contains("it belongs to the application \"shop\", and this one is \"bank\""), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_a_server_works_on_is_not_copied() {
    let places = Places::new();
    for (driver, other) in [(places.sqlite("a"), places.sqlite("b")), (places.postgres(), places.sqlite("c"))]
    {
        let served = open(driver.clone()).await;
        let at = served.partition().await;
        let _owner = Owner::join(&served, "events/f", at).await;
        for (from, to) in [(driver.clone(), other.clone()), (other, driver)] {
            if matches!(&from, Driver::Sqlite { path, .. } if !path.exists()) {
                drop(open(from.clone()).await);
            }
            let said = refusal(from, to).await;
            assert!(
                said.contains("a server works on it, or another command moves it: stop that first"),
                "{said}"
            );
        }
        served.append(at, &["goes on"]).await;
    }
}

/// A disk without room, as far as a file can be kept from growing.
fn small(file: PathBuf) -> Driver {
    Driver::Sqlite { path: file, options: SqliteOptions { max_pages: Some(60), ..SqliteOptions::default() } }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_full_is_told_and_the_copy_goes_on_when_there_is_room() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    let at = fill(&original).await;
    original.append(at, &["x".repeat(1000).as_str(); 200]).await;
    original.log.close().await.expect("closed");
    let error = copy_all(places.sqlite("a"), small(places.file("b"))).await.expect_err("it is full");
    assert!(error.is_retryable() && error.to_string().contains("free some space on its disk"), "{error}");
    let copied = copy_all(places.sqlite("a"), places.sqlite("b")).await.expect("copied");
    assert_eq!(copied.differences, [""; 0]);
    assert!((1..1410).contains(&copied.before), "{}", copied.before);
}

/// Ends every connection of the logs in a schema, as a server does that goes down.
fn disconnect(schema: &Schema) {
    let (conn, name) = (schema.conn(), schema.name().to_owned());
    let conn = conn.split(" application_name").next().expect("it has a beginning").to_owned();
    // a runtime must not be blocked on inside of another one
    let done = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let client = Server::connect_to(&conn).await.expect("connected");
            let sql =
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
            client.query_one(sql, &[&name]).await.expect("asked").get::<_, i64>(0)
        })
    });
    assert!(done.join().expect("it does not panic") > 0, "no connection was there to be ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_in_the_middle_is_told_and_the_copy_goes_on_when_it_is_back() {
    let places = Places::new();
    let original = open(places.sqlite("a")).await;
    fill(&original).await;
    original.log.close().await.expect("closed");
    let mut is_down = false;
    let mut watcher = |progress: weir_log::Progress| {
        if progress.done > 300 && !std::mem::replace(&mut is_down, true) {
            disconnect(&places.schema);
        }
    };
    let gone = copy(places.sqlite("a"), places.postgres(), &shop(), &mut watcher).await;
    let error = gone.expect_err("the server went away");
    assert!(error.is_retryable(), "{error}");
    let copied = copy_all(places.sqlite("a"), places.postgres()).await.expect("copied");
    assert_eq!(copied.differences, [""; 0]);
    assert!((1..1210).contains(&copied.before), "{}", copied.before);
}
