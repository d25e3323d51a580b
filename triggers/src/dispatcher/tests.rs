//! What the simulation does not draw: the rest of it is in `tests/simulation.rs`.

use super::*;
use crate::parked::{EntryState, PARKED};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{CommitError, Rejection, lost_key};
use weir_runtime::Effects;
use weir_schema::{
    At, Epoch, GroupName, Op, Receipt, Records, RecordsBuilder, StateKey, TableName, TopicId, Transaction,
    Versioned, WriterId,
};

const AT: At = At { topic: TopicId(0), partition: 0 };

fn assignment() -> Assignment {
    let group = GroupName::new("orders/on_order").expect("valid");
    Assignment {
        fence: Fence { group, at: AT, epoch: Epoch(1) },
        topic: TopicName::new("orders").expect("valid"),
        position: Offset::ZERO,
        incarnation: 0,
        unclean: 0,
        catalog: CatalogVersion(0),
        parked: Vec::new(),
        mark: None,
        is_paused: false,
        lost: None,
    }
}

fn dispatcher(settings: Settings) -> Dispatcher {
    dispatcher_of(settings, assignment())
}

fn dispatcher_of(settings: Settings, assigned: Assignment) -> Dispatcher {
    let mut sequence = 0;
    let ids = Box::new(move || {
        sequence += 1;
        TxnId::new(WriterId(1), sequence)
    });
    Dispatcher::new(settings, assigned, ids, Millis(0)).expect("nothing is parked")
}

fn records(count: u64) -> Records {
    let mut builder = RecordsBuilder::default();
    for offset in 0..count {
        builder.push_encoded(AT, Offset(offset), Millis(0), Some(b"k"), Some(b"{}"), &[]);
    }
    builder.build()
}

fn actions(dispatcher: &mut Dispatcher, now: i64) -> Vec<Action> {
    let mut actions = Vec::new();
    dispatcher.take_actions(Millis(now), &mut actions);
    actions
}

fn give(dispatcher: &mut Dispatcher, now: i64, input: Input) -> Vec<Action> {
    dispatcher.step(Millis(now), input);
    actions(dispatcher, now)
}

fn started(actions: &[Action]) -> Option<&Start> {
    actions.iter().find_map(|a| if let Action::Start(start) = a { Some(start) } else { None })
}

fn committed(actions: &[Action]) -> Option<&Arc<Transaction>> {
    actions.iter().find_map(|a| if let Action::Commit(tx) = a { Some(tx) } else { None })
}

fn fails(dispatcher: &mut Dispatcher, actions: &[Action], failure: RunFailure) -> Arc<Transaction> {
    let run = started(actions).expect("a start").run;
    let actions = give(dispatcher, 1, Input::Ran { run, end: RunEnd::Failed(failure) });
    Arc::clone(committed(&actions).expect("a commit"))
}

fn only_entry(tx: &Transaction) -> Entry {
    let write = tx.writes.iter().find(|w| w.key.table.as_str() == PARKED).expect("an entry");
    let Op::Put { value, .. } = &write.op else { panic!("an entry is put") };
    Entry::from_row(&write.key.key, value).expect("an entry")
}

fn ok(id: TxnId) -> Input {
    Input::Replied { id, outcome: Ok(Receipt::default()) }
}

fn first_run(dispatcher: &mut Dispatcher, count: u64) -> Vec<Action> {
    actions(dispatcher, 0);
    give(dispatcher, 0, Input::Records { from: Offset::ZERO, records: records(count) })
}

#[test]
fn a_trigger_whose_events_were_removed_stands_still_until_someone_resumes_it() {
    let mut dispatcher = dispatcher(Settings::default());
    actions(&mut dispatcher, 0);
    give(&mut dispatcher, 0, Input::Trimmed { earliest: Offset(7) });
    let lost = PauseReason::EventsLost { earliest: Offset(7) };
    assert_eq!(dispatcher.mode(), Mode::Paused(lost));
    let resumed = give(&mut dispatcher, 1, Input::Command { request: 1, command: Command::Resume });
    let from =
        resumed.iter().find_map(|a| if let Action::Read { from, .. } = a { Some(*from) } else { None });
    assert_eq!(from, Some(Offset(7)));
}

#[test]
fn a_trigger_whose_partition_is_another_one_stands_still_until_someone_moves_it() {
    let lost = Some(Offset(0));
    let mut dispatcher =
        dispatcher_of(Settings::default(), Assignment { position: Offset(9), lost, ..assignment() });
    let begun = actions(&mut dispatcher, 0);
    let reason = PauseReason::EventsLost { earliest: Offset(0) };
    assert!(
        begun.iter().any(|a| matches!(a, Action::Report(Report::Paused(r)) if *r == reason)),
        "{begun:?}"
    );
    assert!(!begun.iter().any(|a| matches!(a, Action::Read { .. })), "{begun:?}");
    let seek = Input::Command { request: 1, command: Command::Seek(Offset(0)) };
    let sent = give(&mut dispatcher, 1, seek);
    let commit = sent.iter().find_map(|a| if let Action::Commit(t) = a { Some(t.clone()) } else { None });
    let commit = commit.expect("the seek is committed");
    let key = lost_key(&commit.fence.as_ref().expect("it has one").group, 0);
    assert!(commit.writes.iter().any(|w| w.key == key && w.op == Op::Delete), "{commit:?}");
}

