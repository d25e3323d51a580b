//! A Spacer database that is imported.

use super::{fails_with, kill_when, line};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use weir_log::conformance::places::Schema;
use weir_log::conformance::server::Server;
use weir_tests::{LogPlace, PATIENCE, Sandbox, eventually};

weir_tests::on_each_log!(
    a_spacer_database_is_imported_and_only_what_it_has_not_handled_runs,
    an_import_that_was_killed_goes_on_and_brings_nothing_twice,
    an_import_whose_source_ended_its_connection_says_so_and_goes_on_later,
);

/// Tables as Spacer makes them.
const TABLES: &str = "
    CREATE TABLE topic_orders(msg_offset bigserial PRIMARY KEY, key text, value text, created_at timestamptz);
    CREATE TABLE topic_audit(LIKE topic_orders INCLUDING ALL);
    CREATE TABLE topic_gone(LIKE topic_orders INCLUDING ALL);
    CREATE TABLE consumer_group_offsets(group_offset bigint, group_id text, topic text);
    INSERT INTO consumer_group_offsets VALUES (9, 'another-group', 'orders')";

/// A database of Spacer's, in a schema of its own.
struct Spacer {
    schema: Schema,
    client: tokio_postgres::Client,
}

impl Spacer {
    async fn new() -> Self {
        let schema = Schema::fresh();
        let client = schema.connect().await;
        client.batch_execute(&format!("CREATE SCHEMA {}", schema.name())).await.expect("made");
        let spacer = Self { schema, client };
        spacer.run(TABLES).await;
        spacer
    }

    fn conn(&self) -> String {
        format!("{} options='-c search_path={}'", Server::shared().conn(), self.schema.name())
    }

    async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.expect("Spacer's database takes it");
    }

    /// Orders `from` to `to` of ten customers; each hundredth offset is that of an append that failed.
    async fn order(&self, from: u64, to: u64) {
        self.run(&format!(
            "INSERT INTO topic_orders SELECT n, 'c' || n % 10, format('{{\"n\": %s }}', n),
               '2020-01-01T00:00:00Z'::timestamptz + n * interval '1.001 s'
             FROM generate_series({from}, {to}) n WHERE n % 100 <> 0"
        ))
        .await;
    }

    /// What `sql` says of the others who read orders right now.
    async fn of_readers(&self, sql: &str) -> i64 {
        let readers = "FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE l.relation = to_regclass('topic_orders') AND l.mode = 'AccessShareLock'
              AND a.query LIKE '%created_at%' AND l.pid <> pg_backend_pid()";
        self.client.query_one(&format!("SELECT {sql} {readers}"), &[]).await.expect("asked").get(0)
    }

    async fn handled(&self, up_to: u64) {
        self.run("DELETE FROM consumer_group_offsets WHERE group_id = 'spacer-shop'").await;
        self.run(&format!("INSERT INTO consumer_group_offsets VALUES ({up_to}, 'spacer-shop', 'orders')"))
            .await;
    }
}

/// The project: what ran, and in which order by customer, is in its state.
fn shop(log: LogPlace) -> Sandbox {
    let note = |table: &str| {
        format!(
            "local state = require 'state'
             return function(order, ctx)
                 local n = type(order) == 'table' and order.n or order or 'none'
                 state.add('{table}', tostring(n), 1)
                 local key = ctx.topic .. (ctx.key or '')
                 local ran = state.get('ran', key) or {{}}
                 table.insert(ran, n)
                 state.set('ran', key, ran)
             end"
        )
    };
    Sandbox::builder()
        .log(log)
        .config(
            "appName: shop\ntopics: [orders, audit, empty]\n\
             events: {orders: {APPEND: [on_order]}, audit: {APPEND: [on_audit]}}\n\
             weir: {topics: {orders: {partitions: 3}}}\n",
        )
        .file("app/gateway.lua", "return {}")
        .file("app/on_order.lua", &note("orders"))
        .file("app/on_audit.lua", &note("audits"))
        .build()
}

