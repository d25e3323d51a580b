//! What only a log in a file can show: reopening, several processes' worth of logs on one file, faults of the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use weir_log::conformance::ownership::Owner;
use weir_log::conformance::{Fixture, add, events, group, key, offsets, put, saw};
use weir_log::{
    BoxError, CommitError, Driver, FaultPoint, Faults, Log, LogConfig, LogError, ManualClock, SqliteOptions,
};
use weir_schema::{AppName, At, Offset, Op, TopicId, Write};

/// Fails at one point, so many times.
#[derive(Debug)]
struct Fails {
    at: FaultPoint,
    times: AtomicU32,
}

impl Faults for Fails {
    fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        let left = |n: u32| n.checked_sub(1);
        let fails =
            point == self.at && self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok();
        if fails { Err(format!("injected at {point:?}").into()) } else { Ok(()) }
    }
}

async fn open(path: &Path, app: Option<&str>, options: SqliteOptions) -> Result<Arc<dyn Log>, LogError> {
    let driver = Driver::Sqlite { path: path.to_owned(), options };
    let app = app.map(|app| AppName::new(app).expect("valid"));
    weir_log::open(LogConfig { driver, app, clock: Arc::new(ManualClock::default()) }).await
}

async fn fixture(path: &Path, options: SqliteOptions) -> Fixture {
    let log = open(path, None, options).await.expect("the log is opened");
    Fixture::new(log, Arc::new(ManualClock::default()), ())
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    (folder, path)
}

fn failing(at: FaultPoint) -> SqliteOptions {
    let fails = Fails { at, times: AtomicU32::new(0) };
    SqliteOptions { faults: Some(Arc::new(fails)), ..SqliteOptions::default() }
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    first.append(at, &["a", "b"]).await;
    first.log.trim(at, Offset(1)).await.expect("trimmed");
    let stamp = first.put(&key("t", "k"), "{\"a\": 1}").await;
    first.put(&key("_weir_catalog", "c"), "1").await;
    first.put(&key("_weir_control", "c"), "1").await;
    let mut owner = Owner::join(&first, "events/f", at).await;
    owner.move_to(&first, 2).await;
    let (topics, writer) = (first.log.topics().await.expect("listed"), first.log.capabilities().writer);
    let (positions, hint) =
        (first.log.positions(None).await.expect("listed"), first.log.watch().borrow().clone());
    first.log.close().await.expect("closed");

    let second = fixture(&path, SqliteOptions::default()).await;
    assert_ne!(second.log.capabilities().writer, writer);
    assert_eq!(second.log.topics().await.expect("listed"), topics);
    assert_eq!(second.log.positions(None).await.expect("listed"), positions);
    assert_eq!(*second.log.watch().borrow(), hint);
    assert_eq!(second.values(at, 1).await, [(1, "b".to_owned())]);
    assert_eq!(second.row(&key("t", "k")).await.expect("there").stamp, stamp);
    assert_eq!(offsets(&second.append(at, &["c"]).await), [2]);
    let again = Owner::join(&second, "events/f", at).await;
    assert_eq!((again.position, again.unclean), (Offset(2), 1));
}

#[tokio::test]
async fn a_dropped_log_commits_what_was_enqueued() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    let mut transaction = first.transaction();
    transaction.appends.push(events(at, &["a"]));
    let commit = first.log.commit(Arc::new(transaction));
    drop(first);
    commit.await.expect("it was enqueued");
    let second = fixture(&path, SqliteOptions::default()).await;
    assert_eq!(second.values(at, 0).await.len(), 1);
}

#[tokio::test]
async fn another_applications_log_is_refused() {
    let (_folder, path) = folder();
    drop(open(&path, Some("shop"), SqliteOptions::default()).await.expect("it is new"));
    drop(open(&path, Some("shop"), SqliteOptions::default()).await.expect("it is shop's"));
    drop(open(&path, None, SqliteOptions::default()).await.expect("nobody in particular"));
    let error = open(&path, Some("bank"), SqliteOptions::default()).await.expect_err("it is shop's");
    assert!(!error.is_retryable());
    let message = error_chain(&error);
    assert!(message.contains("\"shop\"") && message.contains("\"bank\""), "{message}");
}

