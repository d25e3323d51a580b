//! A process that commits under load is killed, many times: whatever it has acknowledged is there, whole, once.
//!
//! The test binary runs itself as the process to be killed. Half of the kills come from outside at any moment, half
//! strike at a fault point inside a commit.

#[cfg(feature = "kafka")]
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use weir_log::conformance::ownership::Owner;
use weir_log::conformance::{Fixture, add, events, group, key, put, saw};
use weir_log::{BoxError, Driver, FaultPoint, Faults, LogConfig, ReadLimit, SqliteOptions, SystemClock};
#[cfg(feature = "kafka")]
use weir_log::{KafkaOptions, conformance::broker::Prefix};
use weir_schema::{At, Offset};

const WRITERS: u32 = 12;
/// How often a process on a file is killed …
const ROUNDS: u32 = 100;
/// … and one on Kafka, where each round takes seconds; `SOAK_KILLS` says another (even) number.
#[cfg(feature = "kafka")]
const KAFKA_ROUNDS: u32 = 24;
/// A kill in a file only counts if at least so many commits a second are being acknowledged. On Kafka how many there are
/// is the machine's to say, whose processors the broker has as well; every writer has one on its way at any moment.
const LOAD: f64 = 50.0;

/// One commit that the child has acknowledged: writer, number of the commit, offset of its event.
type Acknowledged = (u32, u64, u64);

/// Where the log is. The process that is killed is told in words.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    /// Of Kafka: brokers and prefix.
    kafka: Option<(String, String)>,
    /// The log, or its store.
    file: PathBuf,
}

impl Place {
    fn words(&self) -> String {
        let (brokers, prefix) = self.kafka.as_ref().map_or(("-", "-"), |(brokers, prefix)| (brokers, prefix));
        format!("{brokers} {prefix} {}", self.file.display())
    }

    fn of_words(words: &str) -> Option<Self> {
        let mut words = words.splitn(3, ' ');
        let (brokers, prefix, file) = (words.next()?, words.next()?, words.next()?);
        let kafka = (brokers != "-").then(|| (brokers.to_owned(), prefix.to_owned()));
        Some(Self { kafka, file: file.into() })
    }

    fn driver(&self, faults: Option<Arc<dyn Faults>>) -> Driver {
        let file = |faults| Driver::Sqlite {
            path: self.file.clone(),
            options: SqliteOptions { faults, ..SqliteOptions::default() },
        };
        match &self.kafka {
            #[cfg(feature = "kafka")]
            Some((brokers, prefix)) => {
                Driver::Kafka(KafkaOptions { faults, ..KafkaOptions::new(brokers, prefix, file(None)) })
            }
            _ => file(faults),
        }
    }
}

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
    let place = Place { kafka: None, file: folder.path().join("log.db") };
    assert!(kill_again_and_again(&place, ROUNDS) >= ROUNDS as usize * 15);
}

#[cfg(feature = "kafka")]
#[test]
fn what_was_acknowledged_on_kafka_outlives_a_killed_process() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder is made"), Prefix::fresh());
    let kafka = Some((prefix.brokers().to_owned(), prefix.name().to_owned()));
    let place = Place { kafka, file: folder.path().join("store.db") };
    let said = std::env::var_os("SOAK_KILLS");
    let said = said.map(|n| n.to_str().and_then(|n| n.parse().ok()).expect("SOAK_KILLS is a number"));
    let rounds = said.unwrap_or(KAFKA_ROUNDS);
    assert!(kill_again_and_again(&place, rounds) >= rounds as usize * 15);
}

/// The control: where what the relay records in Kafka says nothing, the same crash brings events twice.
#[cfg(feature = "kafka")]
#[test]
fn without_the_number_in_kafka_events_would_come_twice() {
    let (folder, prefix) = (tempfile::tempdir().expect("a folder is made"), Prefix::fresh());
    let kafka = Some((prefix.brokers().to_owned(), prefix.name().to_owned()));
    let place = Place { kafka, file: folder.path().join("store.db") };
    let after_a_commit = 3;
    kill(&place, after_a_commit, 30);
    forget(&prefix);
    let twice = async {
        let f = open(&place, None).await;
        let values = all_values(&f).await;
        f.log.close().await.expect("closed");
        values.len() - values.iter().map(|(_, value)| value).collect::<HashSet<_>>().len()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    assert!(runtime.block_on(twice) > 0, "nothing came twice: the record of the number proves nothing");
}

/// Says in Kafka that none of a log's transactions is there.
#[cfg(feature = "kafka")]
fn forget(prefix: &Prefix) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", prefix.brokers()).create().expect("a producer");
    let topic = prefix.topic("__relay");
    let number = BaseRecord::to(&topic).partition(0).key("reached").payload("0");
    producer.send(number).map_err(|(error, _)| error).expect("it is sent");
    producer.flush(Duration::from_secs(10)).expect("it is there");
}

