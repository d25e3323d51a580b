//! What only a log in a file can show: reopening, several processes' worth of logs on one file, faults of the disk.

mod commits;
mod faults;
mod opening;

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
pub(crate) struct Fails {
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

pub(crate) async fn open(
    path: &Path,
    app: Option<&str>,
    options: SqliteOptions,
) -> Result<Arc<dyn Log>, LogError> {
    let driver = Driver::Sqlite { path: path.to_owned(), options };
    let app = app.map(|app| AppName::new(app).expect("valid"));
    weir_log::open(LogConfig { driver, app, clock: Arc::new(ManualClock::default()) }).await
}

pub(crate) async fn fixture(path: &Path, options: SqliteOptions) -> Fixture {
    let log = open(path, None, options).await.expect("the log is opened");
    Fixture::new(log, Arc::new(ManualClock::default()), ())
}

pub(crate) fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("log.db");
    (folder, path)
}

pub(crate) fn failing(at: FaultPoint) -> SqliteOptions {
    let fails = Fails { at, times: AtomicU32::new(0) };
    SqliteOptions { faults: Some(Arc::new(fails)), ..SqliteOptions::default() }
}

/// Says when a batch has been taken, and lets it go on when it is told to.
#[derive(Debug)]
pub(crate) struct Held {
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

pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
