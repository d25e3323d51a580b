//! Clients of Kafka, with the settings that the log depends on.

use super::error::{Words, is_unknown};
use crate::KafkaOptions;
use rdkafka::admin::AdminClient;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::time::{Duration, Instant};

/// How long one answer of the brokers may take.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// After so many milliseconds a topic that producers do not find is taken not to be there: one that the log has made is known
/// everywhere before it is used.
pub(super) const KNOWN_WITHIN: &str = "5000";

/// The largest message, and the largest batch of them, as librdkafka has it where nothing else is said.
const MESSAGE_BYTES: usize = 1_000_000;
/// What Kafka may add to an event's key, value and headers as the log counts them.
const MESSAGE_FRAME: usize = 64;

/// How long it takes breath before a broker is asked again.
pub(super) const BREATH: Duration = Duration::from_millis(10);

/// What every client is made with: what it says of errors goes to where the log finds it.
#[derive(Clone, Debug)]
pub(super) struct Context(pub(super) Words);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.hear(&error, reason);
    }
}

impl ConsumerContext for Context {}

/// Reads events.
pub(super) type Consumer = BaseConsumer<Context>;
/// Makes and describes topics.
pub(super) type Admin = AdminClient<Context>;

/// Makes clients.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    pub(super) options: KafkaOptions,
    pub(super) words: Words,
}

impl Clients {
    pub(super) fn new(options: KafkaOptions) -> Self {
        let words = Words::new(&options.prefix);
        Self { options, words }
    }

    /// How large an event may be.
    pub(super) fn event_limit(&self) -> usize {
        self.bytes("message.max.bytes").saturating_sub(MESSAGE_FRAME)
    }

    /// How large a batch of events may be.
    pub(super) fn batch(&self) -> usize {
        self.bytes("batch.size")
    }

    fn bytes(&self, property: &str) -> usize {
        let told = self.options.properties.get(property).and_then(|bytes| bytes.parse().ok());
        told.unwrap_or(MESSAGE_BYTES)
    }

    /// Describes topics and makes them.
    pub(super) fn admin(&self) -> Result<Admin, KafkaError> {
        self.make(&[])
    }

    /// Reads what is committed, from where it is told to; never a member of a group.
    pub(super) fn consumer(&self, settings: &[(&str, &str)]) -> Result<Consumer, KafkaError> {
        let group = self.group("read");
        let mut all = vec![
            ("group.id", group.as_str()),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
        ];
        all.extend(settings);
        self.make(&all)
    }

    /// The settings of every client, then the user's, then `settings`.
    pub(super) fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("client.id", format!("weir-{}", self.options.prefix))
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            // a transaction that meets the last one's unfinished markers waits so long
            .set("retry.backoff.ms", "2");
        for (name, value) in self.options.properties.iter() {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.options.brokers);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    /// The name of a group, or of a topic, that the log keeps for itself.
    pub(super) fn group(&self, purpose: &str) -> String {
        format!("{}___{purpose}", self.options.prefix)
    }

    fn make<T: FromClientConfigAndContext<Context>>(
        &self,
        settings: &[(&str, &str)],
    ) -> Result<T, KafkaError> {
        self.config(settings).create_with_context(Context(self.words.clone()))
    }
}

/// Asks until the answer is not that what was just made, or has just moved, is not there yet; within [`ANSWER`].
pub(super) fn patiently<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    wait_out(passes, ask)
}

/// The same of a topic that is known to be made: not all brokers may know it.
pub(super) fn until_known<T>(ask: impl Fn() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    wait_out(|error| passes(error) || is_unknown(error), ask)
}

fn wait_out<T>(
    passes: impl Fn(&KafkaError) -> bool,
    ask: impl Fn() -> Result<T, KafkaError>,
) -> Result<T, KafkaError> {
    let patience = Instant::now() + ANSWER;
    loop {
        match ask() {
            Err(error) if passes(&error) && Instant::now() < patience => std::thread::sleep(BREATH),
            answer => return answer,
        }
    }
}

fn passes(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::NotLeaderForPartition
                | RDKafkaErrorCode::LeaderNotAvailable
        )
    )
}
