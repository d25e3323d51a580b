//! Topics in Kafka: made, described, kept for so long, trimmed.

use super::clients::{ANSWER, Admin, Clients};
use super::error::refused;
use super::mirror::{Mirror, number};
use crate::{LogError, TopicSpec};
use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{Offset as Place, TopicPartitionList};
use std::time::{Duration, Instant};
use weir_schema::{At, Offset};

/// How long a topic that was made may take to be known everywhere.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// The setting of a topic that says how long events are kept.
const RETENTION: &str = "retention.ms";
/// And how large a batch of them may be.
const LIMIT: &str = "max.message.bytes";

/// Makes and changes topics.
pub(super) struct Topics {
    pub(super) admin: Admin,
    pub(super) clients: Clients,
}

impl Topics {
    /// How many partitions a topic has; none: there is no such topic.
    pub(super) fn partitions(&self, name: &str) -> Result<Option<u32>, KafkaError> {
        let metadata = self.admin.inner().fetch_metadata(Some(name), ANSWER)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(None);
        };
        match topic.error().map(Code::from) {
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            // its partitions are there, and will have leaders
            Some(Code::LeaderNotAvailable) | None => {
                Ok(Some(u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX)))
            }
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    /// Makes the topic that Kafka calls `name`; one that is there already is left as it is.
    pub(super) async fn make(&self, name: &str, spec: &TopicSpec) -> Result<(), LogError> {
        self.make_so(name, spec.partitions, &[(RETENTION, &retention(spec))]).await
    }

    /// Makes a topic with settings of its own.
    pub(super) async fn make_so(
        &self,
        name: &str,
        partitions: u32,
        settings: &[(&str, &str)],
    ) -> Result<(), LogError> {
        let operation = format!("create topic {name} in Kafka");
        let replication = self.clients.options.replication.map_or(-1, i32::from);
        let topic = NewTopic::new(name, number(partitions), TopicReplication::Fixed(replication));
        let topic = settings.iter().fold(topic, |topic, (setting, value)| topic.set(setting, value));
        let made = self.admin.create_topics([&topic], &options()).await;
        let made = made.map_err(|error| self.clients.words.unavailable(&operation, &error))?;
        match made.into_iter().next() {
            Some(Err((_, Code::TopicAlreadyExists))) | Some(Ok(_)) | None => Ok(()),
            Some(Err((_, Code::InvalidReplicationFactor))) => Err(refused(
                operation,
                "there are fewer brokers than copies of it are wanted: see replication: beside the driver, or \
                 default.replication.factor of the brokers",
            )),
            Some(Err((_, Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed))) => {
                Err(refused(
                    operation,
                    "the user may not: give it the right Create on topics of this prefix, or make the topic beforehand",
                ))
            }
            Some(Err((_, Code::InvalidTopic))) => Err(refused(operation, self.why_invalid(name))),
            Some(Err((_, code))) => {
                Err(self.clients.words.unavailable(operation, &KafkaError::AdminOp(code)))
            }
        }
    }

