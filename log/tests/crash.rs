//! A process that commits under load is killed, a hundred times: whatever it has acknowledged is there, whole, once.
//!
//! The test binary runs itself as the process to be killed. Half of the kills come from outside at any moment, half
//! strike at a fault point inside a commit.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use weir_log::conformance::ownership::Owner;
use weir_log::conformance::{Fixture, add, events, group, key, put, saw};
use weir_log::{BoxError, Driver, FaultPoint, Faults, LogConfig, ReadLimit, SqliteOptions, SystemClock};
use weir_schema::{At, Offset};

const WRITERS: u32 = 12;
const ROUNDS: u32 = 100;
/// A kill only counts if at least so many commits a second are being acknowledged.
const LOAD: f64 = 50.0;

/// One commit that the child has acknowledged: writer, number of the commit, offset of its event.
type Acknowledged = (u32, u64, u64);

#[derive(Debug)]
struct Abort {
    at: FaultPoint,
    countdown: AtomicU32,
}

impl Faults for Abort {
    fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        if point == self.at && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
        Ok(())
    }
}

#[test]
fn what_was_acknowledged_outlives_a_killed_process() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    let mut acknowledged = HashMap::new();
    let mut kills = [0_u32; 4];
    for round in 0..ROUNDS {
        let kind = if round % 2 == 0 { 0 } else { 1 + round / 2 % 3 };
        let patience = 20 + random() % 80;
        for (writer, number, offset) in kill(&path, kind, patience) {
            let before = acknowledged.insert((writer, number), offset);
            assert_eq!(before, None, "acknowledged twice: {number} of writer {writer}");
        }
        kills[kind as usize] += 1;
        check(&path, &acknowledged, round);
    }
    assert_eq!((kills.iter().sum::<u32>(), kills[0]), (ROUNDS, ROUNDS / 2));
    assert!(acknowledged.len() as u64 >= u64::from(ROUNDS) * 15, "{} acknowledged", acknowledged.len());
}

/// Lets a child commit until `patience` acknowledgements (`kind` 0) or batches (at a fault point) have come.
fn kill(path: &Path, kind: u32, patience: u32) -> Vec<Acknowledged> {
    let mut child = start(path, kind, patience);
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let (mut seen, mut first) = (Vec::new(), None);
    for line in lines.map_while(Result::ok) {
        let Some(fields) = line.strip_prefix("ack ") else { continue };
        let fields: Vec<u64> = fields.split(' ').map(|n| n.parse().expect("a number")).collect();
        first.get_or_insert_with(Instant::now);
        seen.push((u32::try_from(fields[0]).expect("few"), fields[1], fields[2]));
        if kind == 0 && seen.len() == patience as usize {
            child.kill().expect("it is running");
        }
    }
    let status = child.wait().expect("it has ended");
    assert!(!status.success(), "the child ended by itself");
    if seen.len() >= 15 {
        let rate = seen.len() as f64 / first.expect("some came").elapsed().as_secs_f64();
        assert!(rate >= LOAD, "{rate} commits a second are no load");
    }
    assert!(seen.len() >= 15, "{} commits before the kill", seen.len());
    seen
}

fn start(path: &Path, kind: u32, patience: u32) -> Child {
    let program = std::env::current_exe().expect("the test binary has a path");
    let mut child = Command::new(program)
        .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary runs");
    let mut orders = child.stdin.take().expect("it is piped");
    writeln!(orders, "{kind} {patience} {}", path.display()).expect("it listens");
    child
}

