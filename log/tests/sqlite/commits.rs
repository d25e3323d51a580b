//! What waits, what shares a batch, and what keeps the file small.

use super::*;

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
