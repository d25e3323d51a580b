//! The validated configuration: every field is what it says.

use crate::{ByteSize, Secret};
use http::{HeaderName, Method};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use weir_schema::{AppName, FunctionName, GroupName, Partitioner, Place, Position, TopicName};

/// What a Weir server, or a command, works with.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The application.
    pub app_name: AppName,
    /// The environment in force.
    pub environment: Environment,
    /// In the order of the file.
    pub topics: Vec<Topic>,
    /// In the order of the file: topic by topic, as listed.
    pub triggers: Vec<Trigger>,
    /// What `os.getenv` sees: the variables that `envVar` lists and the environment has. `SPACER_ENV` and
    /// `WEIR_ENV`, where listed, are the environment in force, absent in development.
    pub function_variables: BTreeMap<String, Secret>,
    /// Where the log is kept.
    pub log: LogStorage,
    /// Spacer's consumer group, `$appName` filled in.
    pub consumer_group: String,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// Of every function that has no exception.
    pub limits: Limits,
    /// Exceptions, whole: what they do not say is that of `limits`.
    pub function_limits: BTreeMap<FunctionName, Limits>,
    /// Functions that only so many requests may run at once.
    pub function_slots: BTreeMap<FunctionName, FunctionSlots>,
    /// The HTTP edge.
    pub http: Http,
    /// What functions may send requests to.
    pub outbound: Outbound,
    /// The admin API.
    pub admin: Admin,
    /// Where the probes' own listener is, if there is one.
    pub health: Option<SocketAddr>,
    /// Appends in Spacer's form.
    pub write_proxy: WriteProxy,
    /// Traces and logs.
    pub telemetry: Telemetry,
    /// The folder of Weir's own data, from the project's folder.
    pub data_dir: PathBuf,
}

impl Config {
    /// What one invocation of `function` may use.
    #[must_use]
    pub fn limits_of(&self, function: &FunctionName) -> Limits {
        self.function_limits.get(function).copied().unwrap_or(self.limits)
    }

    /// The topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name.as_str() == name)
    }
}

/// The name of an environment: `development`, `production`, …
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Environment(pub(crate) String);

impl Environment {
    /// The one where an author works.
    pub const DEVELOPMENT: &'static str = "development";

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `development`.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.0 == Self::DEVELOPMENT
    }
}

/// A topic as it is declared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Fixed at creation.
    pub partitions: NonZeroU32,
    /// How long events are kept; none: for good.
    pub retention: Option<Duration>,
    /// Fixed at creation.
    pub partitioner: Partitioner,
}

/// A function that runs on each event of a topic.
#[derive(Clone, PartialEq, Debug)]
pub struct Trigger {
    /// The topic.
    pub topic: TopicName,
    /// The function, or the path of a POST route.
    pub function: FunctionName,
    /// Under what its position is kept: `TOPIC/NAME`.
    pub group: GroupName,
    /// When an event that failed is tried again.
    pub retry: Retry,
    /// When the trigger takes a failure for an outage.
    pub breaker: Breaker,
    /// What becomes of an event whose attempts are used up.
    pub on_exhausted: OnExhausted,
    /// Where it begins without a position; none: see `docs/config.md`.
    pub start_from: Option<Position>,
    /// Events in flight per partition.
    pub window: NonZeroU32,
    /// After how long a slow event lets others pass; none: never.
    pub detach_after: Option<Duration>,
    /// Past so many parked events the trigger pauses.
    pub max_parked: NonZeroU32,
    /// Invocations at once.
    pub max_concurrent: NonZeroU32,
    /// Whether it runs.
    pub enabled: bool,
}

impl Trigger {
    /// `TOPIC/FUNCTION`, as commands and `weir.triggers` name it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.topic, self.function)
    }
}

/// How many requests one node lets run a function at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionSlots {
    /// So many run.
    pub running: NonZeroU32,
    /// So many more wait; the next one is refused.
    pub waiting: u32,
}

/// When an event that failed is tried again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retry {
    /// How often an event is tried in all.
    pub attempts: NonZeroU32,
    /// The first wait; it doubles.
    pub backoff: Duration,
    /// The longest wait; at least `backoff`.
    pub max_backoff: Duration,
    /// From 0 to 1.
    pub jitter: f64,
}