#[tokio::test]
async fn files_that_are_no_log_of_this_program_are_refused() {
    let (folder, newer) = folder();
    drop(open(&newer, None, SqliteOptions::default()).await.expect("opened"));
    let raw = rusqlite::Connection::open(&newer).expect("opened");
    raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'", []).expect("written");
    let foreign = folder.path().join("foreign.db");
    let raw = rusqlite::Connection::open(&foreign).expect("opened");
    raw.execute_batch("CREATE TABLE theirs(a)").expect("written");
    for (path, word) in [(newer, "99"), (foreign, "not one of Weir's")] {
        let error = open(&path, None, SqliteOptions::default()).await.expect_err("it is no log");
        assert!(matches!(error, LogError::Unavailable { retry: false, .. }), "{error:?}");
        assert!(error_chain(&error).contains(word), "{error:?}");
    }
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "this is a text, and longer than a header of SQLite's is: one hundred bytes".repeat(30),
    )
    .expect("written");
    let error = open(&text, None, SqliteOptions::default()).await.expect_err("it is a text");
    assert!(matches!(error, LogError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_no_panic() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    let long = "x".repeat(3000);
    for _ in 0..20 {
        first.append(at, &[&long]).await;
    }
    first.log.close().await.expect("closed");
    let mut bytes = std::fs::read(&path).expect("read");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..].fill(0xa5);
    std::fs::write(&path, bytes).expect("written");
    let second = fixture(&path, SqliteOptions::default()).await;
    let error = second.log.read(at, Offset(0), weir_log::ReadLimit::default()).await.expect_err("damaged");
    assert!(matches!(error, LogError::Corrupt { .. }), "{error:?}");
    let mut append = second.transaction();
    append.appends.push(events(at, &["x"]));
    let error = second.commit(append).await.expect_err("damaged");
    let CommitError::Unavailable(source) = error else { unreachable!("{error:?}") };
    assert!(source.to_string().contains("is damaged"), "{source}");
}