    /// Waits until every partition of a topic that was made has a leader.
    pub(super) fn await_leaders(&self, name: &str, partitions: u32) -> Result<(), KafkaError> {
        let patience = Instant::now() + KNOWN_WITHIN;
        loop {
            let metadata = self.admin.inner().fetch_metadata(Some(name), ANSWER)?;
            let led = metadata.topics().iter().filter(|topic| topic.name() == name);
            let led = led.flat_map(|topic| topic.partitions()).filter(|partition| partition.leader() >= 0);
            if led.count() >= partitions as usize {
                return Ok(());
            }
            if Instant::now() > patience {
                return Err(KafkaError::MetadataFetch(Code::LeaderNotAvailable));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How large a batch each topic takes; none: that is not told.
    pub(super) async fn limits(&self, names: &[&str]) -> Result<Vec<Option<usize>>, KafkaError> {
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        let described = self.admin.describe_configs(&resources, &options()).await?;
        let limit = |config: &ConfigResource| config.get(LIMIT)?.value.as_ref()?.parse().ok();
        Ok(described.iter().map(|config| limit(config.as_ref().ok()?)).collect())
    }

    /// Sets how long a topic's events are kept; its other settings stay as they are.
    pub(super) async fn keep(&self, name: &str, spec: &TopicSpec) -> Result<(), LogError> {
        let operation = format!("change the retention of topic {name}");
        let in_words = |error: &KafkaError| self.clients.words.unavailable(&operation, error);
        let resource = ResourceSpecifier::Topic(name);
        let described = self.admin.describe_configs([&resource], &options()).await;
        let described = described.map_err(|error| in_words(&error))?;
        let Some(Ok(described)) = described.into_iter().next() else {
            return Err(refused(operation, "its settings cannot be read"));
        };
        // what is not given goes back to its default
        let mut changed = AlterConfig::new(resource);
        let own = described.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        for entry in own.filter(|entry| entry.name != RETENTION) {
            if let Some(value) = &entry.value {
                changed = changed.set(&entry.name, value);
            }
        }
        let retention = retention(spec);
        let changed = changed.set(RETENTION, &retention);
        let outcome = self.admin.alter_configs([&changed], &options()).await;
        match outcome.map_err(|error| in_words(&error))?.into_iter().next() {
            Some(Err((_, code))) => Err(in_words(&KafkaError::AdminOp(code))),
            _ => Ok(()),
        }
    }

    /// Removes the events below `before`, which is at most the tail; returns the earliest that is kept.
    pub(super) async fn trim(&self, name: &str, at: At, before: Offset) -> Result<(), LogError> {
        let mut places = TopicPartitionList::new();
        let in_words =
            |error: &KafkaError| self.clients.words.unavailable(format!("trim topic {name}"), error);
        places
            .add_partition_offset(name, number(at.partition), Place::Offset(before.0.cast_signed()))
            .map_err(|error| in_words(&error))?;
        let trimmed = self.admin.delete_records(&places, &options()).await.map_err(|e| in_words(&e))?;
        match trimmed.find_partition(name, number(at.partition)).map(|element| element.error()) {
            Some(Err(error)) => Err(in_words(&error)),
            _ => Ok(()),
        }
    }

    /// Why Kafka does not take a name.
    fn why_invalid(&self, name: &str) -> String {
        let metadata = self.admin.inner().fetch_metadata(None, ANSWER);
        let twin = metadata.ok().and_then(|metadata| {
            let is_twin = |other: &str| other != name && other.replace('.', "_") == name.replace('.', "_");
            metadata.topics().iter().map(|topic| topic.name().to_owned()).find(|other| is_twin(other))
        });
        match twin {
            Some(twin) => {
                format!("Kafka takes . and _ for the same, and has a topic {twin}: take another name")
            }
            None => "Kafka does not take this name: it has at most 249 of A-Z a-z 0-9 . _ -".to_owned(),
        }
    }
}

/// Why a topic that is there cannot stand for the one that is wanted.
pub(super) fn check_partitions(name: &str, there: u32, spec: &TopicSpec) -> Result<(), LogError> {
    if there == spec.partitions {
        return Ok(());
    }
    Err(LogError::AlreadyExists(format!(
        "topic {name} exists in Kafka with {there} partitions; wanted are {}: take the former, or another name",
        spec.partitions
    )))
}

/// Names in Kafka that the log keeps for itself.
pub(super) fn check_name(mirror: &Mirror, clients: &Clients, spec: &TopicSpec) -> Result<(), LogError> {
    let is_own = mirror.name_of(&spec.name) == super::relay::topic(clients);
    if is_own || spec.name.as_str() == super::outbox::TOPIC {
        return Err(LogError::AlreadyExists(format!(
            "topic {}: the log needs this name for itself",
            spec.name
        )));
    }
    Ok(())
}

fn retention(spec: &TopicSpec) -> String {
    crate::topic::retention_ms(spec).unwrap_or(-1).to_string()
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER))
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Topics").finish_non_exhaustive()
    }
}
