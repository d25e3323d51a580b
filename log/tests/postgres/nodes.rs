//! Several processes on one schema, and a stranger who looks on and gets in the way.

use std::sync::Arc;
use std::time::Duration;
use weir_log::conformance::places::Schema;
use weir_log::conformance::{Fixture, key};
use weir_log::{Driver, LogConfig, LogError, ManualClock, PostgresOptions};

/// How long what must happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A schema that several logs have open.
pub(crate) struct Nodes {
    schema: Arc<Schema>,
    pub(crate) stranger: tokio_postgres::Client,
    /// Never in a transaction: inside of one, what is going on looks always as it did at first.
    watcher: tokio_postgres::Client,
}

impl Nodes {
    pub(crate) async fn new() -> Self {
        let schema = Arc::new(Schema::fresh());
        let (stranger, watcher) = (schema.connect().await, schema.connect().await);
        Self { schema, stranger, watcher }
    }

    /// What a log is opened with here.
    pub(crate) fn options(&self) -> PostgresOptions {
        self.schema.options()
    }

    /// The schema's name, and that of the connections of its logs.
    pub(crate) fn name(&self) -> &str {
        self.schema.name()
    }

    /// How the server is connected to.
    pub(crate) fn conn(&self) -> String {
        self.schema.conn()
    }

    /// One more log.
    pub(crate) async fn node(&self) -> Fixture {
        self.with(self.options()).await
    }

    /// One more log, opened with `options`.
    pub(crate) async fn with(&self, options: PostgresOptions) -> Fixture {
        let clock = Arc::new(ManualClock::default());
        let config = LogConfig { driver: Driver::Postgres(options), app: None, clock: clock.clone() };
        let log = weir_log::open(config).await.expect("the log is opened");
        Fixture::new(log, clock, self.schema.clone())
    }

    /// Has the server look at tables, so that plans are made anew.
    pub(crate) async fn analyze(&self, tables: &[&str]) {
        for table in tables {
            self.watcher.batch_execute(&format!("ANALYZE {table}")).await.expect("it is a table");
        }
    }

    /// Has the stranger hold the row `u`/`held`, made by `f`, so that a commit that writes it waits.
    pub(crate) async fn hold_a_row(&self, f: &Fixture) {
        f.put(&key("u", "held"), "1").await;
        let hold = "BEGIN; SELECT FROM rows WHERE key = 'held' FOR UPDATE";
        self.stranger.batch_execute(hold).await.expect("held");
    }

    /// Ends every connection of the logs here.
    pub(crate) async fn end_all(&self) {
        let name = self.name();
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"
        );
        self.stranger.batch_execute(&end).await.expect("ended");
    }

    /// Has the stranger let go of it.
    pub(crate) async fn let_go(&self) {
        self.stranger.batch_execute("COMMIT").await.expect("let go");
    }

    /// Waits until `sql` says true.
    pub(crate) async fn until(&self, sql: &str) {
        let holds = async { while !self.says(sql).await {} };
        tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("in vain: {sql}"));
    }

    /// Whether `sql` says true.
    pub(crate) async fn says(&self, sql: &str) -> bool {
        self.watcher.query_one(sql, &[]).await.expect("it is SQL").get(0)
    }

    /// Waits until `count` commits of this schema wait for locks.
    pub(crate) async fn until_waiting(&self, count: u32) {
        self.until(&format!("SELECT count(*) = {count} FROM ({}) w", self.waiting())).await;
    }

    /// The backends of commits that wait for locks on what is in this schema, or behind those that do.
    pub(crate) fn waiting(&self) -> String {
        let name = self.name();
        format!(
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%weir_commit%'
             AND application_name = '{name}'"
        )
    }
}

/// What opening a log with `options` fails with, in one line.
pub(crate) async fn refusal(options: PostgresOptions, app: Option<&str>) -> String {
    let app = app.map(|name| weir_schema::AppName::new(name).expect("valid"));
    let clock = Arc::new(ManualClock::default());
    let opened = weir_log::open(LogConfig { driver: Driver::Postgres(options), app, clock }).await;
    let error: LogError = opened.expect_err("it is refused");
    let said = error.to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}
