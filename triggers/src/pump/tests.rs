use super::*;
use crate::dispatcher::{self, Assignment};
use crate::home::Acted;
use crate::parked::Entry;
use crate::trigger::{ReplayRun, Trigger};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use weir_log::{Change, Driver, LogConfig, Membership, SystemClock, TopicSpec};
use weir_runtime::{Limits, ReplayContext, Span, SpanSink, Watchdog, WorkerOptions};
use weir_schema::{
    At, Fence, FunctionName, GroupName, Millis, Offset, Op, Partitioner, RecordsBuilder, TopicName,
    Transaction, Versioned, Write,
};

const EVENTS: u64 = 1000;
/// As many as the dispatcher lets run at once.
const PARKED: u64 = 16;
/// What the stopwatch says that each thing takes.
const EACH: Duration = Duration::from_micros(10);

/// Group and offset of every attempt, in the order of their ends.
#[derive(Default, Debug)]
struct Attempts(Mutex<Vec<(String, u64)>>);

impl SpanSink for Attempts {
    fn record(&self, span: Span) {
        let of = |name| span.attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone()).unwrap();
        let offset = of("messaging.kafka.offset").parse().unwrap();
        self.0.lock().unwrap().push((of("messaging.consumer.group.name"), offset));
    }
}

impl Attempts {
    /// How many attempts there were at live, parked and replayed events.
    fn count(&self) -> [usize; 3] {
        let attempts = self.0.lock().unwrap();
        let is_live = |group: &str| group == "orders/note";
        let live = attempts.iter().filter(|(group, _)| is_live(group));
        let (parked, live): (Vec<_>, Vec<_>) = live.partition(|(_, offset)| *offset < PARKED);
        [live.len(), parked.len(), attempts.len() - live.len() - parked.len()]
    }
}

fn trigger(group: &str, replay: Option<ReplayRun>) -> Arc<Trigger> {
    let function = FunctionName::new("note").unwrap();
    Arc::new(Trigger {
        topic: TopicName::new("orders").unwrap(),
        name: function.clone(),
        function,
        group: GroupName::new(group).unwrap(),
        settings: dispatcher::Settings::default(),
        limits: Limits::default(),
        replay: replay.map(Arc::new),
    })
}

fn replay() -> ReplayRun {
    ReplayRun {
        context: ReplayContext { name: "again".to_owned(), mode: "in-place", allow_http: [].into() },
        emit: false,
        key: None,
        to: vec![Offset(EVENTS)],
        pace: None,
        counts: Arc::default(),
    }
}

/// An event that waits for its next attempt, which is due.
fn parked(topic: &TopicName, offset: u64) -> Entry {
    Entry::waiting(topic.clone(), 0, Offset(offset), None, Millis(0), Millis(0))
}

/// Gives the pump a home that begins at `position` with every earlier event parked. Keep what is returned, or it loses
/// the partition.
async fn take(pump: &mut Pump, trigger: Arc<Trigger>, at: At, position: u64) -> Membership {
    let session = pump.around.session.clone();
    let mut membership = session.log().join(&trigger.group, &[(at, Offset(position))]).await.unwrap();
    let Some(Change::Assigned { epoch, .. }) = membership.changes.recv().await else {
        panic!("not assigned")
    };
    let fence = Fence { group: trigger.group.clone(), at, epoch };
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    let mut rows = Vec::new();
    for offset in 0..position {
        let (key, stamp) = (Entry::key(&fence, Offset(offset)), session.next_id());
        let value = parked(&trigger.topic, offset).to_json();
        rows.push((key.key.clone(), Versioned { value: value.clone(), stamp, expires: None }));
        transaction.writes.push(Write { key, op: Op::Put { value, expires: None }, stamp });
    }
    session.log().commit(Arc::new(transaction)).await.unwrap();
    let assignment = Assignment {
        topic: trigger.topic.clone(),
        position: Offset(position),
        incarnation: 0,
        unclean: 0,
        catalog: session.catalog(),
        parked: rows,
        mark: None,
        is_paused: false,
        lost: None,
        fence,
    };
    let place = Place { group: trigger.group.clone(), at };
    let taken = Take { place, epoch, trigger, assignment, news: mpsc::channel(1).0 };
    pump.take_message(ToPump::Take(Box::new(taken)));
    membership
}

/// A pump whose stopwatch says [`EACH`] of everything, and what its functions did.
async fn pump() -> (Pump, At, Arc<Attempts>) {
    let clock = Arc::new(SystemClock);
    let config = LogConfig { driver: Driver::Memory, app: None, clock: clock.clone() };
    let log = weir_log::open(config).await.unwrap();
    let name = TopicName::new("orders").unwrap();
    let spec = TopicSpec { name, partitions: 1, partitioner: Partitioner::default(), retention: None };
    let at = At { topic: log.create_topic(&spec).await.unwrap().id, partition: 0 };
    let attempts = Arc::new(Attempts::default());
    let session = Session::new(log, clock, BTreeMap::new()).with_spans(attempts.clone());
    let mut records = RecordsBuilder::default();
    (0..EVENTS).for_each(|_| records.push(at, None, Some(b"{}"), []));
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.appends.push(records.build());
    session.log().commit(Arc::new(transaction)).await.unwrap();
    let worker = Worker::new(&WorkerOptions::new(Watchdog::start().unwrap())).unwrap();
    let code = Arc::new(Code::from_sources([("app/note.lua", "return function() end")]));
    let mut pump = Pump::new(Arc::new(session), Rc::new(worker), watch::channel(code).1, pump_channel().1);
    let time = Cell::new(Instant::now());
    pump.stopwatch = Stopwatch(Box::new(move || time.replace(time.get() + EACH)));
    (pump, at, attempts)
}

#[tokio::test]
async fn live_parked_and_replayed_events_share_the_worker_by_weight() {
    let (mut pump, at, attempts) = pump().await;
    let _live = take(&mut pump, trigger("orders/note", None), at, PARKED).await;
    let _replay = take(&mut pump, trigger("orders/note@replay-again", Some(replay())), at, 0).await;
    for hosted in pump.homes.values_mut() {
        hosted.home.stir();
        while hosted.home.act(hosted.home.class()).unwrap() != Acted::Nothing {}
    }
    // the events can be read, and everything else would like to run
    assert_eq!(attempts.count(), [0, 0, 0]);
    while attempts.count()[1] < PARKED as usize {
        assert!(pump.act().await, "there is more to do");
    }
    let [live, _, replayed] = attempts.count();
    assert!((PARKED as usize..=80).contains(&live), "{live} live events beside {PARKED} parked ones");
    assert!((4..=20).contains(&replayed), "{replayed} replayed events beside {PARKED} parked ones");
    for _ in 0..10 {
        assert!(pump.act().await, "there is more to do");
    }
    let [more_live, _, more_replayed] = attempts.count();
    let ratio = (more_live - live) as f64 / (more_replayed - replayed) as f64;
    assert!((3.0..=5.0).contains(&ratio), "{ratio} live events for each replayed one");
}
