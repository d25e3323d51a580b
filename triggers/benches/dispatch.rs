//! The state machine alone: events a second through the window with a log that answers at once.
//!
//! `cargo bench -p weir-triggers --bench dispatch`
#![expect(clippy::print_stdout, reason = "what a benchmark is for")]

use bytes::Bytes;
use std::time::{Duration, Instant};
use weir_runtime::Effects;
use weir_schema::{
    At, CatalogVersion, Epoch, Fence, GroupName, Millis, Offset, Op, Receipt, Records, RecordsBuilder,
    StateKey, TableName, TopicId, TopicName, TxnId, WriterId,
};
use weir_triggers::Dispatcher;
use weir_triggers::dispatcher::{Action, Assignment, Input, RunEnd, Seen, Settings, Start, Stored, What};

const EVENTS: u64 = 2_000_000;
const AT: At = At { topic: TopicId(0), partition: 0 };

/// How long this thread has run: neighbours on the machine do not count. Where the system does not tell, the time of day.
struct CpuTime(Result<Duration, Instant>);

impl CpuTime {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanoseconds = text.split(' ').next().and_then(|n| n.parse().ok());
        Self(nanoseconds.map(Duration::from_nanos).ok_or_else(Instant::now))
    }

    fn elapsed(&self) -> Duration {
        match &self.0 {
            Ok(cpu) => Self::now().0.map_or(Duration::ZERO, |now| now.saturating_sub(*cpu)),
            Err(clock) => clock.elapsed(),
        }
    }
}

fn main() {
    measure("no-op, no keys", &Function { is_keyed: false, is_stateful: false });
    measure("no-op, distinct keys", &Function { is_keyed: true, is_stateful: false });
    measure("one read and one put, distinct keys", &Function { is_keyed: true, is_stateful: true });
}

struct Function {
    is_keyed: bool,
    is_stateful: bool,
}

fn measure(name: &str, function: &Function) {
    let mut dispatcher = dispatcher();
    let mut actions = Vec::new();
    let started = CpuTime::now();
    let table = TableName::new("t").expect("valid");
    let mut reading = Duration::ZERO;
    while dispatcher.position().0 < EVENTS {
        dispatcher.take_actions(Millis(0), &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Read { from, limit } => {
                    let clock = CpuTime::now();
                    let records = records(from, limit.events, function.is_keyed);
                    reading += clock.elapsed();
                    dispatcher.step(Millis(0), Input::Records { from, records });
                }
                Action::Start(start) => {
                    let effects = run(&mut dispatcher, &start, function, &table);
                    dispatcher.step(Millis(0), Input::Ran { run: start.run, end: RunEnd::Ok(effects) });
                }
                Action::Commit(tx) => {
                    let outcome = Ok(Receipt::default());
                    dispatcher.step(Millis(0), Input::Replied { id: tx.id, outcome });
                }
                _ => {}
            }
        }
    }
    let took = started.elapsed() - reading;
    let rate = EVENTS as f64 / took.as_secs_f64();
    println!("{name}: {:.2} M events/s ({took:?} for {EVENTS})", rate / 1e6);
}

fn run(dispatcher: &mut Dispatcher, start: &Start, function: &Function, table: &TableName) -> Effects {
    if !function.is_stateful {
        return Effects::default();
    }
    let key = Bytes::copy_from_slice(&start.offset.0.to_be_bytes());
    let key = StateKey { table: table.clone(), generation: 0, key };
    let what = What::Key(key);
    let mut seen = dispatcher.read(start.run, &what, None);
    if seen == Seen::AskStore {
        seen = dispatcher.read(start.run, &what, Some(Stored::Row(None)));
    }
    assert!(matches!(seen, Seen::View(_)), "the store has answered");
    let What::Key(key) = what else { unreachable!("made above") };
    let put = Op::Put { value: Bytes::from_static(b"1"), expires: None };
    Effects { writes: vec![(key, put)], ..Effects::default() }
}

fn records(from: Offset, events: usize, is_keyed: bool) -> Records {
    let mut builder = RecordsBuilder::default();
    for offset in from.0..(from.0 + events as u64) {
        let key = offset.to_be_bytes();
        let key = is_keyed.then_some(&key[..]);
        builder.push_encoded(AT, Offset(offset), Millis(0), key, Some(b"{}"), &[]);
    }
    builder.build()
}

fn dispatcher() -> Dispatcher {
    let fence = Fence { group: GroupName::new("orders/on_order").expect("valid"), at: AT, epoch: Epoch(1) };
    let assigned = Assignment {
        fence,
        topic: TopicName::new("orders").expect("valid"),
        position: Offset::ZERO,
        incarnation: 0,
        unclean: 0,
        catalog: CatalogVersion(0),
        parked: Vec::new(),
        mark: None,
        is_paused: false,
        lost: None,
    };
    let mut sequence = 0;
    let ids = Box::new(move || {
        sequence += 1;
        TxnId::new(WriterId(1), sequence)
    });
    Dispatcher::new(Settings::default(), assigned, ids, Millis(0)).expect("nothing is parked")
}