/// Says when a batch has been taken, and lets it go on when it is told to.
#[derive(Debug)]
struct Held {
    taken: std::sync::mpsc::SyncSender<()>,
    go_on: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Faults for Held {
    fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        if point == FaultPoint::Taken && self.taken.send(()).is_ok() {
            // an error: the test has let everything go
            self.go_on.lock().expect("nobody panics with it").recv().unwrap_or(());
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_full_queue_answers_unavailable_at_once() {
    let (_folder, path) = folder();
    let ((taken, wait), (go_on, held)) = (std::sync::mpsc::sync_channel(0), std::sync::mpsc::sync_channel(1));
    let faults = Arc::new(Held { taken, go_on: std::sync::Mutex::new(held) });
    let f =
        fixture(&path, SqliteOptions { queue: 3, faults: Some(faults), ..SqliteOptions::default() }).await;
    let at = f.partition().await;
    let commit = || {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &["x"]));
        f.log.commit(Arc::new(transaction))
    };
    let mut waiting = vec![commit()];
    wait.recv().expect("the first is taken");
    waiting.extend([commit(), commit(), commit()]);
    for _ in 0..3 {
        let refused = commit().await;
        assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    }
    drop((wait, go_on));
    for (n, commit) in (0..).zip(waiting) {
        assert_eq!(offsets(&commit.await.expect("it was in the queue")), [n]);
    }
}

/// What is in one batch is checked against what the batch has written before it; a repeat gets the first receipt.
#[tokio::test]
async fn members_of_one_batch_see_one_another() {
    let (_folder, path) = folder();
    let ((taken, wait), (go_on, held)) = (std::sync::mpsc::sync_channel(0), std::sync::mpsc::sync_channel(1));
    let faults = Arc::new(Held { taken, go_on: std::sync::Mutex::new(held) });
    let f = fixture(&path, SqliteOptions { faults: Some(faults), ..SqliteOptions::default() }).await;
    let (at, row) = (f.partition().await, key("t", "k"));
    let mut first = f.transaction();
    first.appends.push(events(at, &["first"]));
    let first = f.log.commit(Arc::new(first));
    wait.recv().expect("the first is taken; what follows waits for the next batch");
    let reading = || {
        let mut transaction = f.transaction();
        transaction.reads.push(saw(&row, None));
        transaction.writes.push(put(&row, "1", transaction.id));
        transaction.writes.push(add(&key("t", "n"), 2, transaction.id));
        transaction.appends.push(events(at, &["x"]));
        Arc::new(transaction)
    };
    let (winner, loser) = (reading(), reading());
    let commits = [&winner, &winner, &loser, &winner].map(|t| f.log.commit(t.clone()));
    drop((wait, go_on));
    first.await.expect("committed");
    let [one, twin, loser, again] = commits;
    let receipt = one.await.expect("committed");
    assert_eq!((offsets(&receipt), receipt.sums.to_vec()), (vec![1], vec![(key("t", "n"), 2)]));
    assert_eq!((twin.await.expect("known"), again.await.expect("known")), (receipt.clone(), receipt));
    let conflict = loser.await;
    let sees = |now: &Vec<(_, Option<weir_schema::Versioned>)>| {
        now[0].1.as_ref().map(|v| v.stamp) == Some(winner.id)
    };
    assert!(matches!(&conflict, Err(CommitError::Conflict { now, .. }) if sees(now)), "{conflict:?}");
    assert_eq!(f.values(at, 0).await.len(), 2);
}

#[tokio::test]
async fn a_lock_that_others_keep_is_unavailable_and_passes() {
    let (_folder, path) = folder();
    let options = SqliteOptions { busy: Duration::from_millis(20), ..SqliteOptions::default() };
    let f = fixture(&path, options).await;
    let at = f.partition().await;
    let raw = rusqlite::Connection::open(&path).expect("opened");
    raw.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["x"]));
    let transaction = Arc::new(transaction);
    let refused = f.log.commit(transaction.clone()).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    assert_eq!(f.values(at, 0).await, []);
    raw.execute_batch("ROLLBACK").expect("unlocked");
    f.log.commit(transaction).await.expect("the lock is free");
    assert_eq!(f.values(at, 0).await.len(), 1);
}

/// Both fates of a commit that failed, for transactions with and without anything to be recognised by.
#[tokio::test]
async fn a_failed_commit_is_ambiguous_and_sent_again_applies_once() {
    for point in [FaultPoint::Applied, FaultPoint::Committed] {
        let (_folder, path) = folder();
        let fails = Arc::new(Fails { at: point, times: AtomicU32::new(0) });
        let options = SqliteOptions { faults: Some(fails.clone()), ..SqliteOptions::default() };
        let f = fixture(&path, options).await;
        let at = f.partition().await;
        let mut owner = Owner::join(&f, "events/f", at).await;
        let before = f.put(&key("t", "k"), "1").await;
        let mut blind = f.transaction();
        blind.appends.push(events(at, &["blind"]));
        blind.writes.push(add(&key("t", "n"), 5, blind.id));
        let mut reading = f.transaction();
        reading.reads.push(saw(&key("t", "k"), Some(before)));
        reading.writes.push(put(&key("t", "k"), "2", reading.id));
        let mut moving = f.transaction();
        (moving.fence, moving.advance) = owner.advance(3);
        moving.appends.push(events(at, &["moving"]));
        let mut expected = Vec::new();
        for transaction in [blind, reading, moving].map(Arc::new) {
            fails.times.store(1, Ordering::SeqCst);
            let outcome = f.log.commit(transaction.clone()).await;
            assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{point:?}: {outcome:?}");
            expected.push(f.log.commit(transaction.clone()).await.expect("its fate is settled"));
            assert_eq!(f.log.commit(transaction).await.ok().as_ref(), expected.last());
        }
        assert_eq!(expected[0].sums.to_vec(), [(key("t", "n"), 5)]);
        let values: Vec<_> = f.values(at, 0).await.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["blind", "moving"], "{point:?}");
        assert_eq!(f.value(&key("t", "n")).await.as_deref(), Some("5"));
        assert_eq!(owner.stored(&f).await.position, Offset(3));
        f.log.watch().wait_for(|hint| hint.tails.get(&at) == Some(&Offset(2))).await.expect("open");
    }
}

