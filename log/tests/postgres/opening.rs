//! Opening: by several at once, by others, in vain.

use super::nodes::{Nodes, refusal};
use std::collections::HashSet;
use weir_log::PostgresOptions;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_make_a_new_schema_at_once() {
    let nodes = Nodes::new().await;
    let opened = tokio::join!(nodes.node(), nodes.node(), nodes.node(), nodes.node());
    let writers = [&opened.0, &opened.1, &opened.2, &opened.3].map(|f| f.log.capabilities().writer);
    assert_eq!(HashSet::from(writers).len(), 4);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let nodes = Nodes::new().await;
    drop(nodes.node().await);
    nodes
        .stranger
        .batch_execute("UPDATE meta SET value = 99 WHERE name IN ('schema', 'oldest')")
        .await
        .expect("changed");
    let said = refusal(nodes.options(), None).await;
    assert!(said.contains("its schema has version 99, this program knows 1: use a newer weir"), "{said}");
}

#[tokio::test]
async fn the_log_of_another_application_is_refused() {
    let nodes = Nodes::new().await;
    nodes.stranger.batch_execute("SELECT 1").await.expect("it answers");
    drop(nodes.node().await);
    nodes.stranger.batch_execute("INSERT INTO owner VALUES ('shop')").await.expect("claimed");
    let said = refusal(nodes.options(), Some("bank")).await;
    assert!(said.contains("it belongs to the application \"shop\", and this one is \"bank\""), "{said}");
    drop(nodes.node().await);
}

/// Each thing that may be wrong is told apart, with what helps, in one line without secrets.
#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let nodes = Nodes::new().await;
    drop(nodes.node().await);
    let sql = "DO $$ BEGIN CREATE ROLE nobody_here LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$";
    nodes.stranger.batch_execute(sql).await.expect("there is a role");
    let with = |more: &str| {
        let mut options = nodes.options();
        options.conn = weir_log::ConnString::new(format!("{} {more}", nodes.conn()));
        options
    };
    let cases = [
        (with("dbname=none_such"), "create the database, or name another"),
        (with("user=nobody_here"), "grant the role what it needs on the schema"),
        (with("options='-c default_transaction_read_only=on'"), "connect to the primary"),
        (PostgresOptions::new("postgres://u:s3cret@127.0.0.1:1/db"), "onnection refused"),
        (
            PostgresOptions::new("postgres://u:s3cret@127.0.0.1:x/db"),
            "write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (PostgresOptions::new("s3cret"), "write postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
    ];
    for (options, expected) in cases {
        assert!(!format!("{options:?}").contains("s3cret"));
        let said = refusal(options, None).await;
        assert!(said.contains(expected) && !said.contains("s3cret"), "{expected}: {said}");
    }
}
