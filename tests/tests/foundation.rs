//! The story that everything else is there for: a request appends, a trigger keeps a view, another request reads it;
//! and the project changes while it is served.

use serde_json::{Value, json};
use weir_tests::{LogPlace, PATIENCE, Sandbox, Server, ServerOptions, eventually};

weir_tests::on_each_log!(
    what_a_route_appends_a_trigger_turns_into_a_view_that_another_route_reads,
    a_saved_file_is_served_at_once_and_one_that_does_not_compile_breaks_its_own_route_only,
    where_the_system_tells_of_no_changes_the_folders_are_looked_through,
    routes_are_chosen_by_the_environment_that_functions_see,
    a_route_that_is_added_is_served_and_mistakes_in_the_routes_leave_the_old_ones,
    what_was_served_is_there_after_a_clean_stop,
    one_request_is_one_transaction_that_a_failure_undoes,
    requests_that_change_the_same_row_at_once_lose_no_change,
);

weir_tests::on_each_log!(@on kafka
    what_a_route_appends_a_trigger_turns_into_a_view_that_another_route_reads
    what_was_served_is_there_after_a_clean_stop
    one_request_is_one_transaction_that_a_failure_undoes
    requests_that_change_the_same_row_at_once_lose_no_change
);

const GREET: &str = r#"
local topics = require "topics"
return function(args)
    topics.append("visits", {{key = args.name, value = {name = args.name}}})
    return "first version"
end
"#;

fn visits(log: LogPlace) -> Sandbox {
    Sandbox::builder()
        .log(log)
        .config("appName: visits\ntopics: [visits]\nevents: {visits: {APPEND: [on_visit]}}\n")
        .file(
            "app/gateway.lua",
            r#"return {
                {"POST", "/visits/:name", "visit"},
                {"GET", "/visits/:name", "count"},
                {"GET", "/broken", "broken"},
            }"#,
        )
        .file("app/visit.lua", GREET)
        .file(
            "app/on_visit.lua",
            r#"local state = require "state"
            return function(visit) state.add("visits", visit.name, 1) end"#,
        )
        .file(
            "app/count.lua",
            r#"local state = require "state"
            return function(args) return state.get("visits", args.name) or 0 end"#,
        )
        .file("app/broken.lua", "return function() return 'whole' end")
        .build()
}

