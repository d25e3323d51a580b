//! Room in the write-ahead log, made before commits need it.
//!
//! The sync of a file that has grown waits for the file system's journal too, which takes about half as long again. A
//! write-ahead log that has been checkpointed starts over at its beginning and no longer grows; a new one is made as
//! long from the start, with zeros, which SQLite takes for what they are: no frame. Only zeros that are really written
//! help: blocks that are merely reserved cost the journal the same when they are first used.

use crate::BoxError;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// How long the file is made: what it reaches before the committer checkpoints itself, and one batch.
const ROOM: u64 = 20 << 20;
/// By how much it is lengthened at once. The committer waits as long.
const STEP: usize = 1 << 20;

/// Makes the write-ahead log of `connection` as long as it will be.
pub(super) fn make(connection: &Connection) -> Result<(), BoxError> {
    let path = format!("{}-wal", connection.path().unwrap_or_default());
    let mut wal = File::options().write(true).open(path)?;
    while step(connection, &mut wal)? {}
    Ok(())
}

/// Lengthens `wal` by one step; false: it is long enough.
fn step(connection: &Connection, wal: &mut File) -> Result<bool, BoxError> {
    if wal.metadata()?.len() >= ROOM {
        return Ok(false);
    }
    // whoever holds this is the only one, in any process, who may write the file
    let lock = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    lengthen(wal)?;
    drop(lock);
    wal.sync_data()?;
    Ok(true)
}

/// What cannot be written whole is given back: there may be better use for the disk's last blocks.
fn lengthen(wal: &mut File) -> io::Result<()> {
    let end = wal.seek(SeekFrom::End(0))?;
    wal.write_all(&vec![0; STEP]).or_else(|error| wal.set_len(end).and(Err(error)))
}

#[cfg(test)]
mod tests {
    use super::super::connection;
    use super::*;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    /// A file with a table, and the connection that writes it.
    fn file(folder: &Path) -> Connection {
        let connection =
            connection::open_writer(&folder.join("log.db"), Duration::ZERO, None).expect("opened");
        connection.execute_batch("CREATE TABLE t(n INTEGER PRIMARY KEY)").expect("a table is made");
        connection
    }

    fn add(connection: &Connection, n: u32) {
        connection.execute("INSERT INTO t VALUES (?1)", [n]).expect("committed");
    }

    fn checkpoint(connection: &Connection, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        connection.query_row(&sql, [], |_| Ok(())).expect("checkpointed");
    }

    fn wal(folder: &Path) -> File {
        File::options().write(true).open(folder.join("log.db-wal")).expect("it is there")
    }

    fn length(folder: &Path) -> u64 {
        wal(folder).metadata().expect("it has some").len()
    }

    /// What is found by whoever opens the files after their process was killed now.
    fn after_a_crash(folder: &Path) -> Vec<u32> {
        let copy = tempfile::tempdir().expect("a folder is made");
        for name in ["log.db", "log.db-wal"] {
            std::fs::copy(folder.join(name), copy.path().join(name)).expect("copied");
        }
        let connection =
            connection::open_reader(&copy.path().join("log.db"), Duration::ZERO).expect("opened");
        let sound: String =
            connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
        assert_eq!(sound, "ok");
        let mut statement = connection.prepare("SELECT n FROM t ORDER BY n").expect("sound");
        let rows = statement.query_map([], |row| row.get(0)).expect("read");
        rows.collect::<Result<_, _>>().expect("read")
    }

    #[test]
    fn what_is_committed_before_room_is_made_and_after_it_outlives_a_crash() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let connection = file(folder.path());
        add(&connection, 1);
        let mut wal = wal(folder.path());
        assert!(step(&connection, &mut wal).expect("there is space"));
        assert_eq!(after_a_crash(folder.path()), [1]);
        add(&connection, 2);
        assert_eq!(after_a_crash(folder.path()), [1, 2]);
        make(&connection).expect("there is space");
        let long = length(folder.path());
        assert!(long >= ROOM);
        checkpoint(&connection, "PASSIVE");
        add(&connection, 3);
        assert_eq!(after_a_crash(folder.path()), [1, 2, 3]);
        assert_eq!(length(folder.path()), long, "it starts over in the room that it has");
    }

    #[test]
    fn a_log_of_nothing_but_room_is_an_empty_one() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let connection = file(folder.path());
        add(&connection, 1);
        checkpoint(&connection, "TRUNCATE");
        assert_eq!(length(folder.path()), 0);
        make(&connection).expect("there is space");
        assert_eq!(after_a_crash(folder.path()), [1]);
        add(&connection, 2);
        assert_eq!(after_a_crash(folder.path()), [1, 2]);
    }

    #[test]
    fn no_room_is_made_while_another_writes() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let writer = file(folder.path());
        let other = connection::open_checkpointer(&folder.path().join("log.db"), Duration::ZERO);
        let other = other.expect("opened");
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)").expect("begun");
        let before = length(folder.path());
        make(&other).expect_err("the lock is taken");
        assert_eq!(length(folder.path()), before);
        writer.execute_batch("COMMIT").expect("committed");
        make(&other).expect("the lock is free");
    }

    #[test]
    fn a_step_that_does_not_fit_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder is made");
        // without the trap the signal would end the process; with it writes past the limit fail
        let script =
            "trap '' XFSZ; ulimit -f 1000; exec \"$0\" the_process_with_a_limit --ignored --nocapture";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(std::env::current_exe().expect("the test binary has a path"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell runs");
        let mut orders = child.stdin.take().expect("it is piped");
        orders.write_all(folder.path().display().to_string().as_bytes()).expect("it listens");
        drop(orders);
        let output = child.wait_with_output().expect("it has ended");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        assert_eq!(after_a_crash(folder.path()), [1, 2]);
    }

    #[test]
    #[ignore = "it is started by a_step_that_does_not_fit_is_given_back"]
    fn the_process_with_a_limit() {
        let folder = io::read_to_string(io::stdin()).expect("orders come");
        if folder.is_empty() {
            return;
        }
        let folder = Path::new(&folder);
        let connection = file(folder);
        add(&connection, 1);
        let before = length(folder);
        make(&connection).expect_err("a step is longer than the limit");
        assert_eq!(length(folder), before);
        add(&connection, 2);
        std::mem::forget(connection);
    }
}