async fn rows(sandbox: &Sandbox, table: &str) -> BTreeMap<String, Value> {
    let rows =
        sandbox.weir(&["state", "list", table, "--limit", "10000", "--json"]).await.succeeded().lines();
    rows.iter().map(|row| (row["key"].as_str().expect("text").to_owned(), row["value"].clone())).collect()
}

async fn a_spacer_database_is_imported_and_only_what_it_has_not_handled_runs(log: LogPlace) {
    let (spacer, sandbox) = (Spacer::new().await, shop(log));
    spacer.order(1, 900).await;
    spacer.handled(700).await;
    spacer.run("UPDATE topic_orders SET value = 'no JSON' WHERE msg_offset = 850").await;
    spacer.run("INSERT INTO topic_audit(key, value) VALUES ('k', '{\"n\":1}'), (NULL, NULL)").await;
    spacer.run("INSERT INTO topic_gone(key, value) VALUES ('k', '1')").await;
    let import = ["import", "spacer", &spacer.conn(), "--json"];

    let first = sandbox.weir(&import).await.succeeded();
    assert!(first.stderr.contains("Spacer's topic gone is not in the configuration"), "{}", first.stderr);
    let orders = |imported: u64, before: u64, to_run: u64| {
        json!({"topic": "orders", "imported": imported, "imported_before": before, "to_run": to_run,
            "triggers": ["orders/on_order"], "triggers_kept": []})
    };
    assert_eq!(first.lines()[0], orders(891, 0, 198));
    assert_eq!(first.lines()[1]["to_run"], 2);
    assert_eq!(sandbox.weir(&import).await.succeeded().lines()[0], orders(0, 891, 198));
    // Spacer has gone on meanwhile
    spacer.order(901, 1000).await;
    spacer.handled(800).await;
    assert_eq!(
        line(sandbox.weir(&[&import[..], &["--topic", "orders"]].concat()).await),
        orders(99, 891, 198)
    );

    check_events(&sandbox).await;
    serve(&sandbox).await;
    let ran: Vec<u64> = (801..1000).filter(|n| n % 100 != 0).collect();
    let wanted = ran.iter().map(|n| (if *n == 850 { "no JSON".to_owned() } else { n.to_string() }, json!(1)));
    assert_eq!(rows(&sandbox, "orders").await, wanted.collect());
    let in_order = |customer| -> Vec<_> {
        let own = ran.iter().filter(|n| **n % 10 == customer);
        own.map(|n| if *n == 850 { json!("no JSON") } else { json!(n) }).collect()
    };
    assert_eq!(rows(&sandbox, "audits").await.len(), 2, "what no group has handled runs");
    let by_customer = rows(&sandbox, "ran").await;
    for customer in 0..10 {
        assert_eq!(by_customer[&format!("ordersc{customer}")], Value::from(in_order(customer)));
    }

    // nothing new: nothing is done, and what ran stays behind the triggers
    let again = sandbox.weir(&import).await.succeeded().lines();
    assert_eq!((&again[0]["imported"], &again[0]["triggers_kept"]), (&json!(0), &json!(["orders/on_order"])));
    spacer.order(1001, 1001).await;
    let late = sandbox.weir(&import).await;
    fails_with(&late, 1, &["the trigger orders/on_order has gone on by itself since the last import"]);
}

/// Keys, values, times and the order of each key are Spacer's.
async fn check_events(sandbox: &Sandbox) {
    let events = sandbox.weir(&["events", "orders", "--json"]).await.succeeded().lines();
    let mut by_key: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in &events {
        let time = event["timestamp"].as_str().expect("a time");
        let ms = weir_schema::Millis::from_rfc3339(time).expect("a time").0 - 1_577_836_800_000;
        let n = u64::try_from(ms).expect("after 2020 began") / 1001;
        assert_eq!(ms % 1001, 0, "{event}");
        if n == 850 {
            assert_eq!(event["value_bytes"], "bm8gSlNPTg==", "{event}");
        } else {
            assert_eq!(event["value"], json!({"n": n}), "{event}");
        }
        by_key.entry(event["key"].as_str().expect("a key")).or_default().push(n);
    }
    assert_eq!((events.len(), by_key.len()), (990, 10));
    for (key, numbers) in by_key {
        assert!(
            numbers.is_sorted() && numbers.iter().all(|n| key == format!("c{}", n % 10)),
            "{key}: {numbers:?}"
        );
    }
}

