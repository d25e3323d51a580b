//! A long backlog of which one customer's events fail: the others' pass at once, and the failed ones go on in their
//! order when the function is mended.

use serde_json::{Value, json};
use weir_tests::{PATIENCE, Sandbox, eventually};

const EVENTS: usize = 10_000;
const CUSTOMERS: usize = 10;

/// Counts a customer's events, and those that came out of their order. `poisoned` is a customer's name.
fn count(poisoned: &str) -> String {
    format!(
        r#"local state = require "state"
        return function(order, ctx)
            if ctx.key == "{poisoned}" then error("no such customer") end
            local last = state.get("last", ctx.key) or -1
            if order.n <= last then state.add("counted", "out of order", 1) end
            state.set("last", ctx.key, order.n)
            state.add("counted", ctx.key, 1)
        end"#
    )
}

/// `weir state list TABLE`, as a map.
async fn table(sandbox: &Sandbox, table: &str) -> Value {
    let rows = sandbox.weir(&["state", "list", table, "--json"]).await.succeeded().lines();
    rows.into_iter()
        .map(|row| (row["key"].as_str().expect("a key").to_owned(), row["value"].clone()))
        .collect()
}

/// What every customer's count should be, but for those named.
fn counts(without: &[&str]) -> Value {
    let names = (0..CUSTOMERS).map(|c| format!("c{c}")).filter(|name| !without.contains(&name.as_str()));
    names.map(|name| (name, json!(EVENTS / CUSTOMERS))).collect()
}

#[tokio::test]
async fn a_customer_whose_events_fail_holds_up_nobody_and_loses_no_order() {
    let sandbox = Sandbox::builder()
        .config("appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [count]}}\n")
        .file("app/gateway.lua", "return {}")
        .file("app/count.lua", &count("c3"))
        .build();
    let line = |n: usize| json!({"key": format!("c{}", n % CUSTOMERS), "value": {"n": n}}).to_string();
    let orders: Vec<_> = (0..EVENTS).map(line).collect();
    sandbox.weir_with(&["append", "orders"], &orders.join("\n")).await.succeeded();

    let _server = sandbox.dev().await;
    let shown = eventually(PATIENCE, || async {
        let shown = sandbox.weir(&["triggers", "--json"]).await.succeeded().lines().remove(0);
        if shown["lag"] == 0 { Ok(shown) } else { Err(shown) }
    })
    .await;
    assert_eq!(shown["parked"], EVENTS / CUSTOMERS, "{shown}");
    assert_eq!(table(&sandbox, "counted").await, counts(&["c3"]));

    sandbox.write("app/count.lua", &count("nobody"));
    eventually(PATIENCE, || async {
        let shown = sandbox.weir(&["triggers", "--json"]).await.succeeded().lines().remove(0);
        if shown["parked"] == 0 { Ok(()) } else { Err(shown) }
    })
    .await;
    assert_eq!(table(&sandbox, "counted").await, counts(&[]));
}