#[test]
fn a_rejected_event_is_held_at_once() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = first_run(&mut dispatcher, 1);
    let failure = RunFailure { message: "no".into(), is_final: true, retry_after: None };
    let entry = only_entry(&fails(&mut dispatcher, &begun, failure));
    assert_eq!((entry.state, entry.attempts, entry.errors[0].error.as_str()), (EntryState::Held, 1, "no"));
}

#[test]
fn an_event_that_asks_for_time_gets_it() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = first_run(&mut dispatcher, 1);
    let failure = RunFailure { retry_after: Some(Duration::from_secs(90)), ..RunFailure::default() };
    let tx = fails(&mut dispatcher, &begun, failure);
    give(&mut dispatcher, 1, ok(tx.id));
    assert_eq!(only_entry(&tx).due, Millis(90_001));
    assert!(started(&actions(&mut dispatcher, 90_000)).is_none());
    // it has failed before, so that its start is durable first
    assert!(committed(&actions(&mut dispatcher, 90_001)).is_some());
}

#[test]
fn an_edited_event_runs_at_once_with_the_new_value_and_another_edit_number() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = first_run(&mut dispatcher, 1);
    let failure = RunFailure { is_final: true, ..RunFailure::default() };
    let tx = fails(&mut dispatcher, &begun, failure);
    give(&mut dispatcher, 1, ok(tx.id));
    let value = Bytes::from_static(b"{\"a\":1}");
    let edit = Command::Edit { offset: Offset(0), value: value.clone() };
    let edited = give(&mut dispatcher, 2, Input::Command { request: 5, command: edit });
    let answered = give(&mut dispatcher, 3, ok(committed(&edited).expect("a commit").id));
    assert!(answered.iter().any(|a| matches!(a, Action::Answer { request: 5, result: Ok(()) })));
    let begins = committed(&answered).expect("its start is durable first").id;
    let again = give(&mut dispatcher, 4, ok(begins));
    let start = started(&again).expect("a start");
    assert_eq!((start.edit, &start.edited, start.attempt), (1, &Some(value), 2));
}

#[test]
fn a_command_about_an_event_that_is_not_parked_says_so() {
    let mut dispatcher = dispatcher(Settings::default());
    let command = Command::Skip { offset: Offset(3), reason: "why".into() };
    let answered = give(&mut dispatcher, 0, Input::Command { request: 1, command });
    let is_refused =
        |a: &Action| matches!(a, Action::Answer { result: Err(CommandError::NotParked(Offset(3))), .. });
    assert!(answered.iter().any(is_refused));
}

#[test]
fn adds_of_several_events_commit_as_one() {
    let settings = Settings { max_concurrent: 1, ..Settings::default() };
    let mut dispatcher = dispatcher(settings);
    let mut begun = first_run(&mut dispatcher, 4);
    let mut commits = Vec::new();
    for _ in 0..4 {
        let run = started(&begun).expect("each starts when the one before is done").run;
        let key = StateKey { table: TableName::new("t").expect("valid"), generation: 0, key: "n".into() };
        let effects = Effects { writes: vec![(key, Op::Add(1))], ..Effects::default() };
        begun = give(&mut dispatcher, 0, Input::Ran { run, end: RunEnd::Ok(effects) });
        commits.extend(committed(&begun).cloned());
    }
    assert_eq!(commits.len(), 1, "one commit in flight at a time");
    let next = give(&mut dispatcher, 0, ok(commits[0].id));
    let rest = committed(&next).expect("the other three");
    assert_eq!(rest.advance.map(|a| (a.from, a.to)), Some((Offset(1), Offset(4))));
    assert_eq!(rest.writes.iter().map(|w| w.op.clone()).collect::<Vec<_>>(), [Op::Add(3)]);
}

