//! A schema that is held, to be copied or filled.
//!
//! Every commit, and every process that opens the log, writes the table `lanes`; so a lock on it keeps them out. A server
//! that takes part in groups is told by its lease.

use super::connection::Server;
use super::error::Failure;
use super::{PostgresOptions, edits, events, outline, schema, state};
use crate::moving::refusal::{in_use, no_log};
use crate::moving::{Edit, Export, Import, Outline, Row};
use crate::{LogError, ReadLimit};
use deadpool_postgres::Client;
use tokio_postgres::error::SqlState;
use weir_schema::{At, Offset, Records, StateKey};

/// How a transaction begins that is to last. In it the lock comes before the snapshot, so nothing is missed.
const BEGIN: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0;
    SET LOCAL lock_timeout = '5s'";

/// See the module's docs.
pub(crate) struct Held {
    server: Server,
    client: Client,
    /// Holds the lock, where the client has transactions of its own.
    _guard: Option<Client>,
}

impl Held {
    /// Holds the log that `options` name such that nobody writes it.
    pub(crate) async fn source(options: &PostgresOptions) -> Result<Self, LogError> {
        let server = Server::new(options)?;
        let held = async {
            let mut client = server.client().await?;
            if !schema::is_made(&client, &server).await? {
                return Err(no_log(&server.place).into());
            }
            schema::make(&mut client, &server).await?;
            hold(client, &server, "SHARE").await
        };
        let client = in_words(&server, "open", held.await)?;
        Ok(Self { server, client, _guard: None })
    }

    /// Holds the log that `options` name, made if there is none, to be written.
    pub(crate) async fn target(options: &PostgresOptions) -> Result<Self, LogError> {
        let server = Server::new(options)?;
        let made = async {
            let mut client = server.client().await?;
            schema::make(&mut client, &server).await?;
            Ok((client, hold(server.client().await?, &server, "SHARE ROW EXCLUSIVE").await?))
        };
        let (client, guard) = in_words(&server, "open", made.await)?;
        Ok(Self { server, client, _guard: Some(guard) })
    }
}

/// Makes a connection hold the lock, and a snapshot, until it is dropped.
async fn hold(client: Client, server: &Server, mode: &str) -> Result<Client, Failure> {
    client.batch_execute(&format!("{BEGIN}; LOCK TABLE lanes IN {mode} MODE")).await?;
    if client.query_opt("SELECT FROM nodes WHERE until > now() LIMIT 1", &[]).await?.is_some() {
        return Err(in_use(&server.place).into());
    }
    Ok(client)
}

fn in_words<T>(server: &Server, operation: &str, result: Result<T, Failure>) -> Result<T, LogError> {
    result.map_err(|failure| match failure {
        Failure::Sql(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => in_use(&server.place),
        other => other.into_log_error(operation, &server.place),
    })
}

#[async_trait::async_trait]
impl Export for Held {
    fn place(&self) -> &str {
        &self.server.place
    }

    async fn outline(&mut self) -> Result<Outline, LogError> {
        in_words(&self.server, "read", outline::read(&self.client).await)
    }

    async fn events(&mut self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        in_words(&self.server, "read", events::read(&self.client, at, from, max).await)
    }

    async fn rows(&mut self, after: Option<StateKey>, limit: u32) -> Result<Vec<Row>, LogError> {
        in_words(&self.server, "read", state::rows(&self.client, after.as_ref(), limit).await)
    }
}

#[async_trait::async_trait]
impl Import for Held {
    async fn write(&mut self, edits: Vec<Edit>) -> Result<(), LogError> {
        let place = &self.server.place;
        let written = async {
            let transaction = self.client.transaction().await?;
            for edit in edits {
                edits::apply(&transaction, edit, place).await?;
            }
            Ok(transaction.commit().await?)
        };
        in_words(&self.server, "write", written.await)
    }
}
