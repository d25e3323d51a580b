//! A log in Kafka.

use super::{conn_string, warn_of_unused};
use crate::reader::{Reader, path};
use crate::setting::{Said, Setting, Wrong, words};
use crate::{KafkaStorage, KafkaStore, LogStorage, Origin, Secret};

const BROKERS: &str = "logStorage.*.brokers";
const PREFIX: &str = "logStorage.*.topicPrefix";
const REPLICATION: &str = "logStorage.*.replication";
const STORE: &str = "logStorage.*.store.driver";
const STORE_CONN_STRING: &str = "logStorage.*.store.connString";
const PROPERTIES: &str = "logStorage.*.kafka.*";

/// What no other driver uses.
pub(super) const KEYS: [&str; 5] = [BROKERS, PREFIX, REPLICATION, STORE, STORE_CONN_STRING];

/// What names of properties hold whose values must not show.
const SECRETS: [&str; 3] = ["password", "secret", ".pem"];

/// Where a broker is.
struct Address(String);

impl Setting for Address {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains(['/', ',']));
        if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(format!("{text:?} is no address of a broker"), "write HOST:PORT, as localhost:9092"))
    }
}

/// What the names of topics begin with.
struct Prefix(String);

impl Setting for Prefix {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
        if (1..=100).contains(&text.len()) && text.chars().all(is_fine) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::new(format!("{text:?} is no prefix"), "write 1 to 100 of A-Z a-z 0-9 . -"))
    }
}

/// On how many brokers a topic is.
struct Replication(u16);

impl Setting for Replication {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let number = text.parse().ok().filter(|number| (1..=i16::MAX.cast_unsigned()).contains(number));
        let wrong = || Wrong::new(format!("{text:?} is no number of brokers"), "write a whole number from 1");
        number.map(Self).ok_or_else(wrong)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StoreDriver {
    Sqlite,
    Postgres,
}

words!(StoreDriver: "sqlite" => Self::Sqlite, "postgres" => Self::Postgres);

pub(super) fn storage(reader: &mut Reader<'_>, name: &str, origin: Origin) -> LogStorage {
    let brokers: Vec<Said<Address>> = reader.list(BROKERS, name).unwrap_or_default();
    if brokers.is_empty() {
        let remedy = "write brokers: [\"HOST:9092\"] beside the driver";
        reader.wrong(origin, path(BROKERS, name), Wrong::new("there is none", remedy));
    }
    let topic_prefix = reader.optional::<Prefix>(PREFIX, name).map(|said| said.value.0);
    let replication = reader.optional::<Replication>(REPLICATION, name).map(|said| said.value.0);
    let is_secret = |name: &str| SECRETS.iter().any(|part| name.contains(part));
    let properties = reader.texts(PROPERTIES, name, is_secret);
    LogStorage::Kafka(KafkaStorage {
        brokers: brokers.into_iter().map(|said| said.value.0).collect(),
        topic_prefix,
        replication,
        properties: properties.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        store: store(reader, name),
    })
}

fn store(reader: &mut Reader<'_>, name: &str) -> KafkaStore {
    match reader.optional::<StoreDriver>(STORE, name) {
        Some(Said { value: StoreDriver::Postgres, origin }) => {
            conn_string(reader, STORE_CONN_STRING, name, origin)
                .map_or(KafkaStore::Sqlite, KafkaStore::Postgres)
        }
        Some(Said { value: StoreDriver::Sqlite, .. }) | None => {
            warn_of_unused(reader, STORE_CONN_STRING, name);
            KafkaStore::Sqlite
        }
    }
}
