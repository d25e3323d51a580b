//! The calls of Kafka's client that its crate does not offer.
#![expect(unsafe_code, reason = "they have no safe interface")]

use rdkafka::bindings::{
    rd_kafka_AdminOptions_destroy, rd_kafka_AdminOptions_new, rd_kafka_DescribeTopics,
    rd_kafka_DescribeTopics_result_topics, rd_kafka_TopicCollection_destroy,
    rd_kafka_TopicCollection_of_topic_names, rd_kafka_TopicDescription_error, rd_kafka_TopicDescription_name,
    rd_kafka_TopicDescription_topic_id, rd_kafka_Uuid_least_significant_bits,
    rd_kafka_Uuid_most_significant_bits, rd_kafka_admin_op_t, rd_kafka_error_code,
    rd_kafka_event_DescribeTopics_result, rd_kafka_event_destroy, rd_kafka_event_t, rd_kafka_flush,
    rd_kafka_queue_destroy, rd_kafka_queue_new, rd_kafka_queue_poll, rd_kafka_resp_err_t,
};
use rdkafka::client::{Client, ClientContext};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};
use std::time::Duration;

/// Has a producer send what it was given, whatever its `linger.ms`, and waits at most `patience` until all of it has been
/// reported, which another thread has to hear; returns whether it has. What is given to it meanwhile is sent at once.
///
/// So everything that was given before goes in one request a partition. Without it a producer begins with the first event that
/// it is given, and what follows waits for the answer to that.
pub(super) fn flush<C: ClientContext>(producer: &Client<C>, patience: Duration) -> bool {
    // SAFETY: the client lives as long as it is borrowed, and may be called by any thread.
    let outcome = unsafe { rd_kafka_flush(producer.native_ptr(), millis(patience)) };
    outcome == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// By what Kafka knows a topic: the halves of its UUID.
pub(super) type Id = (i64, i64);

/// By which ids Kafka knows topics: one that is made anew has another. Brokers before 2.8 have none, and of what the user may not
/// see, or no broker has told within `patience`, there is none.
pub(super) fn topic_ids<C: ClientContext>(
    client: &Client<C>,
    names: &[&str],
    patience: Duration,
) -> HashMap<String, Id> {
    let names: Vec<_> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
    let mut names_of: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client lives as long as it is borrowed, and the names until the request has copied them. What is made here is
    // destroyed here, once; the answer comes by the queue, which counts who holds it.
    unsafe {
        let client = client.native_ptr();
        let topics = rd_kafka_TopicCollection_of_topic_names(names_of.as_mut_ptr(), names_of.len());
        let options =
            rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let queue = rd_kafka_queue_new(client);
        rd_kafka_DescribeTopics(client, topics, options, queue);
        let answer = rd_kafka_queue_poll(queue, millis(patience));
        let ids = if answer.is_null() { HashMap::new() } else { ids_of(answer) };
        rd_kafka_event_destroy(answer);
        rd_kafka_queue_destroy(queue);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_TopicCollection_destroy(topics);
        ids
    }
}

/// # Safety
/// The event is there, and nobody else's, until this returns.
unsafe fn ids_of(answer: *mut rd_kafka_event_t) -> HashMap<String, Id> {
    let mut ids = HashMap::new();
    // SAFETY: what an event leads to lives as long as it does; a result has as many topics as it says.
    unsafe {
        let result = rd_kafka_event_DescribeTopics_result(answer);
        if result.is_null() {
            return ids;
        }
        let mut count = 0;
        let topics = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for topic in (0..count).map(|index| *topics.add(index)) {
            let error = rd_kafka_error_code(rd_kafka_TopicDescription_error(topic));
            let id = rd_kafka_TopicDescription_topic_id(topic);
            if error != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || id.is_null() {
                continue;
            }
            let id = (rd_kafka_Uuid_most_significant_bits(id), rd_kafka_Uuid_least_significant_bits(id));
            if id != (0, 0) {
                let name = CStr::from_ptr(rd_kafka_TopicDescription_name(topic));
                ids.insert(name.to_string_lossy().into_owned(), id);
            }
        }
    }
    ids
}

fn millis(duration: Duration) -> c_int {
    c_int::try_from(duration.as_millis()).unwrap_or(c_int::MAX)
}