/// Serves until nothing is left to handle.
async fn serve(sandbox: &Sandbox) {
    let server = sandbox.dev().await;
    sandbox.weir(&["triggers", "wait", "--timeout", "60s"]).await.succeeded();
    assert_eq!(sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines(), [json!(null); 0]);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn events_of_the_projects_own_are_neither_mixed_with_spacers_nor_skipped() {
    let (spacer, sandbox) = (Spacer::new().await, shop(LogPlace::sqlite()));
    serve(&sandbox).await;
    sandbox.weir(&["append", "orders", r#"{"n":7}"#, "--key", "c7"]).await.succeeded();
    let import = ["import", "spacer", &spacer.conn(), "--json"];
    let nothing = sandbox.weir(&import).await.succeeded().lines();
    assert_eq!(nothing[0]["triggers_kept"], json!(["orders/on_order"]));
    spacer.order(1, 5).await;
    spacer.handled(5).await;
    let refused = sandbox.weir(&import).await;
    fails_with(
        &refused,
        1,
        &["1 events here are not Spacer's, and its 5 new ones cannot be put before them"],
    );
    serve(&sandbox).await;
    assert_eq!(rows(&sandbox, "orders").await, BTreeMap::from([("7".to_owned(), json!(1))]));
}

async fn an_import_that_was_killed_goes_on_and_brings_nothing_twice(log: LogPlace) {
    let (spacer, sandbox) = (Spacer::new().await, shop(log));
    spacer.order(1, 40_000).await;
    spacer.handled(39_950).await;
    let import = ["import", "spacer", &spacer.conn(), "--topic", "orders", "--json"];
    let is_reading = async || spacer.of_readers("count(*)").await > 0;
    let mut kills = 0;
    while kills < 3 && kill_when(sandbox.begin(&import), is_reading).await {
        kills += 1;
    }
    // what is left may be too little for one more
    assert!(kills > 0, "the import was over before it could be killed");
    let done = line(sandbox.weir(&import).await);
    has_all_orders(&sandbox, &done).await;
}

async fn an_import_whose_source_ended_its_connection_says_so_and_goes_on_later(log: LogPlace) {
    let (spacer, sandbox) = (Spacer::new().await, shop(log));
    spacer.order(1, 40_000).await;
    spacer.handled(39_950).await;
    let import = ["import", "spacer", &spacer.conn(), "--topic", "orders", "--json"];
    let end =
        eventually(PATIENCE, async || match spacer.of_readers("count(pg_terminate_backend(pid))").await {
            0 => Err("nobody reads yet"),
            _ => Ok(()),
        });
    let (ended, ()) = tokio::join!(sandbox.weir(&import), end);
    fails_with(&ended, 1, &["run it again, it goes on where it was: read Spacer's database"]);
    has_all_orders(&sandbox, &line(sandbox.weir(&import).await)).await;
}

/// What `done` tells of the last import, and the log.
async fn has_all_orders(sandbox: &Sandbox, done: &Value) {
    let both = done["imported"].as_u64().zip(done["imported_before"].as_u64()).expect("numbers");
    assert_eq!((both.0 + both.1, &done["to_run"]), (39_600, &json!(49)));
    let events = sandbox.weir(&["events", "orders", "--json"]).await.succeeded().lines();
    let mut numbers: Vec<_> =
        events.iter().map(|event| event["value"]["n"].as_u64().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..40_000).filter(|n| n % 100 != 0).collect::<Vec<_>>());
    serve(sandbox).await;
    assert_eq!(rows(sandbox, "orders").await.len(), 49);
}
