//! What people find who open the database with `psql`.

use super::nodes::Nodes;
use weir_log::conformance::key;
use weir_log::conformance::ownership::Owner;

#[tokio::test]
async fn the_views_are_readable() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    let at = f.partition().await;
    f.append(at, &["{\"name\":\"Zoë\"}"]).await;
    f.put(&key("t", "k"), "7").await;
    f.put(&key("t", "b"), "\"ß\"").await;
    let _owner = Owner::join(&f, "events/f", at).await;
    let seen = async |sql: &str| {
        let rows = nodes.stranger.query(sql, &[]).await.expect("the view is readable");
        rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>()
    };
    let event = r#"SELECT concat(topic, '/', partition, '/', "offset", ' ', value, ' ', time AT TIME ZONE 'UTC') FROM event_view"#;
    assert_eq!(seen(event).await, ["events/0/0 {\"name\":\"Zoë\"} 1970-01-01 00:16:40"]);
    let state = r#"SELECT concat("table", '[', key, '] = ', value) FROM state_view ORDER BY 1"#;
    assert_eq!(seen(state).await, ["t[b] = \"ß\"", "t[k] = 7"]);
    let position = r#"SELECT concat("group", ' ', topic, ' ', lag) FROM position_view"#;
    assert_eq!(seen(position).await, ["events/f events 1"]);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_escaped() {
    let nodes = Nodes::new().await;
    let f = nodes.node().await;
    f.put(&key("t", "k"), "7").await;
    nodes
        .stranger
        .execute(r"UPDATE rows SET key = '\xff00', counter = NULL, value = '\xfe'", &[])
        .await
        .expect("written");
    let row = nodes.stranger.query_one("SELECT key, value FROM state_view", &[]).await.expect("readable");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), (r"\377\000", r"\376"));
}

#[tokio::test]
async fn every_table_and_view_says_what_it_holds() {
    let nodes = Nodes::new().await;
    let _f = nodes.node().await;
    let silent = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v')
        AND obj_description(oid) IS NULL";
    let silent = nodes.stranger.query(silent, &[]).await.expect("it is SQL");
    let silent: Vec<String> = silent.iter().map(|row| row.get(0)).collect();
    assert_eq!(silent, Vec::<String>::new());
}
