//! What operators and tests may set about a log in PostgreSQL.

use super::surroundings::Surroundings;
use super::target::Target;
use std::time::Duration;

/// Settings of a log in PostgreSQL. Beside the connection string, the defaults are right for use.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Where the server is and as whom to speak to it.
    pub conn: ConnString,
    /// What the connection string does not say.
    pub surroundings: Surroundings,
    /// How many transactions may wait; one more is answered `Unavailable` at once.
    pub queue: usize,
    /// How many connections reads and the log's own changes use at most. Commits, the lease and the news of others have one
    /// more each.
    pub connections: usize,
    /// How long a lost connection is tried again before what waits for it is given up.
    pub patience: Duration,
    /// How long the server may take to answer one statement before its connection counts as lost.
    pub silence: Duration,
    /// How long the partitions of a process that is not heard of any more stay its own.
    pub lease: Duration,
}

/// A connection string: `postgres://…` or `key=value …`, as libpq reads them, with one more parameter: `schema` names the
/// schema that holds the tables (`weir`), made if there is none. Apps with schemas of their own share a database. Prints
/// nothing of itself.
#[derive(Clone)]
pub struct ConnString(String);

impl ConnString {
    /// The string as a user wrote it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ConnString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnString(***)")
    }
}

impl PostgresOptions {
    /// The settings for use with `conn`.
    #[must_use]
    pub fn new(conn: impl Into<String>) -> Self {
        Self {
            conn: ConnString::new(conn),
            surroundings: Surroundings::default(),
            queue: 16_384,
            connections: 8,
            patience: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            lease: Duration::from_secs(5),
        }
    }

    /// The line that backs the log up into `file` by PostgreSQL's own program, without secrets.
    #[must_use]
    pub fn dump_line(&self, file: &str) -> String {
        let Ok(target) = Target::of(self) else { return "pg_dump".into() };
        let (place, schema) = (target.place(), &target.schema);
        let database = place.split('?').next().unwrap_or(&place);
        format!("pg_dump --format=custom --schema={schema} --file={file} {database}")
    }

    /// Where the log is, without secrets; what cannot be read is just `postgres`.
    #[must_use]
    pub fn place(&self) -> String {
        Target::of(self).map_or_else(|_| "postgres".into(), |target| target.place())
    }
}
