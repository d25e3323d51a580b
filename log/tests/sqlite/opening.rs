//! Opening: again, for others, beside others, and what is no log.

use super::*;

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
    raw.execute("UPDATE meta SET value = 99 WHERE name IN ('schema', 'oldest')", []).expect("written");
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
