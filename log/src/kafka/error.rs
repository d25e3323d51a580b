//! What Kafka says, in our words.

use crate::LogError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::{Arc, Mutex, PoisonError};

/// What a client's error callback has said last: calls themselves only time out, whatever the cause.
#[derive(Clone, Default, Debug)]
pub(super) struct Words {
    said: Arc<Mutex<Option<Said>>>,
    /// What the names of the log's topics, and of all else that it has in Kafka, begin with.
    prefix: Arc<str>,
}

#[derive(Clone, Debug)]
struct Said {
    text: String,
    weight: Weight,
}

/// How much is to be learnt from what a client says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Weight {
    /// That it has no connection.
    Nothing,
    /// What became of one.
    Something,
    /// What goes away only when someone changes the settings.
    Lasting,
}

impl Words {
    pub(super) fn new(prefix: &str) -> Self {
        Self { said: Arc::default(), prefix: prefix.into() }
    }

    /// Keeps what a client said. A wrong password counts for more than the connections that end by it.
    pub(super) fn hear(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            // no error, but told as one: a reader has come to the end
            return;
        }
        let right = self.right(error);
        let weight = match code {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => Weight::Lasting,
            _ if right.is_some() => Weight::Lasting,
            Some(RDKafkaErrorCode::AllBrokersDown) => Weight::Nothing,
            _ => Weight::Something,
        };
        tracing::debug!(%error, reason, "a client of Kafka met an error");
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref().is_none_or(|said| said.weight <= weight) {
            let right = right.map(|right| format!(": {right}")).unwrap_or_default();
            *said = Some(Said { text: in_one_line(reason) + &right, weight });
        }
    }

    /// Whether what was said goes away only when someone changes the settings.
    pub(super) fn are_lasting(&self) -> bool {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.as_ref().is_some_and(|said| said.weight == Weight::Lasting)
    }

    /// The error of `operation`, with what was said about it.
    pub(super) fn unavailable(&self, operation: impl Into<String>, error: &KafkaError) -> LogError {
        let code = error.rdkafka_error_code();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = said.filter(|_| code.is_none() || is_silence(error));
        let source = match &said {
            Some(said) => format!("{error} ({}{})", said.text, remedy(&said.text)),
            None => self.explain(error),
        };
        let retry = said.is_none_or(|said| said.weight != Weight::Lasting) && self.right(error).is_none();
        LogError::Unavailable { operation: operation.into(), source: source.into(), retry }
    }

    /// An answer of the brokers'; if they deny something, with what would allow it.
    pub(super) fn explain(&self, error: &KafkaError) -> String {
        match self.right(error) {
            Some(right) => format!("{error} ({right})"),
            None => error.to_string(),
        }
    }

    /// What lets the user do what `error` says that it may not, or the brokers what they cannot; none: it is another error.
    pub(super) fn right(&self, error: &KafkaError) -> Option<String> {
        let prefix = &self.prefix;
        Some(match error.rdkafka_error_code()? {
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                format!(
                    "the user needs the rights Describe, Read and Write on topics that begin with {prefix}_"
                )
            }
            RDKafkaErrorCode::GroupAuthorizationFailed => {
                format!(
                    "the user needs the right Read on groups that begin with {prefix}___, and Read, Describe and Delete \
                     on those that begin with consumerGroup"
                )
            }
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
                format!(
                    "the user needs the rights Describe and Write on transactional ids that begin with {prefix}-relay"
                )
            }
            RDKafkaErrorCode::ClusterAuthorizationFailed => format!(
                "the user needs the right Write on topics that begin with {prefix}_; of brokers before 2.8 also \
                 IdempotentWrite on the cluster"
            ),
            RDKafkaErrorCode::UnsupportedVersion | RDKafkaErrorCode::UnsupportedFeature => {
                "these brokers are too old for it: Weir wants transactions, and has been tried with Kafka 2.4 and 4.1"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

/// librdkafka names the address twice, and the time.
fn in_one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What helps against what a client has said.
fn remedy(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["certificate verify failed", "certificate subject name", "ca.location"]) {
        "; ssl.ca.location under kafka: names the root that the brokers' certificates are signed by"
    } else if has(&["SSL handshake", "SSL_HANDSHAKE", "SSL transport", "wrong version number"]) {
        "; is this the brokers' port for TLS? Without it: security.protocol: plaintext or sasl_plaintext under kafka:"
    // that they are down is all that a client says to whom a port for TLS does not answer
    } else if has(&["connecting to a SSL listener", "security.protocol", "brokers are down"]) {
        "; where the brokers want TLS or a password: security.protocol: ssl, sasl_ssl or sasl_plaintext under kafka:"
    } else if has(&["uthentication", "SASL", "mechanism"]) {
        "; see sasl.username, sasl.password and sasl.mechanisms under kafka:"
    } else if has(&["esolve"]) {
        "; see brokers: and what the brokers advertise (advertised.listeners)"
    } else {
        ""
    }
}

/// Whether an error says no more than that no answer came.
pub(super) fn is_silence(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::Resolve
        )
    )
}