/// Waits until a route answers with this.
async fn answers(server: &Server, path: &str, data: &str) {
    eventually(PATIENCE, || async {
        let answer = server.get(path).await;
        if answer.status == 200 && answer.json()["data"] == data { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// Waits until the second version of the greeting is served.
async fn greets_anew(server: &Server) {
    eventually(PATIENCE, || async {
        let answer = server.post("/visits/ada", &json!({})).await.json();
        if answer["data"] == "second version" { Ok(()) } else { Err(answer) }
    })
    .await;
}

async fn count(server: &Server, name: &str) -> Value {
    server.get(&format!("/visits/{name}")).await.json()["data"].clone()
}

async fn what_a_route_appends_a_trigger_turns_into_a_view_that_another_route_reads(log: LogPlace) {
    let sandbox = visits(log);
    let server = sandbox.dev().await;
    assert_eq!(count(&server, "ada").await, 0);
    for _ in 0..3 {
        let answer = server.post("/visits/ada", &json!({})).await;
        assert_eq!((answer.status, answer.json()), (200, json!({"data": "first version"})));
    }
    eventually(PATIENCE, || async {
        let seen = count(&server, "ada").await;
        if seen == 3 { Ok(()) } else { Err(seen) }
    })
    .await;
    assert_eq!(count(&server, "bob").await, 0);
    assert!(server.stop().await.success());
}

async fn a_saved_file_is_served_at_once_and_one_that_does_not_compile_breaks_its_own_route_only(
    log: LogPlace,
) {
    let sandbox = visits(log);
    let server = sandbox.dev().await;
    assert_eq!(server.post("/visits/ada", &json!({})).await.json()["data"], "first version");

    sandbox.write("app/visit.lua", &GREET.replace("first", "second"));
    greets_anew(&server).await;

    sandbox.write("app/broken.lua", "return function() return 'whole'");
    let broken = eventually(PATIENCE, || async {
        let answer = server.get("/broken").await;
        if answer.status == 500 { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert!(broken.body.contains("app/broken.lua:1"), "says where: {}", broken.body);
    assert_eq!(server.post("/visits/ada", &json!({})).await.json()["data"], "second version");

    sandbox.write("app/broken.lua", "return function() return 'mended' end");
    answers(&server, "/broken", "mended").await;
}

async fn where_the_system_tells_of_no_changes_the_folders_are_looked_through(log: LogPlace) {
    let sandbox = visits(log);
    let options = ServerOptions { args: vec!["--poll".to_owned()], ..ServerOptions::default() };
    let server = sandbox.serve(&options).await;
    // not before it is ready: the line comes another way
    eventually(PATIENCE, || async {
        let said = server.said();
        if said.contains("looked through for changes") { Ok(()) } else { Err(said) }
    })
    .await;
    sandbox.write("app/visit.lua", &GREET.replace("first", "second"));
    greets_anew(&server).await;
}

async fn routes_are_chosen_by_the_environment_that_functions_see(log: LogPlace) {
    let sandbox = visits(log);
    let config = |variables: &str| format!("appName: visits\nenvVar: [{variables}]\n");
    sandbox.write("config/application.yml", &config("STAGE"));
    sandbox.write(
        "app/gateway.lua",
        r#"local R = {{"GET", "/always", "stage"}}
        if os.getenv("STAGE") == "test" then R[2] = {"GET", "/test", "stage"} end
        if os.getenv("EXTRA") then R[#R + 1] = {"GET", "/extra", "stage"} end
        return R"#,
    );
    sandbox.write("app/stage.lua", "return function() return os.getenv('EXTRA') or os.getenv('STAGE') end");
    let env = [("STAGE", "test"), ("EXTRA", "more")].map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    let server = sandbox.serve(&ServerOptions { env, ..ServerOptions::default() }).await;
    assert_eq!(server.get("/test").await.json()["data"], "test");
    assert_eq!(server.get("/extra").await.status, 404);
    // a variable that the configuration lists from now on
    sandbox.write("config/application.yml", &config("STAGE, EXTRA"));
    answers(&server, "/extra", "more").await;
}

async fn a_route_that_is_added_is_served_and_mistakes_in_the_routes_leave_the_old_ones(log: LogPlace) {
    let sandbox = visits(log);
    let server = sandbox.dev().await;
    assert_eq!(server.get("/new").await.status, 404);

    sandbox
        .write("app/gateway.lua", r#"return {{"GET", "/new", "broken"}, {"GET", "/visits/:name", "count"}}"#);
    eventually(PATIENCE, || async {
        let answer = server.get("/new").await;
        if answer.status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;

    sandbox.write("app/gateway.lua", r#"return {{"GET", "no slash", "broken"}}"#);
    eventually(PATIENCE, || async {
        let said = server.said();
        if said.contains("a path begins with /") { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(server.get("/new").await.status, 200);
}

async fn what_was_served_is_there_after_a_clean_stop(log: LogPlace) {
    let sandbox = visits(log);
    let server = sandbox.dev().await;
    server.post("/visits/ada", &json!({})).await;
    assert!(server.stop().await.success());
    assert!(!sandbox.project().join(".weir/run.json").exists(), "a clean stop takes its address back");

    let server = sandbox.dev().await;
    eventually(PATIENCE, || async {
        let seen = count(&server, "ada").await;
        if seen == 1 { Ok(()) } else { Err(seen) }
    })
    .await;
}

async fn one_request_is_one_transaction_that_a_failure_undoes(log: LogPlace) {
    let sandbox = Sandbox::builder()
        .log(log)
        .config("appName: undo\ntopics: [orders]\n")
        .file("app/gateway.lua", r#"return {{"POST", "/orders", "order"}}"#)
        .file(
            "app/order.lua",
            r#"local state, topics = require "state", require "topics"
            return function(args)
                local n = state.incr("counters", "orders", 1)
                topics.append("orders", {{key = tostring(n), value = {n = n}}})
                if args.fail == "raise" then error("no") end
                if args.fail == "return" then return nil, "no" end
                return n
            end"#,
        )
        .build();
    let server = sandbox.dev().await;
    assert_eq!(server.post("/orders", &json!({"fail": "raise"})).await.status, 500);
    assert_eq!(server.post("/orders", &json!({"fail": "return"})).await.status, 400);
    assert_eq!(server.post("/orders", &json!({})).await.json(), json!({"data": 1}));
    let events = sandbox.weir(&["events", "orders", "--json"]).await.succeeded().lines();
    assert_eq!(events.iter().map(|e| &e["value"]).collect::<Vec<_>>(), [&json!({"n": 1})]);
}

async fn requests_that_change_the_same_row_at_once_lose_no_change(log: LogPlace) {
    let sandbox = Sandbox::builder()
        .log(log)
        .config("appName: hot\n")
        .file("app/gateway.lua", r#"return {{"POST", "/next", "next"}}"#)
        .file(
            "app/next.lua",
            r#"local state = require "state"
            return function()
                local n = (state.get("t", "n") or 0) + 1
                state.set("t", "n", n)
                return n
            end"#,
        )
        .build();
    let server = sandbox.dev().await;
    let mut numbers = Vec::new();
    for _ in 0..10 {
        let round = futures::future::join_all((0..4).map(|_| async {
            // 503 `conflict` is allowed under contention, and says that nothing happened
            let body = json!({});
            eventually(PATIENCE, || async {
                let answer = server.post("/next", &body).await;
                if answer.status == 200 { Ok(answer.json()["data"].as_u64()) } else { Err(answer) }
            })
            .await
        }));
        numbers.extend(round.await.into_iter().flatten());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}
