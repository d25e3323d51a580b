//! Acting on many parked events while some of them go on by themselves.

use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use weir_tests::{Answer, PATIENCE, Sandbox, Server, eventually};

/// Three events of one key are parked, of which the first one holds up the others. Its function would take them now.
async fn blocked() -> (Sandbox, Server) {
    let sandbox = Sandbox::builder()
        .config(
            "appName: shop\ntopics: [orders]\nevents: {orders: {APPEND: [send]}}\n\
             weir:\n  triggers: {orders/send: {retry: {attempts: 1}}}\n",
        )
        .file("app/gateway.lua", "return {}")
        .file(
            "app/send.lua",
            r#"local state = require "state"
            return function() assert(state.get("mails", "server") == "up") end"#,
        )
        .build();
    let server = sandbox.dev().await;
    let orders = r#"{"key": "ada", "value": 1}"#;
    sandbox.weir_with(&["append", "orders"], &[orders; 3].join("\n")).await.succeeded();
    sandbox.weir(&["triggers", "wait", "orders/send", "--timeout", "60s"]).await.succeeded();
    assert_eq!(parked(&sandbox).await.len(), 3);
    sandbox.weir(&["state", "set", "mails", "server", "\"up\""]).await.succeeded();
    (sandbox, server)
}

async fn parked(sandbox: &Sandbox) -> Vec<Value> {
    sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines()
}

/// Passes requests on to the admin API. What was done is answered only when nothing is parked any more.
async fn answer_late(listener: &TcpListener, sandbox: &Sandbox, server: &Server) {
    while let Ok((client, _)) = listener.accept().await {
        pass(client, sandbox, server).await;
    }
}

async fn pass(client: TcpStream, sandbox: &Sandbox, server: &Server) {
    let (mut client, mut head) = (BufReader::new(client), String::new());
    while !head.ends_with("\r\n\r\n") {
        client.read_line(&mut head).await.expect("a request's head");
    }
    let mut words = head.split(' ');
    let method: Method = words.next().and_then(|word| word.parse().ok()).expect("a method");
    let request = server.admin(method.clone(), words.next().expect("a path"));
    let answer = Answer::of(request).await.expect("an answer");
    if method == Method::POST {
        eventually(PATIENCE, || async {
            let left = parked(sandbox).await;
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
    let (status, bytes) = (answer.status, answer.body.len());
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n");
    client.write_all((head + &answer.body).as_bytes()).await.expect("the client waits");
}

#[tokio::test]
async fn of_all_that_are_redriven_those_that_have_gone_on_by_themselves_are_told_apart() {
    let (sandbox, server) = blocked().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let all = ["parked", "redrive", "--all", "--json", "--url", &url];
    let redriven = tokio::select! {
        finished = sandbox.weir(&all) => finished.succeeded(),
        () = answer_late(&listener, &sandbox, &server) => unreachable!("it serves until it is dropped"),
    };
    let id = |offset: u32| format!("orders/send:0:{offset}");
    assert_eq!(
        redriven.lines(),
        [json!({"redriven": id(0)}), json!({"gone": id(1)}), json!({"gone": id(2)})]
    );
    assert!(redriven.stderr.contains("redriven: 1 · gone on by themselves before: 2"), "{redriven:?}");
}

#[tokio::test]
async fn an_event_that_is_named_and_not_there_is_an_error_and_nothing_is_done() {
    let (sandbox, _server) = blocked().await;
    let failed = sandbox.weir(&["parked", "redrive", "orders/send:0:0", "orders/send:0:9"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{failed:?}");
    assert!(failed.stderr.contains("orders/send:0:9"), "{failed:?}");
    assert_eq!(parked(&sandbox).await.len(), 3);
    sandbox.weir(&["parked", "redrive", "orders/send:0:0"]).await.succeeded();
}