#[tokio::main(flavor = "current_thread")]
async fn check(path: &Path, acknowledged: &HashMap<(u32, u64), u64>, round: u32) {
    let f = open(path, SqliteOptions::default()).await;
    let at = f.partition().await;
    let mut stored: HashMap<(u32, u64), u64> = HashMap::new();
    let (mut last, mut next) = (HashMap::new(), Offset(0));
    loop {
        let records = f.log.read(at, next, ReadLimit { events: 10_000, bytes: 1 << 30 }).await.expect("read");
        let Some(end) = records.last() else { break };
        next = end.meta.offset.next();
        for record in records.iter() {
            let value = std::str::from_utf8(record.value().expect("it has one")).expect("text");
            let (writer, number) = value.split_once(' ').expect("two numbers");
            let name: (u32, u64) = (writer.parse().expect("a number"), number.parse().expect("a number"));
            assert_eq!(stored.insert(name, record.meta.offset.0), None, "{name:?} is there twice");
            last.insert(name.0, name.1);
        }
    }
    for (name, offset) in acknowledged {
        assert_eq!(stored.get(name), Some(offset), "{name:?} was acknowledged at {offset}");
    }
    // whole: a transaction's event, its row, its share of the counter and its step of the position
    assert_eq!(f.value(&key("t", "sum")).await, Some(stored.len().to_string()));
    for writer in 0..WRITERS {
        let row = f.value(&key("t", &writer.to_string())).await;
        assert_eq!(row, last.get(&writer).map(ToString::to_string), "writer {writer}");
    }
    let positions = f.log.positions(Some(&group("events/f"))).await.expect("listed");
    let steps = stored.keys().filter(|(writer, _)| *writer == 0).count() as u64;
    assert_eq!((positions[0].position, positions[0].unclean), (Offset(steps), round));
    f.log.close().await.expect("closed");
}

async fn open(path: &Path, options: SqliteOptions) -> Fixture {
    let driver = Driver::Sqlite { path: path.to_owned(), options };
    let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await;
    Fixture::new(log.expect("the log is opened"), Arc::default(), ())
}

#[test]
#[ignore = "it is started, and killed, by what_was_acknowledged_outlives_a_killed_process"]
fn the_process_that_is_killed() {
    let mut orders = String::new();
    std::io::stdin().read_line(&mut orders).expect("orders come");
    let mut orders = orders.trim_end().splitn(3, ' ');
    let (Some(kind), Some(patience), Some(path)) = (orders.next(), orders.next(), orders.next()) else {
        return;
    };
    let (kind, patience): (u32, u32) = (kind.parse().expect("a number"), patience.parse().expect("a number"));
    let at = match kind {
        1 => Some(FaultPoint::Taken),
        2 => Some(FaultPoint::Applied),
        3 => Some(FaultPoint::Committed),
        _ => None,
    };
    let abort = |at| Arc::new(Abort { at, countdown: AtomicU32::new(patience) }) as Arc<dyn Faults>;
    load(Path::new(path), SqliteOptions { faults: at.map(abort), ..SqliteOptions::default() });
}

/// Commits for ever, from many tasks at once.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn load(path: &Path, options: SqliteOptions) {
    let f = Arc::new(open(path, options).await);
    let at = f.partition().await;
    let mut owner = Some(Owner::join(&f, "events/f", at).await);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(f.clone(), at, writer, owner.take()));
    }
    // ends with a kill, or with the first writer that panics
    writers.join_next().await.expect("there are some").expect("a writer failed");
}

async fn write(f: Arc<Fixture>, at: At, writer: u32, mut owner: Option<Owner>) {
    let row = key("t", &writer.to_string());
    let seen = f.row(&row).await;
    let mut number = seen.as_ref().and_then(|r| weir_schema::counter(&r.value)).map_or(0, i64::unsigned_abs);
    let mut stamp = seen.map(|r| r.stamp);
    loop {
        number += 1;
        let mut transaction = f.transaction();
        transaction.reads.push(saw(&row, stamp));
        transaction.writes.push(put(&row, &number.to_string(), transaction.id));
        transaction.writes.push(add(&key("t", "sum"), 1, transaction.id));
        transaction.appends.push(events(at, &[&format!("{writer} {number}")]));
        if let Some(owner) = &mut owner {
            (transaction.fence, transaction.advance) = owner.advance(owner.position.0 + 1);
            owner.position = owner.position.next();
        }
        stamp = Some(transaction.id);
        let receipt = f.log.commit(Arc::new(transaction)).await.expect("nothing is in its way");
        let offset = receipt.bases[0].1;
        // one write, so that a line is whole or absent
        let line = format!("ack {writer} {number} {offset}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("the parent reads");
    }
}

/// Not reproducible on purpose: a hundred kills a run, at other moments each time.
fn random() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(hash >> 40).expect("24 bits are left")
}
