//! Topics that others have filled: a trigger begins where another application has come to, or waits to be told where.

use serde_json::Value;
use std::process::Command;
use std::sync::Arc;
use weir_log::conformance::broker::{Prefix, tool};
use weir_log::conformance::places::Schema;
use weir_tests::{LogPlace, PATIENCE, Sandbox, Server, eventually, finished};

mod kafka_starts {
    use super::*;

    /// An application of Spacer's, as it stood there.
    const CONFIG: &str = "appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [on_order]}}\n";

    fn project() -> (Sandbox, Arc<Prefix>) {
        let prefix = Arc::new(Prefix::fresh());
        let config = format!("consumerGroup: {}-spacer\n{CONFIG}", prefix.name());
        (with(&config, LogPlace::Topics(prefix.clone())), prefix)
    }

    fn with(config: &str, log: LogPlace) -> Sandbox {
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

    fn kafka(prefix: &Prefix, class: &str, arguments: &[&str]) -> Command {
        let mut command = tool(class).unwrap_or_else(|why| panic!("{why}"));
        command.args(["--bootstrap-server", prefix.brokers()]).args(arguments);
        command
    }

    async fn make(prefix: &Prefix) {
        let topic = format!("{}_orders", prefix.name());
        let arguments = ["--create", "--topic", &topic, "--partitions", "1"];
        finished(kafka(prefix, "org.apache.kafka.tools.TopicCommand", &arguments), "").await.succeeded();
    }

    async fn fill(prefix: &Prefix, names: &[&str]) {
        let topic = format!("{}_orders", prefix.name());
        let events: String = names.iter().map(|name| format!("{{\"name\":\"{name}\"}}\n")).collect();
        let command = kafka(prefix, "org.apache.kafka.tools.ConsoleProducer", &["--topic", &topic]);
        finished(command, &events).await.succeeded();
    }

    /// Handles events as Spacer does, in the consumer group of the configuration.
    async fn handle(prefix: &Prefix, events: u32) {
        let (topic, group) = (format!("{}_orders", prefix.name()), format!("{}-spacer", prefix.name()));
        let max = events.to_string();
        let arguments = ["--topic", &topic, "--group", &group, "--max-messages", &max, "--from-beginning"];
        let class = "org.apache.kafka.tools.consumer.ConsoleConsumer";
        finished(kafka(prefix, class, &arguments), "").await.succeeded();
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
        let (project, prefix) = project();
        make(&prefix).await;
        fill(&prefix, &["a", "b", "c"]).await;
        handle(&prefix, 2).await;
        let server = project.dev().await;
        let told = format!("orders/on_order begins where the consumer group {}-spacer", prefix.name());
        assert!(server.said().contains(&told), "{}", server.said());
        seen(&server, "c").await;
        fill(&prefix, &["d"]).await;
        seen(&server, "cd").await;
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn a_trigger_that_nobody_has_told_where_to_begin_waits_until_somebody_seeks() {
        let (project, prefix) = project();
        make(&prefix).await;
        fill(&prefix, &["a", "b"]).await;
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
        let project = with(&config, LogPlace::Kafka { brokers, store, replication: 1 });
        make(&prefix).await;
        fill(&prefix, &["a"]).await;
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
        let (project, prefix) = project();
        make(&prefix).await;
        fill(&prefix, &["a", "b"]).await;
        let server = project.dev().await;
        assert_eq!(state(&project).await, "needs-start");
        let told = "weir: {triggers: {orders/on_order: {startFrom: earliest}}}\n";
        project.write("config/application.yml", &format!("{CONFIG}{told}"));
        seen(&server, "ab").await;
        assert!(server.stop().await.success());
    }
}