/// Returns how many commits were acknowledged, all of which were there after every kill.
fn kill_again_and_again(place: &Place, rounds: u32) -> usize {
    let mut acknowledged = HashMap::new();
    let mut kills = [0_u32; 4];
    for round in 0..rounds {
        let kind = if round % 2 == 0 { 0 } else { 1 + round / 2 % 3 };
        let patience = 20 + random() % 80;
        for (writer, number, offset) in kill(place, kind, patience) {
            let before = acknowledged.insert((writer, number), offset);
            assert_eq!(before, None, "acknowledged twice: {number} of writer {writer}");
        }
        kills[kind as usize] += 1;
        check(place, &acknowledged, round);
    }
    assert_eq!((kills.iter().sum::<u32>(), kills[0]), (rounds, rounds / 2));
    acknowledged.len()
}

/// Lets a child commit until `patience` acknowledgements (`kind` 0) or batches (at a fault point) have come.
fn kill(place: &Place, kind: u32, patience: u32) -> Vec<Acknowledged> {
    let mut child = start(place, kind, patience);
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
    if seen.len() >= 15 && place.kafka.is_none() {
        let rate = seen.len() as f64 / first.expect("some came").elapsed().as_secs_f64();
        assert!(rate >= LOAD, "{rate} commits a second are no load");
    }
    assert!(seen.len() >= 15, "{} commits before the kill", seen.len());
    seen
}

fn start(place: &Place, kind: u32, patience: u32) -> Child {
    let program = std::env::current_exe().expect("the test binary has a path");
    let mut child = Command::new(program)
        .args(["--exact", "the_process_that_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test binary runs");
    let mut orders = child.stdin.take().expect("it is piped");
    writeln!(orders, "{kind} {patience} {}", place.words()).expect("it listens");
    child
}

#[tokio::main(flavor = "current_thread")]
async fn check(place: &Place, acknowledged: &HashMap<(u32, u64), u64>, round: u32) {
    let f = open(place, None).await;
    let mut stored: HashMap<(u32, u64), u64> = HashMap::new();
    let mut last = HashMap::new();
    for (offset, value) in all_values(&f).await {
        let (writer, number) = value.split_once(' ').expect("two numbers");
        let name: (u32, u64) = (writer.parse().expect("a number"), number.parse().expect("a number"));
        assert_eq!(stored.insert(name, offset.0), None, "{name:?} is there twice");
        last.insert(name.0, name.1);
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

/// Everything that writers have appended, when what was committed before has arrived.
async fn all_values(f: &Fixture) -> Vec<(Offset, String)> {
    let (at, marks) = (f.partition().await, f.topic("marks", 1).await);
    f.append(marks.partitions().next().expect("it has one"), &["here", "and no further"]).await;
    let (mut values, mut next) = (Vec::new(), Offset(0));
    loop {
        let records = f.log.read(at, next, ReadLimit { events: 10_000, bytes: 1 << 30 }).await.expect("read");
        let Some(end) = records.last() else { return values };
        next = end.meta.offset.next();
        let value = |bytes: Option<&[u8]>| std::str::from_utf8(bytes.expect("one")).expect("text").to_owned();
        values.extend(records.iter().map(|record| (record.meta.offset, value(record.value()))));
    }
}

async fn open(place: &Place, faults: Option<Arc<dyn Faults>>) -> Fixture {
    let config = LogConfig { driver: place.driver(faults), app: None, clock: Arc::new(SystemClock) };
    let log = weir_log::open(config).await;
    Fixture::new(log.expect("the log is opened"), Arc::default(), ())
}

#[test]
#[ignore = "it is started, and killed, by what_was_acknowledged_outlives_a_killed_process"]
fn the_process_that_is_killed() {
    let mut orders = String::new();
    std::io::stdin().read_line(&mut orders).expect("orders come");
    let mut orders = orders.trim_end().splitn(3, ' ');
    let (Some(kind), Some(patience), Some(place)) = (orders.next(), orders.next(), orders.next()) else {
        return;
    };
    let place = Place::of_words(place).expect("the place is whole");
    let (kind, patience): (u32, u32) = (kind.parse().expect("a number"), patience.parse().expect("a number"));
    let at = match kind {
        1 => Some(FaultPoint::Taken),
        2 => Some(FaultPoint::Applied),
        3 => Some(FaultPoint::Committed),
        _ => None,
    };
    let abort = |at| Arc::new(Abort { at, countdown: AtomicU32::new(patience) }) as Arc<dyn Faults>;
    load(&place, at.map(abort));
}

/// Commits for ever, from many tasks at once.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn load(place: &Place, faults: Option<Arc<dyn Faults>>) {
    let f = Arc::new(open(place, faults).await);
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
