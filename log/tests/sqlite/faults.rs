//! Commits that fail half way, files that are damaged or full.

use super::*;

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