/// The ledger is the process's: after a restart the refusal tells that it was applied.
#[tokio::test]
async fn after_a_restart_the_refusal_tells_that_it_was_applied() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    let mut owner = Owner::join(&first, "events/f", at).await;
    let mut moving = first.transaction();
    (moving.fence, moving.advance) = owner.advance(3);
    let moving = Arc::new(moving);
    first.log.commit(moving.clone()).await.expect("committed");
    first.log.close().await.expect("closed");
    let second = fixture(&path, SqliteOptions::default()).await;
    let outcome = second.log.commit(moving).await;
    assert!(matches!(outcome, Err(CommitError::Moved(Offset(3)))), "{outcome:?}");
}

#[tokio::test]
async fn a_failure_before_the_commit_is_unavailable_and_leaves_nothing() {
    let (_folder, path) = folder();
    let f = fixture(&path, failing(FaultPoint::Taken)).await;
    let at = f.partition().await;
    f.append(at, &["a"]).await;
    assert_eq!(f.values(at, 0).await.len(), 1);
    let fails = Arc::new(Fails { at: FaultPoint::Taken, times: AtomicU32::new(1) });
    let (_folder, path) = folder();
    let f = fixture(&path, SqliteOptions { faults: Some(fails), ..SqliteOptions::default() }).await;
    let at = f.partition().await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["x"]));
    let transaction = Arc::new(transaction);
    let outcome = f.log.commit(transaction.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
    assert_eq!(f.values(at, 0).await, []);
    assert_eq!(offsets(&f.log.commit(transaction).await.expect("the fault has passed")), [0]);
}

/// One log owns the partitions; another on the same file reads, writes and hears news, and takes over when the first
/// one ends.
#[tokio::test]
async fn two_logs_share_a_file_and_hand_its_partitions_over() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let second = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    let owner = Owner::join(&first, "events/f", at).await;
    let membership = second.log.join(&group("events/f"), &[(at, Offset(9))]).await.expect("joined");
    for round in 0..5 {
        first.append(at, &["first"]).await;
        second.append(at, &["second"]).await;
        let both = |hint: &weir_log::Hint| hint.tails.get(&at) == Some(&Offset(2 * round + 2));
        first.log.watch().wait_for(both).await.expect("open");
        second.log.watch().wait_for(both).await.expect("open");
        first.put(&key("_weir_catalog", "c"), "1").await;
        let version = first.catalog();
        second.log.watch().wait_for(|hint| hint.catalog == version).await.expect("open");
    }
    assert_eq!(second.values(at, 0).await, first.values(at, 0).await);
    assert!(second.log.watch().borrow().tails.contains_key(&at));
    assert_eq!(owner.stored(&second).await.epoch, owner.epoch, "the second has taken nothing over");
    first.log.close().await.expect("closed");
    let next = Owner::wait(membership, group("events/f"), at).await;
    assert!(next.epoch > owner.epoch);
    assert_eq!((next.position, next.unclean), (Offset(0), 1));
}

