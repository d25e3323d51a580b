//! Clients of Kafka that know nothing of Weir: what they write triggers functions, and they read what these append.

use std::process::Command;
use weir_log::conformance::broker::{Prefix, tool};
use weir_tests::{Finished, PATIENCE, Sandbox, eventually, finished, repository};

mod kafka_clients {
    use super::*;
    use std::sync::Arc;
    use weir_tests::LogPlace;

    const ORDERS: &str = "ada:{\"amount\":1}\ngrace:{\"amount\":2}\nada:{\"amount\":3}\n";
    /// In the order of each key, keys in the order of their names.
    const RECEIPTS: [&str; 3] = [r#"ada:{"sum":1}"#, r#"ada:{"sum":4}"#, r#"grace:{"sum":2}"#];

    fn config(partitioner: &str) -> String {
        format!(
            "appName: shop\ntopics: [orders, receipts]\nevents: {{orders: {{APPEND: [on_order]}}}}\n\
             weir: {{topics: {{orders: {{partitions: 3, partitioner: {partitioner}}}, receipts: {{partitions: 3}}}}}}\n"
        )
    }

    /// A server whose function adds up what each key has ordered, and where its topics are in Kafka.
    fn project() -> (Sandbox, Arc<Prefix>) {
        let prefix = Arc::new(Prefix::fresh());
        let project = Sandbox::builder()
            .log(LogPlace::Topics(prefix.clone()))
            .config(&config("murmur2"))
            .file("app/gateway.lua", "return {}")
            .file(
                "app/on_order.lua",
                r#"local state, topics = require "state", require "topics"
                return function(order, ctx)
                    local sum = (state.get("sums", ctx.key) or 0) + order.amount
                    state.set("sums", ctx.key, sum)
                    topics.append("receipts", {{key = ctx.key, value = {sum = sum}}})
                end"#,
            )
            .build();
        (project, prefix)
    }

    /// Writes orders with one client and reads the receipts with it.
    async fn order(write: impl Fn(&Prefix, &str) -> Command, read: impl Fn(&Prefix, &str) -> Command) {
        let (project, prefix) = project();
        let server = project.dev().await;
        finished(write(&prefix, &prefix.topic("orders")), ORDERS).await.succeeded();
        let read = read(&prefix, &prefix.topic("receipts"));
        let Finished { stdout, .. } = finished(read, "").await.succeeded();
        let mut receipts: Vec<_> = stdout.lines().collect();
        // stable: what has one key stays in its order
        receipts.sort_by_key(|receipt| receipt.split(':').next());
        assert_eq!(receipts, RECEIPTS);
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn kcat_triggers_functions_and_reads_what_they_append() {
        let kcat = |prefix: &Prefix, arguments: &[&str]| {
            let mut command = Command::new("kcat");
            command.args(["-q", "-b", prefix.brokers(), "-K:"]).args(arguments);
            command
        };
        order(
            |prefix, topic| kcat(prefix, &["-P", "-t", topic]),
            |prefix, topic| kcat(prefix, &["-C", "-t", topic, "-c3", "-X", "isolation.level=read_committed"]),
        )
        .await;
    }

    #[tokio::test]
    async fn the_tools_of_kafka_trigger_functions_and_read_what_they_append() {
        let tool = |class: &str, prefix: &Prefix, topic: &str, arguments: &[&str]| {
            let mut command = prefix.tool(class);
            command.args(["--topic", topic]).args(arguments);
            command
        };
        let keys = ["--property", "parse.key=true", "--property", "key.separator=:"];
        let shown = [
            ["--property", "print.key=true", "--property", "key.separator=:"],
            ["--from-beginning", "--max-messages=3", "--isolation-level", "read_committed"],
        ]
        .concat();
        order(
            |prefix, topic| tool("org.apache.kafka.tools.ConsoleProducer", prefix, topic, &keys),
            |prefix, topic| tool("org.apache.kafka.tools.consumer.ConsoleConsumer", prefix, topic, &shown),
        )
        .await;
    }

    /// The guide's producer in Java, as a file, for this broker and this topic.
    fn java(project: &Sandbox, prefix: &Prefix) -> String {
        let page = repository().join("docs/guide/kafka.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        let (_, rest) = page.split_once("```java\n").expect("it has a block in Java");
        let (block, _) = rest.split_once("```").expect("the block ends");
        let here = block.replace("localhost:9092", prefix.brokers());
        let here = here.replace("shop_orders", &prefix.topic("orders"));
        assert_eq!(
            here.matches(prefix.name()).count() + here.matches(prefix.brokers()).count(),
            2,
            "{block}"
        );
        let class = format!(
            "import java.util.Map; import org.apache.kafka.clients.producer.*;\n\
             import org.apache.kafka.common.serialization.StringSerializer;\n\
             class Main {{ public static void main(String[] arguments) throws Exception {{\n{here}}} }}"
        );
        project.write("Main.java", &class);
        project.project().join("Main.java").to_str().expect("it is text").to_owned()
    }

    #[tokio::test]
    async fn the_producer_in_java_of_the_guide_places_keys_as_weir_does() {
        let (project, prefix) = project();
        let server = project.dev().await;
        // a class in a file runs as it is
        let producer = tool(&java(&project, &prefix)).unwrap_or_else(|why| panic!("{why}"));
        finished(producer, "").await.succeeded();
        project.weir(&["append", "orders", "--key", "42", r#"{"amount":1}"#]).await.succeeded();
        let events = project.weir(&["events", "orders", "--key", "42", "--json"]).await.succeeded().lines();
        assert_eq!((events.len(), &events[0]["value"]["item"]), (2, &serde_json::json!("tea")));
        assert_eq!(events[0]["partition"], events[1]["partition"]);
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn partitions_that_are_added_get_what_functions_append_and_trigger_others_while_the_server_runs() {
        let (project, prefix) = project();
        let server = project.dev().await;
        for topic in ["orders", "receipts"] {
            let mut alter = prefix.tool("org.apache.kafka.tools.TopicCommand");
            alter.args(["--alter", "--partitions", "24", "--topic", &prefix.topic(topic)]);
            finished(alter, "").await.succeeded();
        }
        let added = async |topic: &str| {
            let shown = project.weir(&["events", topic, "--json"]).await.succeeded();
            let partitions: Vec<_> = shown.lines().iter().map(|e| e["partition"].as_u64()).collect();
            partitions.iter().any(|p| *p >= Some(3)).then_some(()).ok_or(partitions)
        };
        let order = |key: usize| format!("{{\"key\":\"k{key}\",\"value\":{{\"amount\":2}}}}\n");
        let orders: String = (0..50).map(order).collect();
        eventually(PATIENCE, async || {
            project.weir_with(&["append", "orders"], &orders).await.succeeded();
            added("orders").await?;
            project.weir(&["triggers", "wait"]).await.succeeded();
            added("receipts").await
        })
        .await;
        assert!(server.stop().await.success());
    }

    #[tokio::test]
    async fn a_server_says_that_others_place_keys_otherwise_and_takes_their_partitioner_over() {
        let (project, prefix) = project();
        let server = project.dev().await;
        let mut kcat = Command::new("kcat");
        kcat.args(["-q", "-P", "-b", prefix.brokers(), "-K:", "-t", &prefix.topic("orders")]);
        let orders: String = (0..50).map(|key| format!("k{key}:{{\"amount\":1}}\n")).collect();
        finished(kcat, &orders).await.succeeded();
        eventually(PATIENCE, async || {
            let said = project.said_by(0);
            let is_told = said.contains("weir.topics.orders.partitioner: crc32");
            is_told.then_some(()).ok_or(said)
        })
        .await;
        assert!(server.stop().await.success());
        project.write("config/application.yml", &config("crc32"));
        let server = project.dev().await;
        let keys = ["k1", "k2", "k3", "k4", "k5"];
        for key in keys {
            project.weir(&["append", "orders", "--key", key, r#"{"amount":1}"#]).await.succeeded();
            let events =
                project.weir(&["events", "orders", "--key", key, "--json"]).await.succeeded().lines();
            let partitions: Vec<_> = events.iter().map(|event| event["partition"].as_u64()).collect();
            assert_eq!(partitions, [partitions[0]; 2], "{key}");
        }
        assert!(server.stop().await.success());
    }
}