/// When a trigger takes failures for an outage: all of `failures`, `keys` and `ratio` are met within `within`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Breaker {
    /// So many failures …
    pub failures: NonZeroU32,
    /// … across so many keys …
    pub keys: NonZeroU32,
    /// … that are this share of what was judged.
    pub ratio: f64,
    /// The time that is looked at.
    pub within: Duration,
    /// The wait between probes.
    pub probe: Duration,
}

/// What becomes of an event whose attempts are used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExhausted {
    /// It stays parked until somebody acts.
    Hold,
    /// It is passed over, with a record.
    Skip,
    /// The trigger pauses.
    Pause,
}

/// Where the log is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogStorage {
    /// In memory: gone at the end of the process.
    Memory,
    /// In `log.db` below the data folder.
    Sqlite,
    /// In the PostgreSQL database that this connects to.
    Postgres(Secret),
    /// In topics of a Kafka cluster, and in a store.
    Kafka(KafkaStorage),
}

/// A log in Kafka.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaStorage {
    /// Brokers to begin with, at least one.
    pub brokers: Vec<String>,
    /// What the names of topics begin with; none: the application's name.
    pub topic_prefix: Option<String>,
    /// On how many brokers topics are kept that are made; none: as the brokers are set to.
    pub replication: Option<u16>,
    /// Properties of librdkafka, in the order of the file.
    pub properties: Vec<(String, Secret)>,
    /// Where everything but the events is.
    pub store: KafkaStore,
}

/// What holds what Kafka does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KafkaStore {
    /// In `store.db` below the data folder.
    Sqlite,
    /// In the PostgreSQL database that this connects to.
    Postgres(Secret),
}

/// What one invocation may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// CPU time.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Lua memory.
    pub memory: ByteSize,
    /// Result, appends and writes.
    pub output: ByteSize,
    /// A request's body.
    pub body: ByteSize,
    /// One event.
    pub event: ByteSize,
    /// Appends by triggers that follow from each other.
    pub hops: NonZeroU32,
    /// By whose clock it runs.
    pub determinism: Determinism,
}

/// Whose clock and random numbers a trigger's functions see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Determinism {
    /// Those of the event: the same for each run of it.
    Seeded,
    /// The machine's.
    Real,
}

/// The HTTP edge.
#[derive(Clone, PartialEq, Debug)]
pub struct Http {
    /// Who may call from a page.
    pub cors: Cors,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Http {
    /// Whether `address` is a proxy whose `X-Forwarded-For` is believed.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }
}

/// Who may call from a page of another origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cors {
    /// Whose pages.
    pub origins: CorsOrigins,
    /// What a preflight is told; empty: the methods of the path's routes.
    pub methods: Vec<Method>,
    /// What a preflight is told; empty: the headers that it asks for.
    pub headers: Vec<HeaderName>,
    /// Whether cookies may be sent; never with `CorsOrigins::Any` from the file.
    pub credentials: bool,
    /// How long a preflight may be remembered.
    pub max_age: Duration,
}

/// Whose pages may call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CorsOrigins {
    /// Everyone's.
    Any,
    /// These; empty: nobody's.
    These(Vec<String>),
}

/// What functions may send requests to, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outbound {
    /// Only these; empty: all that is not denied.
    pub allow: Vec<Place>,
    /// None of these.
    pub deny: Vec<Place>,
    /// The private networks that may be reached; none: all of them.
    pub private: Option<Vec<IpNet>>,
    /// A file in PEM with authorities to trust beside those of the system, from the project's folder.
    pub ca: Option<PathBuf>,
    /// Of a request that says nothing else.
    pub timeout: Duration,
    /// Of an answer, unpacked, where the request says nothing else.
    pub max_body: ByteSize,
}

/// The admin API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What a client must show; always there beyond loopback.
    pub token: Option<Secret>,
}

/// Appends over HTTP in Spacer's form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriteProxy {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether a client must show the admin token.
    pub needs_token: bool,
}

/// Traces and logs.
#[derive(Clone, PartialEq, Debug)]
pub struct Telemetry {
    /// Where traces are sent; none: nowhere.
    pub otlp: Option<String>,
    /// The share of traces that are sent, from 0 to 1.
    pub sample: f64,
    /// How the log is written.
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One object a line.
    Json,
}