#[test]
fn an_attempt_that_saw_a_row_that_expires_otherwise_runs_again() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = actions(&mut dispatcher, 0);
    assert!(started(&begun).is_none());
    let mut builder = RecordsBuilder::default();
    for (offset, key) in [(0, b"a"), (1, b"b")] {
        builder.push_encoded(AT, Offset(offset), Millis(0), Some(key), Some(b"{}"), &[]);
    }
    let begun = give(&mut dispatcher, 0, Input::Records { from: Offset::ZERO, records: builder.build() });
    let runs: Vec<_> = begun
        .iter()
        .filter_map(|a| if let Action::Start(start) = a { Some(start.run) } else { None })
        .collect();
    let key = StateKey { table: TableName::new("t").expect("valid"), generation: 0, key: "n".into() };
    let stored = Versioned { value: "5".into(), stamp: TxnId::new(WriterId(9), 1), expires: None };
    let seen = dispatcher.read(runs[1], &What::Key(key.clone()), Some(Stored::Row(Some(stored))));
    assert!(matches!(seen, Seen::View(View::Row(Some(row))) if row.expires.is_none()));
    // the same value, but it stops to count
    let writes = vec![(key, Op::Put { value: "5".into(), expires: Some(Millis(100)) })];
    let effects = Effects { writes, ..Effects::default() };
    give(&mut dispatcher, 1, Input::Ran { run: runs[1], end: RunEnd::Ok(Effects::default()) });
    let after = give(&mut dispatcher, 1, Input::Ran { run: runs[0], end: RunEnd::Ok(effects) });
    assert_eq!(started(&after).map(|start| start.offset), Some(Offset(1)));
}

fn rejected(id: TxnId) -> Input {
    Input::Replied { id, outcome: Err(CommitError::Rejected(Rejection::Malformed("no"))) }
}

fn ends_well(run: TxnId) -> Input {
    Input::Ran { run, end: RunEnd::Ok(Effects::default()) }
}

#[test]
fn what_the_log_refused_while_the_catalog_changed_runs_again_and_is_not_blamed() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = first_run(&mut dispatcher, 1);
    let sent = give(&mut dispatcher, 0, ends_well(started(&begun).expect("a start").run));
    give(&mut dispatcher, 1, Input::Catalog(CatalogVersion(1)));
    let refused = give(&mut dispatcher, 2, rejected(committed(&sent).expect("a commit").id));
    assert!(committed(&refused).is_none(), "nothing of the old catalog is committed");
    assert_eq!(started(&refused).expect("it starts again").catalog, CatalogVersion(1));
}

#[test]
fn a_parked_event_that_the_log_refused_while_the_catalog_changed_runs_again() {
    let mut dispatcher = dispatcher(Settings::default());
    let begun = first_run(&mut dispatcher, 1);
    let parked = fails(&mut dispatcher, &begun, RunFailure::default());
    give(&mut dispatcher, 1, ok(parked.id));
    let due = only_entry(&parked).due.0;
    let marked = committed(&actions(&mut dispatcher, due)).expect("its start is durable first").id;
    let again = give(&mut dispatcher, due, ok(marked));
    let sent = give(&mut dispatcher, due, ends_well(started(&again).expect("a start").run));
    give(&mut dispatcher, due, Input::Catalog(CatalogVersion(1)));
    let refused = give(&mut dispatcher, due, rejected(committed(&sent).expect("a commit").id));
    // as at each start of an event that has failed before: a mark first, and not the blame for the refusal
    let mark = only_entry(committed(&refused).expect("a mark"));
    assert_eq!((mark.started, mark.attempts), (true, 1));
}

/// The rows that are reserved when an attempt has conflicted over one row for the third time; it reads `n` and `m`.
fn reserved_after_three_conflicts(mutation: Option<Mutation>) -> Vec<What> {
    let mut dispatcher = dispatcher(Settings { mutation, ..Settings::default() });
    let mut begun = first_run(&mut dispatcher, 1);
    let row = |key: &'static str| StateKey {
        table: TableName::new("t").expect("valid"),
        generation: 0,
        key: key.into(),
    };
    for conflict in 1..=3 {
        let run = started(&begun).expect("it starts again").run;
        let stamp = TxnId::new(WriterId(9), conflict);
        let other = Versioned { value: conflict.to_string().into(), stamp, expires: None };
        for what in ["n", "m"].map(|key| What::Key(row(key))) {
            if !matches!(dispatcher.read(run, &what, None), Seen::View(_)) {
                dispatcher.read(run, &what, Some(Stored::Row(None)));
            }
        }
        let sent = give(&mut dispatcher, 0, ends_well(run));
        let stale =
            CommitError::Conflict { now: vec![(row("n"), Some(other))], ranges: Vec::new(), catalog: None };
        let id = committed(&sent).expect("a commit").id;
        begun = give(&mut dispatcher, 0, Input::Replied { id, outcome: Err(stale) });
    }
    begun
        .into_iter()
        .find_map(|a| if let Action::Reserve(whats) = a { Some(whats) } else { None })
        .expect("hot")
}

/// The simulation does not notice [`Mutation::ReserveOneKey`]: the conflicts of its log name all stale rows at once.
#[test]
fn all_rows_of_an_attempt_are_reserved_when_one_of_them_is_hot() {
    assert_eq!(reserved_after_three_conflicts(None).len(), 2);
    let with_the_mistake = reserved_after_three_conflicts(Some(Mutation::ReserveOneKey));
    assert_eq!(with_the_mistake.len(), 1, "the mistake shows here");
}