#[tokio::test]
async fn a_file_without_room_is_unavailable_and_works_again_when_there_is() {
    let (_folder, path) = folder();
    let f = fixture(&path, SqliteOptions { max_pages: Some(60), ..SqliteOptions::default() }).await;
    let at = f.partition().await;
    let (long, ballast) = ("x".repeat(8000), key("t", "ballast"));
    f.put(&ballast, &"x".repeat(40_000)).await;
    let (mut committed, mut full) = (0_u64, None);
    while full.is_none() {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &[&long]));
        transaction.writes.push(add(&key("t", "n"), 1, transaction.id));
        let transaction = Arc::new(transaction);
        match f.log.commit(transaction.clone()).await {
            Ok(_) => committed += 1,
            Err(CommitError::Unavailable(source)) => full = Some((transaction, source.to_string())),
            Err(other) => unreachable!("{other:?}"),
        }
        assert!(committed < 100, "the bound has no effect");
    }
    let (refused, message) = full.expect("it is full");
    assert!(message.contains("full") && message.contains("free some space"), "{message}");
    assert_eq!(f.values(at, 0).await.len() as u64, committed);
    assert_eq!(f.value(&key("t", "n")).await, Some(committed.to_string()));
    let mut delete = f.transaction();
    delete.writes.push(Write { key: ballast, op: Op::Delete, stamp: delete.id });
    f.done(delete).await;
    assert_eq!(offsets(&f.log.commit(refused).await.expect("there is room")), [committed], "no hole");
    assert_eq!(f.value(&key("t", "n")).await, Some((committed + 1).to_string()));
    assert_eq!(f.values(at, 0).await.last().map(|(o, _)| *o), Some(committed));
}

/// While it cannot be opened again, what was ambiguous stays so; nobody is told that it was not applied.
#[tokio::test]
async fn what_is_ambiguous_stays_so_until_it_is_known() {
    let (folder, path) = folder();
    let fails = Arc::new(Fails { at: FaultPoint::Committed, times: AtomicU32::new(0) });
    let options = SqliteOptions { faults: Some(fails.clone()), ..SqliteOptions::default() };
    let f = fixture(&path, options).await;
    let at = f.partition().await;
    let mut unsure = f.transaction();
    unsure.appends.push(events(at, &["unsure"]));
    let unsure = Arc::new(unsure);
    fails.times.store(1, Ordering::SeqCst);
    let outcome = f.log.commit(unsure.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{outcome:?}");
    let away = folder.path().join("away");
    std::fs::create_dir(&away).expect("made");
    std::fs::rename(&path, away.join("log.db")).expect("moved");
    std::fs::create_dir(&path).expect("a folder stands in the way");
    let mut other = f.transaction();
    other.appends.push(events(at, &["other"]));
    let other = Arc::new(other);
    let outcome = f.log.commit(unsure.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Ambiguous(_))), "{outcome:?}");
    let outcome = f.log.commit(other.clone()).await;
    assert!(matches!(outcome, Err(CommitError::Unavailable(_))), "{outcome:?}");
    std::fs::remove_dir(&path).expect("removed");
    std::fs::rename(away.join("log.db"), &path).expect("moved back");
    assert_eq!(offsets(&f.log.commit(unsure).await.expect("known now")), [0]);
    assert_eq!(offsets(&f.log.commit(other).await.expect("committed")), [1]);
}

/// Checkpoints keep up, so that the write-ahead log begins again at its start and stays small.
#[tokio::test]
async fn the_write_ahead_log_stays_bounded_under_load() {
    let (_folder, path) = folder();
    let f = fixture(&path, SqliteOptions::default()).await;
    let at = f.partition().await;
    let long = "x".repeat(1 << 20);
    for _ in 0..160 {
        f.append(at, &[&long]).await;
    }
    let wal = std::fs::metadata(path.with_file_name("log.db-wal")).expect("it is there").len();
    assert!(wal < 100 << 20, "{wal} bytes for 160 MiB of events");
}

