//! A trigger on a topic that keeps the last event of each key, while events before its position are compacted away.

use std::process::Command;
use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_tests::{LogPlace, PATIENCE, Sandbox, eventually, finished};

/// A segment is closed by the first event that is later than its own, and only closed ones are compacted.
const COMPACTED: [&str; 4] =
    ["cleanup.policy=compact", "segment.ms=1", "min.cleanable.dirty.ratio=0.01", "min.compaction.lag.ms=0"];

fn project(prefix: &Arc<Prefix>) -> Sandbox {
    Sandbox::builder()
        .log(LogPlace::Topics(prefix.clone()))
        .config("appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [on_order]}}\n")
        .file("app/gateway.lua", "return {}")
        .file(
            "app/on_order.lua",
            r#"local state = require "state"
            return function(order, ctx) state.set("orders", ctx.key, ctx.offset) end"#,
        )
        .build()
}

async fn make(prefix: &Prefix, topic: &str) {
    let mut make = prefix.tool("org.apache.kafka.tools.TopicCommand");
    make.args(["--create", "--topic", topic, "--partitions", "1"]);
    for setting in COMPACTED {
        make.args(["--config", setting]);
    }
    finished(make, "").await.succeeded();
}

async fn write(prefix: &Prefix, topic: &str, events: &str) {
    let mut kcat = Command::new("kcat");
    kcat.args(["-q", "-P", "-b", prefix.brokers(), "-K:", "-t", topic]);
    finished(kcat, events).await.succeeded();
}

#[tokio::test]
async fn kafka_compacts_what_a_trigger_has_not_handled_and_it_handles_and_counts_what_is_left() {
    let prefix = Arc::new(Prefix::compacting().await);
    let (project, topic) = (project(&prefix), prefix.topic("orders"));
    make(&prefix, &topic).await;
    let server = project.dev().await;
    project.weir(&["triggers", "pause", "orders/on_order"]).await.succeeded();
    let all: String = (0..200).map(|n| format!("k{}:{n}\n", n % 10)).collect();
    write(&prefix, &topic, &all).await;
    write(&prefix, &topic, "last:200\n").await;
    let offsets = async || {
        let events = project.weir(&["events", "orders", "--json"]).await.succeeded().lines();
        events.iter().filter_map(|event| event["offset"].as_u64()).collect::<Vec<_>>()
    };
    eventually(PATIENCE, async || {
        let left = offsets().await;
        if left.len() == 11 { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(offsets().await, (190..=200).collect::<Vec<_>>());
    let trigger = project.weir(&["triggers", "--json"]).await.succeeded().lines().remove(0);
    assert_eq!(trigger["lag"], 11, "what is gone is nothing to be handled: {trigger}");
    project.weir(&["triggers", "resume", "orders/on_order"]).await.succeeded();
    project.weir(&["triggers", "wait"]).await.succeeded();
    let last = project.weir(&["state", "get", "orders", "k3"]).await.succeeded();
    assert_eq!(last.stdout.trim(), "193");
    let handled = project.weir(&["state", "list", "orders", "--json"]).await.succeeded().lines();
    assert_eq!(handled.len(), 11);
    let replay = project.weir(&["replay", "orders", "--function", "on_order", "--dry-run"]).await.succeeded();
    assert!(replay.stdout.contains("11 run"), "{}", replay.stdout);
    assert!(server.stop().await.success());
}
