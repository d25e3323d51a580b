//! What operators and tests may set about a log in Kafka.

use crate::{Driver, Faults};
use std::fmt;
use std::sync::Arc;

/// Settings of a log in Kafka.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    /// The brokers to begin with: `host:port`, separated by commas.
    pub brokers: String,
    /// What the names of topics begin with, before a `_`; the application's name as a rule. Logs of the same prefix on the
    /// same cluster are the same log, and need the same store.
    pub prefix: String,
    /// Properties of librdkafka, for all clients. Those that the log's promises depend on win over them.
    pub properties: Properties,
    /// The application's consumer group. Positions are shown to Kafka's tools as groups `CONSUMERGROUP.TOPIC.TRIGGER`, and a
    /// trigger on a topic that others have filled begins where the group itself has come to; none: neither.
    pub consumer_group: Option<String>,
    /// On how many brokers a topic that is created is kept; none: as the brokers are set to.
    pub replication: Option<u16>,
    /// The log that holds what Kafka does not: state, positions, leases, and what is on its way to Kafka. In a file, or in
    /// PostgreSQL; not in Kafka.
    pub store: Box<Driver>,
    /// What happens at the relay's fault points; none: nothing.
    pub faults: Option<Arc<dyn Faults>>,
}

/// Properties by name. Prints names only: values may be secrets.
#[derive(Clone, Default)]
pub struct Properties(Vec<(String, String)>);

impl KafkaOptions {
    /// The settings for use with `brokers`.
    #[must_use]
    pub fn new(brokers: impl Into<String>, prefix: impl Into<String>, store: Driver) -> Self {
        Self {
            brokers: brokers.into(),
            prefix: prefix.into(),
            properties: Properties::default(),
            consumer_group: None,
            replication: None,
            store: Box::new(store),
            faults: None,
        }
    }

    /// Where the log is, without secrets.
    #[must_use]
    pub fn place(&self) -> String {
        format!("kafka://{}/{}_", self.brokers, self.prefix)
    }
}

impl Properties {
    /// The value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of them, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_properties_are_not_printed() {
        let properties: Properties =
            [("sasl.password".to_owned(), "secret".to_owned())].into_iter().collect();
        assert_eq!(format!("{properties:?}"), r#"["sasl.password"]"#);
        assert_eq!(properties.get("sasl.password"), Some("secret"));
    }
}
