//! Events that are committed and that Kafka does not take, from outside: they are told, sent again, or given up.

use weir_log::conformance::broker::Prefix;
use weir_tests::{LogPlace, Sandbox, finished};

mod kafka_refused {
    use super::*;
    use std::sync::Arc;

    /// A server whose function appends an event without a key and counts it.
    fn project(prefix: &Arc<Prefix>) -> Sandbox {
        Sandbox::builder()
            .log(LogPlace::Topics(prefix.clone()))
            .config("appName: shop\ntopics: [orders]\n")
            .file("app/gateway.lua", "return {}")
            .file(
                "app/order.lua",
                r#"local state, topics = require "state", require "topics"
                return function(order)
                    state.incr("orders", "all", 1)
                    topics.append("orders", {{value = order}})
                end"#,
            )
            .build()
    }

    /// Has the broker take events without keys, or none of them.
    async fn keep(prefix: &Prefix, policy: &str) {
        let mut alter = prefix.tool("kafka.admin.ConfigCommand");
        alter.args(["--alter", "--entity-type", "topics", "--entity-name", &prefix.topic("orders")]);
        alter.args(["--add-config", &format!("cleanup.policy={policy}")]);
        finished(alter, "").await.succeeded();
    }

    #[tokio::test]
    async fn refused_events_are_listed_with_their_reason_and_sent_again_or_given_up() {
        let prefix = Arc::new(Prefix::fresh());
        let project = project(&prefix);
        let server = project.dev().await;
        keep(&prefix, "compact").await;
        for order in [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#] {
            project.weir(&["call", "order", order]).await.succeeded();
        }
        let list = async || project.weir(&["refused", "--json"]).await.succeeded().lines();
        let refused = list().await;
        let shown: Vec<_> = refused.iter().map(|r| (r["topic"].as_str(), r["value"]["n"].as_u64())).collect();
        assert_eq!(shown, [1, 2, 3].map(|n| (Some("orders"), Some(n))));
        let status = project.weir(&["status"]).await;
        assert_eq!(status.code, Some(1), "someone must act");
        assert!(status.stdout.contains("weir refused retry --topic orders"), "{}", status.stdout);

        let first = refused[0]["id"].as_str().expect("it has one");
        let again = project.weir(&["refused", "retry", first]).await;
        assert_eq!(again.code, Some(1));
        assert!(again.stderr.contains("refused again"), "{}", again.stderr);
        assert_eq!(project.weir(&["refused", "retry"]).await.code, Some(1), "it is not said which");

        let second = refused[1]["id"].as_str().expect("it has one");
        project.weir(&["refused", "drop", second, "--yes"]).await.succeeded();
        keep(&prefix, "delete").await;
        project.weir(&["refused", "retry", "--topic", "orders"]).await.succeeded();
        assert_eq!(list().await.len(), 0);
        let events = project.weir(&["events", "orders", "--json"]).await.succeeded().lines();
        assert_eq!(events.iter().map(|e| e["value"]["n"].as_u64()).collect::<Vec<_>>(), [Some(3), Some(1)]);
        project.weir(&["status"]).await.succeeded();
        assert!(server.stop().await.success());
    }
}
