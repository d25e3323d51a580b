//! Connections: a pool for reads and the log's own changes, and single ones for those that keep theirs.

use super::error::{Failure, Fate};
use super::health::Health;
use super::options::PostgresOptions;
use super::target::Target;
use crate::LogError;
use deadpool_postgres::{
    Client, ClientWrapper, Hook, HookError, Manager, ManagerConfig, Pool, PoolBuilder, RecyclingMethod,
    Runtime,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long the first pause is before something is tried again; each next one is twice as long …
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// … up to this.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// For making a connection, where the connection string names no time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of the pool that are kept all the time: the committer's, and the one that renews the lease.
const KEPT: usize = 2;
/// How long a caller waits for a connection of the pool.
const WAIT: Duration = Duration::from_secs(30);
/// How long an idle connection is silent before it is asked for a sign of life, and how often then: half a minute after the
/// machine at its other end is gone, it counts as lost.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);
/// What the driver has where the connection string says nothing.
const NO_KEEPALIVE: Duration = Duration::from_secs(2 * 60 * 60);

/// What every connection is told. Rows are found by their keys, always: a plan that was made while a table was small
/// must not read all of it once it is large. And a commit is durable, whatever the database's default is.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off;
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
    silence: Duration,
    health: Arc<Health>,
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
        let target = Target::of(options)?;
        let (place, mut config, schema) = (target.place(), target.config(), target.schema);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("weir");
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(options.lease.max(CONNECT_TIMEOUT));
        }
        if config.get_keepalives_idle() == NO_KEEPALIVE {
            let (idle, interval, retries) = KEEPALIVE;
            config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
        }
        let health = Arc::new(Health::default());
        let settings = format!("{SETTINGS}; SET search_path = {}", quoted(&schema));
        let size = options.connections.max(1) + KEPT;
        let connector = target.tls.connector();
        let made = connector.and_then(|tls| {
            Ok((pool(config.clone(), &tls, &settings, &health).max_size(size).build()?, tls))
        });
        let (pool, tls) = made.map_err(|source| {
            let operation = format!("open log {place}");
            LogError::Unavailable { operation, source, retry: false }
        })?;
        let (patience, silence) = (options.patience, options.silence);
        Ok(Self { config, tls, schema, place, patience, silence, health, pool })
    }

    /// A connection of its own, and the end of it that has to be driven.
    pub(super) async fn connect(
        &self,
    ) -> Result<(tokio_postgres::Client, Connection<Socket, Stream>), Failure> {
        let connected = tokio::time::timeout(self.silence, self.config.connect(self.tls.clone())).await;
        Ok(connected.map_err(|_| Failure::Silent(self.silence))??)
    }

    /// A connection of the pool.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        let client = self.pool.get().await;
        let client = client.map_err(|error| Failure::of_pool(error, connect_timeout(&self.config)));
        if client.is_err() {
            self.health.note(&self.place, &client);
        }
        client
    }

    /// Waits for what the server is asked on `client`, but not for ever. Then the connection counts as lost, and what was
    /// under way may have been done; the server is asked to give it up, so that it does not gather what nobody waits for.
    pub(super) async fn ask<T>(
        &self,
        client: &tokio_postgres::Client,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.within(client.cancel_token(), work).await
    }

    /// Likewise, where `work` has the connection: `cancel` is its.
    pub(super) async fn within<T>(
        &self,
        cancel: CancelToken,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let done = match tokio::time::timeout(self.silence, work).await {
            Ok(done) => done,
            Err(_) => {
                let asked = tokio::time::timeout(CONNECT_TIMEOUT / 5, cancel.cancel_query(self.tls.clone()));
                // a server that hears nothing does not hear this either
                drop(asked.await);
                Err(Failure::Silent(self.silence))
            }
        };
        self.health.note(&self.place, &done);
        done
    }

    /// Does `work` on a connection of the pool, once.
    pub(super) async fn once<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let client = self.client().await?;
        self.within(client.cancel_token(), work(client)).await
    }

    /// Does `work` on a connection of the pool; again, on another one, where the connection was lost or others were in
    /// the way. So `work` has to be such that it may be done twice.
    pub(super) async fn with<T, F>(&self, work: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut patience = self.patience();
        loop {
            match self.once(&work).await {
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

fn connect_timeout(config: &Config) -> Duration {
    config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
}

/// A pool whose connections have all been told `settings`.
pub(super) fn pool(
    config: Config,
    tls: &MakeRustlsConnect,
    settings: &str,
    health: &Arc<Health>,
) -> PoolBuilder {
    let within = connect_timeout(&config);
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(config, tls.clone(), manager);
    let settings: Arc<str> = settings.into();
    let set_up = Hook::async_fn(move |client: &mut ClientWrapper, _| {
        let settings = settings.clone();
        Box::pin(async move {
            let set = tokio::time::timeout(within, client.batch_execute(&settings)).await;
            set.map_err(|_| HookError::message("silent"))?.map_err(HookError::Backend)
        })
    });
    let health = health.clone();
    let look_over = Hook::sync_fn(move |_: &mut ClientWrapper, metrics| {
        if health.is_suspect(metrics.created) { Err(HookError::message("silent")) } else { Ok(()) }
    });
    let pool = Pool::builder(manager).post_create(set_up).pre_recycle(look_over);
    pool.runtime(Runtime::Tokio1).wait_timeout(Some(WAIT)).create_timeout(Some(within))
}

/// `name` as an identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
