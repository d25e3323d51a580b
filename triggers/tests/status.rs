//! What `weir triggers` shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use weir_log::{Driver, LogConfig, SystemClock, TopicSpec};
use weir_runtime::{Limits, Session};
use weir_schema::{FunctionName, GroupName, Partitioner, TopicName};
use weir_triggers::{Trigger, Triggers, dispatcher};

#[tokio::test]
async fn a_declared_trigger_is_listed_before_it_has_ever_run() {
    let log =
        weir_log::open(LogConfig { driver: Driver::Memory, app: None, clock: Arc::new(SystemClock) }).await;
    let session = Arc::new(Session::new(log.expect("memory opens"), Arc::new(SystemClock), BTreeMap::new()));
    let topic = TopicName::new("orders").expect("valid");
    let spec =
        TopicSpec { name: topic.clone(), partitions: 2, partitioner: Partitioner::Murmur2, retention: None };
    session.log().create_topic(&spec).await.expect("created");
    let triggers = Triggers::new(session, Vec::new(), CancellationToken::new(), false);
    let name = FunctionName::new("on_order").expect("valid");
    triggers.declare(Trigger {
        group: GroupName::of_trigger(&topic, &name),
        topic,
        function: name.clone(),
        name,
        settings: dispatcher::Settings::default(),
        limits: Limits::default(),
        replay: None,
    });
    let status = triggers.status().await.expect("listed");
    assert_eq!(status.len(), 1);
    assert_eq!((status[0].state, status[0].positions.len()), ("stopped", 0));
}