/// Whether a topic or partition is not known, to the brokers or to the client.
pub(super) fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownTopicOrPartition
        )
    )
}

/// Something that Kafka does not want, and will not want later either.
pub(super) fn refused(operation: impl Into<String>, why: impl Into<String>) -> LogError {
    let why: String = why.into();
    LogError::Unavailable { operation: operation.into(), source: why.into(), retry: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: RDKafkaErrorCode) -> KafkaError {
        KafkaError::MetadataFetch(code)
    }

    #[test]
    fn a_wrong_password_is_told_instead_of_a_timeout() {
        let words = Words::default();
        words.hear(&error(RDKafkaErrorCode::Authentication), "SASL authentication failed");
        words.hear(&error(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let told = words.unavailable("open log", &error(RDKafkaErrorCode::OperationTimedOut));
        assert!(told.to_string().contains("SASL authentication failed"), "{told}");
        assert!(!told.is_retryable());
    }

    #[test]
    fn whoever_speaks_tls_to_a_port_that_does_not_is_told_so_however_the_handshake_ended() {
        for reason in [
            "sasl_ssl://localhost:9092/bootstrap: SSL handshake failed: wrong version number",
            "sasl_ssl://localhost:9092/bootstrap: Disconnected: SSL connection closed by peer (after 0ms in state SSL_HANDSHAKE)",
        ] {
            let words = Words::default();
            words.hear(&error(RDKafkaErrorCode::BrokerTransportFailure), reason);
            let told = words.unavailable("open log", &error(RDKafkaErrorCode::BrokerTransportFailure));
            assert!(told.to_string().contains("is this the brokers' port for TLS?"), "{told}");
        }
    }

    #[test]
    fn what_a_broker_answers_is_told_as_it_is() {
        let words = Words::default();
        words.hear(&error(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let told = words.unavailable("trim", &error(RDKafkaErrorCode::NotLeaderForPartition));
        assert!(!told.to_string().contains("brokers are down"), "{told}");
        assert!(told.is_retryable());
    }

    #[test]
    fn what_a_user_may_not_is_told_with_the_right_that_it_needs() {
        let words = Words::new("shop");
        for (code, right) in [
            (RDKafkaErrorCode::TopicAuthorizationFailed, "topics that begin with shop_"),
            (RDKafkaErrorCode::GroupAuthorizationFailed, "groups that begin with shop___"),
            (RDKafkaErrorCode::TransactionalIdAuthorizationFailed, "ids that begin with shop-relay"),
            (RDKafkaErrorCode::ClusterAuthorizationFailed, "IdempotentWrite"),
            (RDKafkaErrorCode::UnsupportedFeature, "too old"),
        ] {
            let told = words.unavailable("read topic shop_orders", &error(code));
            assert!(told.to_string().contains(right) && !told.is_retryable(), "{told}");
        }
    }
}
