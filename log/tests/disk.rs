//! Disks that are full, too small or read-only.
//!
//! A limit on the size of files needs no rights, so that case runs in a child under `ulimit`; the cases on a disk of
//! their own mount one, which needs root: run them with `--ignored`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use weir_log::conformance::{Fixture, add, events, key};
use weir_log::{CommitError, Driver, LogConfig, LogError, ReadLimit, SqliteOptions, SystemClock};
use weir_schema::{At, Offset, Transaction};

async fn open(path: &Path) -> Result<Fixture, LogError> {
    let driver = Driver::Sqlite { path: path.to_owned(), options: SqliteOptions::default() };
    let log = weir_log::open(LogConfig { driver, app: None, clock: Arc::new(SystemClock) }).await?;
    Ok(Fixture::new(log, Arc::default(), ()))
}

/// An event of 20 kB and a 1 for the counter that tells how many there are.
fn large(f: &Fixture, at: At) -> Arc<Transaction> {
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &[&"x".repeat(20_000)]));
    transaction.writes.push(add(&key("t", "n"), 1, transaction.id));
    Arc::new(transaction)
}

/// Commits until it is refused; returns how many were committed, and what was refused.
async fn fill(f: &Fixture, at: At) -> (u64, Arc<Transaction>, CommitError) {
    for committed in 0..1000 {
        let transaction = large(f, at);
        if let Err(error) = f.log.commit(transaction.clone()).await {
            return (committed, transaction, error);
        }
    }
    unreachable!("20 MB are more than there is room for");
}

/// Sends the same again a few times; none: it is still not known whether it was committed.
async fn insist(f: &Fixture, transaction: &Arc<Transaction>) -> Option<bool> {
    for _ in 0..3 {
        match f.log.commit(transaction.clone()).await {
            Ok(_) => return Some(true),
            Err(CommitError::Unavailable(_)) => return Some(false),
            Err(CommitError::Ambiguous(_)) => {}
            Err(other) => unreachable!("{other}"),
        }
    }
    None
}

/// Everything that was committed is there, whole: as many events as the counter tells.
async fn holds(f: &Fixture, at: At, expected: std::ops::RangeInclusive<u64>) -> u64 {
    let limit = ReadLimit { events: 10_000, bytes: 1 << 30 };
    let events = f.log.read(at, Offset(0), limit).await.expect("reads go on").len() as u64;
    assert_eq!(f.value(&key("t", "n")).await.unwrap_or_else(|| "0".into()), events.to_string());
    assert!(expected.contains(&events), "{events} events, {expected:?} expected");
    events
}

#[test]
fn a_file_that_cannot_grow_is_an_error_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let program = std::env::current_exe().expect("the test binary has a path");
    // without the trap the signal would end the process; with it writes past the limit fail
    let script =
        "trap '' XFSZ; ulimit -f 2000; exec \"$0\" --exact the_process_with_a_limit --ignored --nocapture";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell runs");
    let path = folder.path().join("log.db");
    let mut orders = child.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut orders, path.display().to_string().as_bytes()).expect("it listens");
    drop(orders);
    let output = child.wait_with_output().expect("it has ended");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("the limit was met"), "{text}");
    check_without_limit(&path);
}

#[tokio::main(flavor = "current_thread")]
async fn check_without_limit(path: &Path) {
    let f = open(path).await.expect("the file is sound");
    let at = f.partition().await;
    let stored = f.log.topics().await.expect("listed")[0].tail[0].0;
    assert!(stored > 10, "{stored} were committed");
    holds(&f, at, stored..=stored).await;
    f.log.commit(large(&f, at)).await.expect("there is no limit now");
}