/// Many that find no file make one together.
#[test]
fn a_new_file_may_be_opened_by_many_at_once() {
    for _ in 0..10 {
        let (_folder, path) = folder();
        let start = std::sync::Barrier::new(8);
        let open_one = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            start.wait();
            runtime.block_on(async {
                let f = fixture(&path, SqliteOptions::default()).await;
                let at = f.partition().await;
                offsets(&f.append(at, &["x"]).await)[0]
            })
        };
        let mut got: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open_one)).collect();
            threads.into_iter().map(|t| t.join().expect("each opens it")).collect()
        });
        got.sort_unstable();
        assert_eq!(got, (0..8).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_views_are_readable() {
    let (_folder, path) = folder();
    let f = fixture(&path, SqliteOptions::default()).await;
    let at = f.partition().await;
    f.append(at, &["{\"a\":1}"]).await;
    f.put(&key("t", "k"), "7").await;
    let _owner = Owner::join(&f, "events/f", at).await;
    let raw = rusqlite::Connection::open(&path).expect("opened");
    let text =
        |sql: &str| raw.query_row(sql, [], |row| row.get::<_, String>(0)).expect("the view is readable");
    let event = "SELECT topic || '/' || partition || '/' || \"offset\" || ' ' || value || ' ' || time FROM event_view";
    assert_eq!(text(event), "events/0/0 {\"a\":1} 1970-01-01T00:00:00.000Z");
    assert_eq!(text("SELECT \"table\" || '[' || key || '] = ' || value FROM state_view"), "t[k] = 7");
    assert_eq!(
        text("SELECT \"group\" || ' ' || topic || ' ' || lag FROM position_view"),
        "events/f events 1"
    );
}

#[tokio::test]
async fn a_trim_of_many_events_goes_in_steps() {
    let (_folder, path) = folder();
    let f = fixture(&path, SqliteOptions::default()).await;
    let at = f.partition().await;
    let values = vec!["x"; 5000];
    f.append(at, &values).await;
    f.append(at, &values).await;
    let (trim, append) = tokio::join!(f.log.trim(at, Offset(9_500)), f.append(at, &["y"]));
    assert_eq!((trim.expect("trimmed"), offsets(&append)), (Offset(9_500), vec![10_000]));
    let unknown = At { topic: TopicId(77), partition: 0 };
    assert!(matches!(f.log.trim(unknown, Offset(1)).await, Err(LogError::NoTopic(_))));
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}

#[tokio::test]
async fn a_transaction_that_does_not_fit_fails_alone() {
    let (_folder, path) = folder();
    let first = fixture(&path, SqliteOptions::default()).await;
    let at = first.partition().await;
    first.log.close().await.expect("closed");
    let ((taken, wait), (go_on, held)) = (std::sync::mpsc::sync_channel(0), std::sync::mpsc::sync_channel(1));
    let faults = Arc::new(Held { taken, go_on: std::sync::Mutex::new(held) });
    let options = SqliteOptions { max_pages: Some(100), faults: Some(faults), ..SqliteOptions::default() };
    let f = fixture(&path, options).await;
    let enqueue = |text: &str| {
        let mut transaction = f.transaction();
        transaction.appends.push(events(at, &[text]));
        transaction.writes.push(add(&key("t", "n"), 1, transaction.id));
        f.log.commit(Arc::new(transaction))
    };
    let before = enqueue("first");
    wait.recv().expect("the first is taken; what follows waits for the next batch");
    let [a, too_large, b] = ["a", &"x".repeat(500_000), "b"].map(enqueue);
    drop((wait, go_on));
    for fits in [before, a, b] {
        fits.await.expect("there is room for it");
    }
    let error = too_large.await.expect_err("100 pages hold no 500 kB");
    assert!(matches!(&error, CommitError::Unavailable(e) if e.to_string().contains("full")), "{error:?}");
    let values: Vec<_> = f.values(at, 0).await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["first", "a", "b"]);
    assert_eq!(f.value(&key("t", "n")).await.as_deref(), Some("3"));
}
