//! Connections: a pool for reads and the log's own changes, and single ones for those that keep theirs.

use super::error::{Failure, Fate};
use super::options::PostgresOptions;
use super::target::Target;
use crate::LogError;
use deadpool_postgres::{Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the first pause is before something is tried again; each next one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Where the connection string names no time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of the pool that are kept all the time: the committer's, and the one that renews the lease.
const KEPT: usize = 2;
/// How long a caller waits for a connection of the pool.
const WAIT: Duration = Duration::from_secs(30);

/// What every connection is told. Rows are found by their keys, always: a plan that was made while a table was small
/// must not read all of it once it is large. And a commit is durable, whatever the database's default is.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off;
    SET enable_hashjoin = off; SET enable_mergejoin = off; SET idle_in_transaction_session_timeout = '10s';
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false)
      WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// What bytes go through, encrypted or not.
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The server, as one log uses it.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    pub(super) schema: String,
    /// For messages: without secrets.
    pub(super) place: String,
    patience: Duration,
    pool: Pool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Server {
    /// The server that `options` name; connects to nothing yet.
    pub(super) fn new(options: &PostgresOptions) -> Result<Self, LogError> {
        let target = Target::parse(options.conn.reveal())?;
        let (place, mut config, schema) = (target.place(), target.config, target.schema);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("weir");
        }
        config.tcp_user_timeout(options.lease.max(CONNECT_TIMEOUT));
        let settings = format!("{SETTINGS}; SET search_path = {}", quoted(&schema));
        let size = options.connections.max(1) + KEPT;
        let connector = target.tls.connector();
        let made = connector.and_then(|tls| Ok((pool(config.clone(), &tls, &settings, size)?, tls)));
        let (pool, tls) = made.map_err(|source| {
            let operation = format!("open log {place}");
            LogError::Unavailable { operation, source, retry: false }
        })?;
        Ok(Self { config, tls, schema, place, patience: options.patience, pool })
    }

    /// A connection of its own, and the end of it that has to be driven.
    pub(super) async fn connect(
        &self,
    ) -> Result<(tokio_postgres::Client, Connection<Socket, Stream>), Failure> {
        Ok(self.config.connect(self.tls.clone()).await?)
    }

    /// A connection of the pool.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Ok(self.pool.get().await?)
    }

    /// Does `work` on a connection of the pool; again, on another one, where the connection was lost or others were in
    /// the way. So `work` has to be such that it may be done twice.
    pub(super) async fn with<T, F>(&self, work: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut patience = self.patience();
        loop {
            let result = match self.client().await {
                Ok(client) => work(client).await,
                Err(failure) => Err(failure),
            };
            match result {
                Err(failure) if failure.fate() != Fate::Failed && patience.pause().await => {}
                result => return result,
            }
        }
    }

    pub(super) fn patience(&self) -> Patience {
        Patience { end: Instant::now() + self.patience, next: FIRST_PAUSE }
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }
}

/// Pauses between tries, until it is exhausted.
#[derive(Debug)]
pub(super) struct Patience {
    end: Instant,
    next: Duration,
}

impl Patience {
    /// Waits a moment; false, at once, if it is exhausted.
    pub(super) async fn pause(&mut self) -> bool {
        if Instant::now() + self.next > self.end {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        true
    }
}

fn pool(
    config: Config,
    tls: &MakeRustlsConnect,
    settings: &str,
    size: usize,
) -> Result<Pool, crate::BoxError> {
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls.clone(), manager);
    let settings: std::sync::Arc<str> = settings.into();
    let set_up = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let settings = settings.clone();
        Box::pin(async move { client.batch_execute(&settings).await.map_err(HookError::Backend) })
    });
    let pool = Pool::builder(manager).max_size(size).post_create(set_up);
    Ok(pool.runtime(Runtime::Tokio1).wait_timeout(Some(WAIT)).build()?)
}

/// `name` as an identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
