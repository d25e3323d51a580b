//! What a node costs its server while nothing happens.

use serde_json::json;
use std::fmt::Write as _;
use weir_log::conformance::server::{Server, folder};
use weir_tests::{PATIENCE, Sandbox, ServerOptions, eventually};

const TRIGGERS: usize = 20;
/// A lease of five seconds is renewed five times while it lasts: once a second.
const RENEWALS: usize = 8;
/// Statements for each second.
const LIMIT: usize = 10;

/// What marks a renewal among the statements that a server has logged.
const RENEWAL: &str = "INSERT INTO nodes ";

fn project() -> Sandbox {
    let (mut topics, mut events) = (Vec::new(), String::new());
    let mut project = Sandbox::builder().file("app/gateway.lua", "return {}");
    for n in 0..TRIGGERS {
        topics.push(format!("t{n}"));
        writeln!(events, "  t{n}: {{APPEND: [on_{n}]}}").expect("it is a string");
        project = project.file(&format!("app/on_{n}.lua"), "return function() end");
    }
    project.config(&format!("appName: idle\ntopics: [{}]\nevents:\n{events}", topics.join(", "))).build()
}

/// The statements that a server has been asked, each by its first line.
fn statements(log: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("the server logs what it is asked");
    let is_statement = |line: &&str| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ");
    text.lines().filter(is_statement).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_idle_node_with_twenty_triggers_asks_its_server_ten_things_a_second_at_most() {
    let folder = folder().expect("a folder is made");
    let postgres = Server::start(&folder, "-c log_statement=all").expect("a server starts");
    let sandbox = project();
    let args = vec!["--log".to_owned(), postgres.conn().to_owned()];
    let server = sandbox.serve(&ServerOptions { args, ..ServerOptions::default() }).await;
    // every trigger has handled an event, and will wait for the next one
    for n in 0..TRIGGERS {
        let append = ["append".to_owned(), format!("t{n}"), json!({"n": n}).to_string()];
        sandbox.weir(&append).await.succeeded();
    }
    sandbox.weir(&["triggers", "wait"]).await.succeeded();
    let log = folder.join("log");
    let begun = statements(&log).len();
    let asked = eventually(PATIENCE, || async {
        let asked = statements(&log).split_off(begun);
        let renewals = asked.iter().filter(|statement| statement.contains(RENEWAL)).count();
        if renewals >= RENEWALS { Ok(asked) } else { Err(renewals) }
    })
    .await;
    let (count, limit) = (asked.len(), RENEWALS * LIMIT);
    assert!(count <= limit, "{count} statements while a lease was renewed {RENEWALS} times: {asked:#?}");
    assert!(server.stop().await.success());
}
