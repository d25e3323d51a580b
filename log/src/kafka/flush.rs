//! The one call of Kafka's client that its crate does not offer.
#![expect(unsafe_code, reason = "the client's flush that waits has no safe interface")]

use rdkafka::bindings::{rd_kafka_flush, rd_kafka_resp_err_t};
use rdkafka::client::{Client, ClientContext};

use std::time::Duration;

/// Has a producer send what it was given, whatever its `linger.ms`, and waits at most `patience` until all of it has been
/// reported, which another thread has to hear; returns whether it has. What is given to it meanwhile is sent at once.
///
/// So everything that was given before goes in one request a partition. Without it a producer begins with the first event that
/// it is given, and what follows waits for the answer to that.
pub(super) fn flush<C: ClientContext>(producer: &Client<C>, patience: Duration) -> bool {
    let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives as long as it is borrowed, and may be called by any thread.
    let outcome = unsafe { rd_kafka_flush(producer.native_ptr(), millis) };
    outcome == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}
