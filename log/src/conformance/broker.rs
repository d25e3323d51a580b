//! The Kafka brokers of the tests: of their own in temporary folders, or those that `WEIR_TEST_KAFKA` names.

mod guarded;
mod prefix;
mod process;
mod programs;
mod secured;

pub use guarded::Guarded;
pub use prefix::Prefix;
pub use programs::tool;
pub use secured::Secured;

use process::Node;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// A broker's settings, but for its place.
const SETTINGS: &str = include_str!("broker/server.properties");
/// For tests: quick to start, and small.
const SMALL: &[&str] = &["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// As Kafka's own script has it.
const FAST: &[&str] = &["-Xmx1g", "-Xms1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
/// How long it may take to start on a machine that has other things to do.
const START: Duration = Duration::from_secs(240);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The setting that says how often a broker looks for what is to be compacted.
const LOOK: &str = "log.cleaner.backoff.ms";
/// Ports can be taken between the look and the start.
const TRIES: u32 = 3;

/// Brokers that take tests.
#[derive(Debug)]
pub struct Broker {
    brokers: String,
    /// Those that are the tests' own.
    nodes: Vec<Node>,
    /// How Java runs them.
    java: &'static [&'static str],
}

impl Broker {
    /// The broker of this process; started when it is first asked for.
    ///
    /// # Panics
    /// If there is none: tests that need one must not pass without.
    pub fn shared() -> &'static Self {
        static BROKER: OnceLock<Result<Broker, String>> = OnceLock::new();
        match BROKER.get_or_init(Self::find) {
            Ok(broker) => broker,
            Err(why) => panic!("{why}"),
        }
    }

    fn find() -> Result<Self, String> {
        if let Some(brokers) = std::env::var_os("WEIR_TEST_KAFKA") {
            let brokers = brokers.into_string().map_err(|_| "WEIR_TEST_KAFKA is no text")?;
            return Ok(Self { brokers, nodes: Vec::new(), java: SMALL });
        }
        Self::own()
    }

    /// Starts a broker of the caller's own, to be hurt.
    ///
    /// # Errors
    /// There is no Java or no Maven here, or it does not start.
    pub fn own() -> Result<Self, String> {
        Self::cluster(1)
    }

    /// Starts a broker of the caller's own that is as fast as brokers are: slower to start, and larger.
    ///
    /// # Errors
    /// There is no Java or no Maven here, or it does not start.
    pub fn fast() -> Result<Self, String> {
        Self::patiently(1, FAST, "")
    }

    /// Starts a cluster of so many. Of three or more, each partition is on three brokers, and two of them have what is
    /// acknowledged.
    ///
    /// # Errors
    /// There is no Java or no Maven here, or it does not start.
    pub fn cluster(nodes: usize) -> Result<Self, String> {
        Self::patiently(nodes, SMALL, "")
    }

    /// Starts a broker with settings that win over the usual ones.
    fn own_with(settings: &str) -> Result<Self, String> {
        Self::patiently(1, SMALL, settings)
    }

    fn patiently(nodes: usize, java: &'static [&'static str], settings: &str) -> Result<Self, String> {
        let mut last = Err(String::new());
        for _ in 0..TRIES {
            last = Self::start_all(nodes, java, settings);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn start_all(count: usize, java: &'static [&'static str], more: &str) -> Result<Self, String> {
        let programs = programs::programs()?;
        let ports = free_ports(count * 2)?;
        let (ports, controllers) = ports.split_at(count);
        let voters: Vec<_> =
            controllers.iter().enumerate().map(|(i, port)| format!("{}@127.0.0.1:{port}", i + 1)).collect();
        let (replicas, in_sync) = if count >= 3 { ("3", "2") } else { ("1", "1") };
        let mut nodes = Vec::new();
        for (i, (port, controller)) in ports.iter().zip(controllers).enumerate() {
            let settings = [SETTINGS, more]
                .concat()
                .replace("{node}", &(i + 1).to_string())
                .replace("{voters}", &voters.join(","))
                .replace("{port}", &port.to_string())
                .replace("{controller}", &controller.to_string())
                .replace("{replicas}", replicas)
                .replace("{in_sync}", in_sync);
            let mut node = Node::new(*port, &settings)?;
            node.start(&programs, java)?;
            nodes.push(node);
        }
        let brokers: Vec<_> = nodes.iter().map(|node| node.address.clone()).collect();
        let broker = Self { brokers: brokers.join(","), nodes, java };
        for node in 0..count {
            broker.await_answer(node)?;
        }
        Ok(broker)
    }

    /// Where they are: `host:port`, of several separated by commas.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Sends a broker a signal, by its name.
    ///
    /// # Errors
    /// It is not the tests' own or does not run, or there is no such signal.
    pub fn signal(&self, node: usize, name: &str) -> Result<(), String> {
        self.nodes.get(node).ok_or(NOT_OURS)?.signal(name)
    }

    /// Kills a broker (kill -9) and waits until it is gone.
    ///
    /// # Errors
    /// It is not the tests' own, or does not run.
    pub fn kill(&mut self, node: usize) -> Result<(), String> {
        self.nodes.get_mut(node).ok_or(NOT_OURS)?.end("kill")
    }

    /// Stops a broker as an operator would, so that others lead its partitions, and waits until it is gone.
    ///
    /// # Errors
    /// It is not the tests' own, or does not run.
    pub fn stop(&mut self, node: usize) -> Result<(), String> {
        self.nodes.get_mut(node).ok_or(NOT_OURS)?.end("stop")
    }

    /// Starts brokers that were killed or stopped, and waits until each of them answers.
    ///
    /// # Errors
    /// They are not the tests' own, or do not start.
    pub fn start(&mut self, nodes: &[usize]) -> Result<(), String> {
        let programs = programs::programs()?;
        for node in nodes {
            self.nodes.get_mut(*node).ok_or(NOT_OURS)?.start(&programs, self.java)?;
        }
        nodes.iter().try_for_each(|node| self.await_answer(*node))
    }

    /// Waits until a broker answers, with all others in its cluster that live: a port is open earlier.
    fn await_answer(&self, node: usize) -> Result<(), String> {
        let (node, patience) = (&self.nodes[node], Instant::now() + START);
        let admin = admin(&node.address)?;
        let live = self.nodes.iter().filter(|node| node.lives()).count();
        loop {
            let metadata = admin.inner().fetch_metadata(None, Duration::from_millis(500));
            if metadata.is_ok_and(|metadata| metadata.brokers().len() >= live) {
                return Ok(());
            }
            if !node.lives() || Instant::now() > patience {
                return Err(format!("the broker did not start:\n{}", node.said()));
            }
        }
    }

    /// Removes every topic whose name begins with `prefix`.
    ///
    /// # Errors
    /// What the broker said.
    pub async fn remove(&self, prefix: &str) -> Result<(), String> {
        let admin = admin(&self.brokers)?;
        let metadata = admin.inner().fetch_metadata(None, START).map_err(|e| e.to_string())?;
        let names: Vec<_> =
            metadata.topics().iter().map(|t| t.name()).filter(|n| n.starts_with(prefix)).collect();
        admin.delete_topics(&names, &AdminOptions::new()).await.map(drop).map_err(|e| e.to_string())
    }

    /// Whether no transaction is open: what can be read is all that is there.
    ///
    /// # Errors
    /// What the brokers said, or where one is open.
    pub fn settled(&self) -> Result<(), String> {
        let consumer = |isolation: &str| {
            let mut config = settings(&self.brokers);
            let consumer: Result<BaseConsumer, _> =
                config.set("group.id", "settled").set("isolation.level", isolation).create();
            consumer.map_err(|e| e.to_string())
        };
        let (all, committed) = (consumer("read_uncommitted")?, consumer("read_committed")?);
        let metadata = all.fetch_metadata(None, ANSWER).map_err(|e| e.to_string())?;
        for topic in metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")) {
            for partition in topic.partitions() {
                let end = |consumer: &BaseConsumer| {
                    let ends = consumer.fetch_watermarks(topic.name(), partition.id(), ANSWER);
                    ends.map(|(_, end)| end).map_err(|e| e.to_string())
                };
                if end(&committed)? != end(&all)? {
                    return Err(format!("a transaction is open in {} {}", topic.name(), partition.id()));
                }
            }
        }
        Ok(())
    }

    /// Has them compact whenever there is something to compact, from now on, where they are the tests' own. Usually they look
    /// every fifteen seconds.
    ///
    /// # Errors
    /// What a broker said.
    async fn compact_at_once(&self) -> Result<(), String> {
        let admin = admin(&self.brokers)?;
        // one of them at a time, as the client wants it
        for node in (1..).take(self.nodes.len()) {
            let broker = AlterConfig::new(ResourceSpecifier::Broker(node));
            let altered = admin.alter_configs([&broker.set(LOOK, "100")], &AdminOptions::new()).await;
            if let Some(Err((_, code))) = altered.map_err(|e| e.to_string())?.into_iter().next() {
                return Err(format!("the broker does not take another {LOOK}: {code}"));
            }
        }
        Ok(())
    }
}

const NOT_OURS: &str = "the broker is not ours to hurt";

fn admin(brokers: &str) -> Result<AdminClient<DefaultClientContext>, String> {
    settings(brokers).create().map_err(|e| e.to_string())
}

fn settings(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "200");
    config
}

/// Ports that nobody uses now, and that nobody was given before: who had one may be down for a moment.
fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut ports, mut bound) = (Vec::new(), Vec::new());
    while ports.len() < count {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        // so that the next one is another
        bound.push(listener);
        if given.insert(port) {
            ports.push(port);
        }
    }
    Ok(ports)
}
