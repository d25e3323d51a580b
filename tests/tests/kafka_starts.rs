//! Topics that others have filled: a trigger begins where another application has come to, or waits to be told where.

use serde_json::Value;
use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::places::Schema;
use weir_tests::{LogPlace, PATIENCE, Sandbox, Server, eventually, finished};

mod kafka_starts {
    use super::*;

    /// An application of Spacer's, as it stood there.
    const CONFIG: &str = "appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [on_order]}}\n";

    /// An application whose topic others have made and filled with events of these names.
    async fn filled(names: &[&str]) -> (Sandbox, Arc<Prefix>) {
        let prefix = Arc::new(Prefix::fresh());
        let config = format!("consumerGroup: {}\n{CONFIG}", group(&prefix));
        (filled_on(&prefix, &config, LogPlace::Topics(prefix.clone()), names).await, prefix)
    }

    async fn filled_on(prefix: &Prefix, config: &str, log: LogPlace, names: &[&str]) -> Sandbox {
        let mut make = prefix.tool("org.apache.kafka.tools.TopicCommand");
        make.args(["--create", "--topic", &prefix.topic("orders"), "--partitions", "1"]);
        finished(make, "").await.succeeded();
        fill(prefix, names).await;
        Sandbox::builder()
            .log(log)
            .config(config)
            .file("app/gateway.lua", "return {{\"GET\", \"/seen\", \"seen\"}}")
            .file("app/seen.lua", "return function() return require('state').get('seen', 'all') or '' end")
            .file(
                "app/on_order.lua",
                r#"local state = require "state"
                return function(order)
                    state.set("seen", "all", (state.get("seen", "all") or "") .. order.name)
                end"#,
            )
            .build()
    }

    async fn fill(prefix: &Prefix, names: &[&str]) {
        let events: String = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}\n")).collect();
        let mut fill = prefix.tool("org.apache.kafka.tools.ConsoleProducer");
        fill.args(["--topic", &prefix.topic("orders")]);
        finished(fill, &events).await.succeeded();
    }

    /// The consumer group of the configuration.
    fn group(prefix: &Prefix) -> String {
        format!("{}-spacer", prefix.name())
    }

    /// Handles events as Spacer does, in the consumer group of the configuration.
    async fn handle(prefix: &Prefix, events: u32) {
        let mut handle = prefix.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
        handle.args(["--topic", &prefix.topic("orders"), "--group", &group(prefix), "--from-beginning"]);
        handle.args(["--max-messages", &events.to_string()]);
        finished(handle, "").await.succeeded();
    }

    async fn seen(server: &Server, expected: &str) {
        eventually(PATIENCE, || async {
            let seen = server.get("/seen").await.json()["data"].clone();
            if seen == expected { Ok(()) } else { Err(seen.to_string()) }
        })
        .await;
    }

    async fn state(project: &Sandbox) -> Value {
        let told = project.weir(&["triggers", "--json"]).await.succeeded();
        told.lines()[0]["state"].clone()
    }

    #[tokio::test]
    async fn a_spacer_application_goes_on_where_its_consumer_group_has_come_to() {
        let (project, prefix) = filled(&["a", "b", "c"]).await;
        handle(&prefix, 2).await;
        let server = project.dev().await;
        let told = format!("orders/on_order begins where the consumer group {}", group(&prefix));
        assert!(server.said().contains(&told), "{}", server.said());
        seen(&server, "c").await;
        fill(&prefix, &["d"]).await;
        seen(&server, "cd").await;
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn a_trigger_that_nobody_has_told_where_to_begin_waits_until_somebody_seeks() {
        let (project, _) = filled(&["a", "b"]).await;
        let server = project.dev().await;
        assert!(
            server.said().contains("orders/on_order needs-start: orders has events"),
            "{}",
            server.said()
        );
        assert_eq!(state(&project).await, "needs-start");
        let status = project.weir(&["status"]).await;
        assert_eq!(status.code, Some(1), "{}", status.stdout);
        let partly = ["triggers", "seek", "orders/on_order", "--to", "earliest", "--partition", "0", "--yes"];
        let refused = project.weir(&partly).await;
        assert_ne!(refused.code, Some(0));
        assert!(refused.stderr.contains("without --partition"), "{}", refused.stderr);
        project.weir(&["triggers", "seek", "orders/on_order", "--to", "earliest", "--yes"]).await.succeeded();
        seen(&server, "ab").await;
        assert_eq!(state(&project).await, "live");
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn what_one_node_is_told_the_others_hear_of() {
        let (prefix, schema) = (Prefix::fresh(), Schema::fresh());
        let (brokers, store) = (prefix.brokers().to_owned(), Some(schema.conn()));
        let config = CONFIG.replace("shop", prefix.name());
        let log = LogPlace::Kafka { brokers, store, replication: 1 };
        let project = filled_on(&prefix, &config, log, &["a"]).await;
        let (one, other) = (project.dev().await, project.dev().await);
        // the last one to start is who is asked
        project.weir(&["triggers", "seek", "orders/on_order", "--to", "earliest", "--yes"]).await.succeeded();
        seen(&one, "a").await;
        assert!(other.stop().await.success());
        fill(&prefix, &["b"]).await;
        seen(&one, "ab").await;
        assert!(one.stop().await.success());
    }

    #[tokio::test]
    async fn a_trigger_that_waits_begins_when_the_configuration_says_where() {
        let (project, _) = filled(&["a", "b"]).await;
        let server = project.dev().await;
        assert_eq!(state(&project).await, "needs-start");
        let told = "weir: {triggers: {orders/on_order: {startFrom: earliest}}}\n";
        project.write("config/application.yml", &format!("{CONFIG}{told}"));
        seen(&server, "ab").await;
        assert!(server.stop().await.success());
    }
}
