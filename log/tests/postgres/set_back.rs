//! A database that is not any more what it was: a backup was restored, a replica has taken over.

use super::groups::Member;
use super::nodes::{Nodes, PATIENCE};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use weir_log::conformance::server::{Server, folder};
use weir_log::conformance::{Fixture, events, key, offsets, saw};
use weir_log::{Change, CommitError, Driver, LogConfig, ManualClock, PostgresOptions};
use weir_schema::{At, Offset};

/// The database as it was when its only partition had one event.
const OLDER: &str = "DELETE FROM events WHERE off > 0; UPDATE tails SET tail = 1; UPDATE lanes SET batch = 1";

async fn set_back(nodes: &Nodes, f: &Fixture, at: At) {
    for value in ["a", "b", "c"] {
        f.append(at, &[value]).await;
    }
    nodes.stranger.batch_execute(OLDER).await.expect("set back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_commits_are_gone_does_not_go_on() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    set_back(&nodes, &f, at).await;
    // nobody restores a database while there are connections to it
    nodes.end_all().await;
    let mut transaction = f.transaction();
    transaction.appends.push(events(at, &["d"]));
    match f.commit(transaction).await {
        // it may have been sent by a connection that was ended before it answered
        Err(CommitError::Unavailable(why) | CommitError::Ambiguous(why)) => {
            assert!(why.to_string().contains("it has been set back"), "{why}")
        }
        other => unreachable!("{other:?}"),
    }
    let error = f.log.topics().await.expect_err("it does not go on");
    assert!(!error.is_retryable() && error.to_string().contains("Stop every node"), "{error}");
    let anew = nodes.node().await;
    assert_eq!(offsets(&anew.append(at, &["b again"]).await), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_has_only_read_what_is_gone_finds_it_out_too() {
    let nodes = Nodes::new().await;
    let options = PostgresOptions { lease: Duration::from_millis(500), ..nodes.options() };
    let (f, reader) = (nodes.node().await, nodes.with(options).await);
    let at = f.partition().await;
    f.append(at, &["a", "b"]).await;
    let mut hints = reader.log.watch();
    drop(hints.wait_for(|hint| hint.tails.get(&at) == Some(&Offset(2))).await.expect("it is told"));
    nodes.stranger.batch_execute("UPDATE tails SET tail = 1").await.expect("set back");
    let said = refusal(&reader).await;
    assert!(said.contains("ends at 1, and had events up to 2"), "{said}");
    let mut read_only = reader.transaction();
    read_only.reads.push(saw(&key("t", "n"), None));
    let checked = reader.commit(read_only).await;
    assert!(matches!(checked, Err(CommitError::Unavailable(_))), "{checked:?}");
    // what it held, others can have
    let writer = reader.log.capabilities().writer.0;
    nodes.until(&format!("SELECT until < now() FROM nodes WHERE node = {writer}")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_tables_were_made_anew_does_not_go_on() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let anew = format!("SET client_min_messages = error; DROP SCHEMA {} CASCADE", nodes.name());
    nodes.stranger.batch_execute(&anew).await.expect("dropped");
    let other = nodes.node().await;
    let said = refusal(&f).await;
    assert!(said.contains("its tables are not those that it had"), "{said}");
    other.partition().await;
}

/// What it says when it does not go on: it looks now and then.
async fn refusal(f: &Fixture) -> String {
    let refused = async {
        loop {
            match f.log.topics().await {
                Err(error) if error.to_string().contains("it has been set back") => break error.to_string(),
                Ok(_) | Err(_) => {}
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("it looks")
}

/// A replica that streams from the server, and lags when it takes its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_to_a_replica_that_lagged_a_process_that_knows_more_does_not_go_on() {
    let folder = folder().expect("a folder is made");
    let server = Server::start(&folder, "").expect("a server starts");
    let f = open(&server).await;
    let at = f.partition().await;
    f.append(at, &["a"]).await;
    let replica = Replica::of(&server, &folder);
    replica.until_it_has_what(&server).await;
    replica.stop();
    f.append(at, &["b"]).await;
    replica.takes_over();
    let said = refusal(&f).await;
    assert!(said.contains("a replica that lacked the last commits"), "{said}");
    let anew = open(&server).await;
    assert_eq!(offsets(&anew.append(at, &["b again"]).await), [1]);
}

async fn open(server: &Server) -> Fixture {
    let clock = Arc::new(ManualClock::default());
    let driver = Driver::Postgres(PostgresOptions::new(server.conn()));
    let log = weir_log::open(LogConfig { driver, app: None, clock: clock.clone() }).await.expect("opened");
    Fixture::new(log, clock, ())
}

/// A replica of the server in `folder`, in the folder `replica` there.
struct Replica<'f> {
    folder: &'f Path,
}

impl<'f> Replica<'f> {
    fn of(server: &Server, folder: &'f Path) -> Self {
        let copy = ["-d", server.conn(), "-D", "replica", "-R", "-c", "fast", "--no-sync"];
        Server::run(folder, "pg_basebackup", &copy).unwrap_or_else(|why| panic!("{why}"));
        let replica = Self { folder };
        let apart = format!(
            "-c listen_addresses= -c fsync=off -c max_connections=400 \
            -c max_locks_per_transaction=256 -c unix_socket_directories='{}'",
            replica.place()
        );
        replica.control(&["-o", &apart, "start"]);
        replica
    }

    fn place(&self) -> String {
        self.folder.join("replica").display().to_string()
    }

    fn control(&self, arguments: &[&str]) {
        let with = [&["-D", "replica", "-l", "replica.log", "-s", "-w"], arguments].concat();
        let said = || std::fs::read_to_string(self.folder.join("replica.log")).unwrap_or_default();
        Server::run(self.folder, "pg_ctl", &with).unwrap_or_else(|why| panic!("{why}\n{}", said()));
    }

    async fn until_it_has_what(&self, server: &Server) {
        let asked = async |conn: &str, sql: &str| -> String {
            let client = Server::connect_to(conn).await.expect("it takes connections");
            client.query_one(sql, &[]).await.expect("it is SQL").get(0)
        };
        let written = asked(server.conn(), "SELECT pg_current_wal_lsn()::text").await;
        let replayed = format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::text");
        let conn = format!("host={} user=weir dbname=postgres", self.place());
        let follows = async { while asked(&conn, &replayed).await != "true" {} };
        timeout(PATIENCE, follows).await.expect("it follows");
    }

    fn stop(&self) {
        self.control(&["stop", "-m", "fast"]);
    }

    /// The server is gone for good, and the replica, which has stopped, starts where clients look for it.
    fn takes_over(&self) {
        let (old, new) = (self.folder.join("data"), self.folder.join("replica"));
        Server::control(self.folder, &["stop", "-m", "immediate"]).expect("it crashes");
        std::fs::copy(old.join("postmaster.opts"), new.join("postmaster.opts")).expect("its options");
        std::fs::rename(&old, self.folder.join("gone")).expect("it is gone");
        std::fs::rename(&new, &old).expect("moved");
        Server::control(self.folder, &["restart"]).expect("started");
        Server::control(self.folder, &["promote"]).expect("promoted");
    }
}

/// A server that becomes a replica, and is promoted: what it has is all there, but another might have lacked something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_partitions_are_taken_anew_and_what_was_begun_before_is_refused() {
    let folder = folder().expect("a folder is made");
    let server = Server::start(&folder, "").expect("a server starts");
    let f = open(&server).await;
    let at = f.partition().await;
    f.append(at, &["a"]).await;
    let mut member = Member::join(f, &[at]).await;
    member.until_it_holds(1).await;
    let before = member.held[&at];
    std::fs::write(folder.join("data/standby.signal"), "").expect("it becomes a replica");
    Server::control(&folder, &["restart"]).expect("restarted");
    Server::control(&folder, &["promote"]).expect("promoted");
    let answered = async {
        loop {
            match member.advance(at, 0).await {
                Err(CommitError::Unavailable(_)) => {}
                other => break other,
            }
        }
    };
    let refused = timeout(PATIENCE, answered).await.expect("the server is up again");
    assert!(matches!(refused, Err(CommitError::Fenced(_))), "{refused:?}");
    assert!(matches!(member.membership.changes.recv().await, Some(Change::Lost { .. })));
    member.held.clear();
    member.until_it_holds(1).await;
    assert!(member.held[&at] > before);
    member.advance(at, 0).await.expect("it is the owner again");
}