#[tokio::test]
#[ignore = "it is started by a_file_that_cannot_grow_is_an_error_and_keeps_what_it_has"]
async fn the_process_with_a_limit() {
    let path = std::io::read_to_string(std::io::stdin()).expect("orders come");
    if path.is_empty() {
        return;
    }
    let f = open(Path::new(&path)).await.expect("there is room for a log");
    let at = f.partition().await;
    let mut committed = 0;
    for _ in 0..5 {
        let (more, refused, error) = fill(&f, at).await;
        assert!(matches!(error, CommitError::Unavailable(_) | CommitError::Ambiguous(_)), "{error}");
        committed += more;
        match insist(&f, &refused).await {
            Some(applied) => committed += u64::from(applied),
            // the file cannot be opened again either
            None => committed = holds(&f, at, committed..=committed + 1).await,
        }
        holds(&f, at, committed..=committed).await;
    }
    use std::io::Write as _;
    writeln!(std::io::stdout(), "the limit was met").expect("the parent reads");
}

/// A disk of its own, unmounted when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(options: &str) -> Self {
        let disk = Self(tempfile::tempdir().expect("a folder is made"));
        disk.run(&["-t", "tmpfs", "-o", options, "tmpfs"]);
        disk
    }

    fn remount(&self, options: &str) {
        self.run(&["-o", options]);
    }

    fn run(&self, arguments: &[&str]) {
        let status = Command::new("mount").args(arguments).arg(self.0.path()).status().expect("mount runs");
        assert!(status.success(), "mounting needs root");
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("log.db")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // lazily: the log may still have it open
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

#[tokio::test]
#[ignore = "needs root: mounts a tmpfs"]
async fn a_full_disk_is_an_error_and_passes_when_there_is_room_again() {
    let disk = Disk::mount("size=3m");
    let f = open(&disk.path()).await.expect("there is room for a log");
    let at = f.partition().await;
    let (committed, refused, error) = fill(&f, at).await;
    assert!(error.to_string().contains("full") || error.to_string().contains("disk"), "{error}");
    insist(&f, &refused).await;
    let stored = holds(&f, at, committed..=committed + 1).await;
    disk.remount("remount,size=50m");
    f.log.commit(refused).await.expect("there is room");
    let stored = holds(&f, at, committed + 1..=stored + 1).await;
    f.log.commit(large(&f, at)).await.expect("there is room");
    holds(&f, at, stored + 1..=stored + 1).await;
    assert_eq!(stored, committed + 1);
}

#[tokio::test]
#[ignore = "needs root: mounts a tmpfs"]
async fn a_read_only_disk_is_an_error_and_passes_when_it_is_writable() {
    let disk = Disk::mount("size=20m");
    let f = open(&disk.path()).await.expect("there is room for a log");
    let at = f.partition().await;
    f.log.commit(large(&f, at)).await.expect("it is writable");
    f.log.close().await.expect("closed");
    drop(f);
    disk.remount("remount,ro");
    let error = open(&disk.path()).await.expect_err("it is read-only");
    assert!(matches!(error, LogError::Unavailable { retry: false, .. }), "{error:?}");
    disk.remount("remount,rw");
    let f = open(&disk.path()).await.expect("it is writable again");
    holds(&f, at, 1..=1).await;
}

/// A file that nobody may change while this lives, though it is open for writing: as when a file system that met an
/// error of its disk goes on read-only.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn set(path: &'a Path) -> Self {
        assert!(Self::change("+i", path), "it needs root and a file system with attributes");
        Self(path)
    }

    fn change(attribute: &str, path: &Path) -> bool {
        Command::new("chattr").arg(attribute).arg(path).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        Self::change("-i", self.0);
    }
}

#[tokio::test]
#[ignore = "needs root: makes a file immutable"]
async fn a_log_that_turns_read_only_while_it_is_open_is_an_error_and_passes() {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    let f = open(&path).await.expect("there is room for a log");
    let at = f.partition().await;
    f.log.commit(large(&f, at)).await.expect("it is writable");
    let refused = large(&f, at);
    {
        let ahead = folder.path().join("log.db-wal");
        let _files = [Immutable::set(&path), Immutable::set(&ahead)];
        let error = f.log.commit(refused.clone()).await.expect_err("nothing can be written");
        assert!(matches!(error, CommitError::Unavailable(_) | CommitError::Ambiguous(_)), "{error}");
        holds(&f, at, 1..=1).await;
    }
    f.log.commit(refused).await.expect("it is writable again, and was not applied before");
    holds(&f, at, 2..=2).await;
}
