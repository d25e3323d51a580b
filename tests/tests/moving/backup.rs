//! Backups of a log that is served, and what is restored from them.

use super::{fails_with, line};
use std::path::Path;
use std::time::Duration;
use weir_tests::{Found, Load, LogPlace, Sandbox, counting};

/// Does what the guide says to do with a backup, while no server runs.
fn restore(sandbox: &Sandbox, backup: &Path) {
    let data = sandbox.project().join(".weir");
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        // of a server that has stopped cleanly only the first is there
        std::fs::remove_file(data.join(name)).ok();
    }
    std::fs::copy(backup, data.join("log.db")).expect("put the backup into its place");
}

#[tokio::test]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_began_and_nothing_runs_twice_after_it()
{
    let sandbox = counting(LogPlace::sqlite());
    let server = sandbox.dev().await;
    let load = Load::start(8, Duration::from_millis(1), &[&server]);
    load.until_acknowledged(300).await;
    let before = load.sent().acknowledged;
    let made = line(sandbox.weir(&["backup", "kept.db", "--json"]).await);
    load.until_acknowledged(100).await;
    server.kill();
    drop(load);

    assert!(made["events"].as_u64().expect("a number") >= before.len() as u64, "{made}");
    restore(&sandbox, &sandbox.project().join("kept.db"));
    let server = sandbox.dev().await;
    let found = Found::of(&sandbox).await;
    found.check(&before);
    assert_eq!(found.appended.len() as u64, made["events"]);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn a_backup_replaces_nothing_unasked_and_leaves_nothing_beside_it() {
    let sandbox = counting(LogPlace::sqlite());
    fails_with(&sandbox.weir(&["backup", "kept.db"]).await, 1, &[".weir/log.db: there is no log"]);
    sandbox.weir(&["call", "hit", r#"{"id":"1"}"#]).await.succeeded();
    let first = line(sandbox.weir(&["backup", "kept.db", "--json"]).await);
    assert_eq!(first["events"], 1);
    sandbox.weir(&["call", "hit", r#"{"id":"2"}"#]).await.succeeded();
    fails_with(&sandbox.weir(&["backup", "kept.db"]).await, 1, &["kept.db is there already", "--yes"]);
    let second = line(sandbox.weir(&["backup", "kept.db", "--yes", "--json"]).await);
    assert_eq!(second["events"], 2);

    fails_with(&sandbox.weir(&["backup", ".weir/log.db", "--yes"]).await, 1, &["cannot be the backup"]);
    fails_with(&sandbox.weir(&["backup", "none/kept.db"]).await, 1, &["none/kept.db.part"]);
    fails_with(&sandbox.weir(&["backup", "x", "--url", "http://127.0.0.1:1"]).await, 2, &["without --url"]);
    let kept = std::fs::read_dir(sandbox.project()).expect("read the folder");
    let kept: Vec<_> = kept.map(|entry| entry.expect("read the folder").file_name()).collect();
    assert_eq!(kept.iter().filter(|name| name.to_string_lossy().contains("kept")).count(), 1, "{kept:?}");
}

#[tokio::test]
async fn a_log_in_postgres_is_backed_up_by_the_line_that_is_told() {
    let sandbox = counting(LogPlace::postgres());
    let told = sandbox.weir(&["backup", "kept.dump"]).await;
    fails_with(&told, 2, &["pg_dump --format=custom --schema=case_", "--file=kept.dump postgres://"]);
}
