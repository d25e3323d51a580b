//! Clients that are slow, greedy, many or gone: none disturbs a neighbour. One worker, so that all share a thread.

use http::Method;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use weir_tests::{Answer, PATIENCE, Sandbox, Server, ServerOptions, eventually, raise_open_files};

fn project() -> Sandbox {
    Sandbox::builder()
        .config("appName: slow\nweir: {limits: {body: 64KiB}}\n")
        .file(
            "app/gateway.lua",
            r#"return {
                {"GET", "/fast", "fast"},
                {"POST", "/jobs/:id", "work"},
                {"POST", "/echo", "echo"},
                {"GET", "/large", "large"},
            }"#,
        )
        .file("app/fast.lua", "return function() return 'here' end")
        .file("app/echo.lua", "return function(args) return args.text end")
        .file("app/large.lua", "return function() return string.rep('x', 4 * 1024 * 1024) end")
        .file(
            "app/work.lua",
            r#"local state = require "state"
            return function(args)
                local begun = os.clock()
                while os.clock() - begun < 0.02 do end
                state.set("done", args.id, true)
            end"#,
        )
        .build()
}

async fn one_worker(sandbox: &Sandbox) -> Server {
    let args = vec!["--workers".to_owned(), "1".to_owned(), "--log-level".to_owned(), "warn".to_owned()];
    sandbox.serve(&ServerOptions { args, ..ServerOptions::default() }).await
}

fn connect(server: &Server) -> TcpStream {
    let address = server.at.gateway.strip_prefix("http://").expect("an HTTP address");
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_nodelay(true).expect("a connected socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a connected socket");
    stream
}

async fn neighbour_is_served(server: &Server) {
    let answer = server.get("/fast").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"data": "here"})));
}

#[tokio::test]
async fn a_client_that_sends_a_byte_at_a_time_is_served_in_the_end_and_others_meanwhile() {
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    let body = r#"{"text":"slow"}"#;
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut slow = connect(&server);
    for byte in request.bytes() {
        slow.write_all(&[byte]).expect("send a byte");
        neighbour_is_served(&server).await;
    }
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"data":"slow"}"#), "{answer}");
}

#[tokio::test]
async fn a_body_without_an_announced_length_ends_at_the_limit() {
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    let mut greedy = connect(&server);
    greedy
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("send a head");
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    for _ in 0..4 {
        greedy.write_all(&chunk).expect("send a chunk within the limit");
        neighbour_is_served(&server).await;
    }
    greedy.write_all(b"1\r\nx\r\n").expect("send the byte past the limit");
    let mut answer = [0; 12];
    greedy.read_exact(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    neighbour_is_served(&server).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_blocks_nobody() {
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    let mut deaf: Vec<_> = (0..20).map(|_| connect(&server)).collect();
    for stream in &mut deaf {
        stream
            .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .expect("send a request");
    }
    for _ in 0..20 {
        neighbour_is_served(&server).await;
    }
    let mut answer = Vec::new();
    deaf[0].read_to_end(&mut answer).expect("an answer, when it is read at last");
    assert!(answer.len() > 4 * 1024 * 1024, "{} bytes", answer.len());
}

#[tokio::test]
async fn thousands_of_idle_connections_leave_room_for_those_that_work() {
    const WANTED: u64 = 10_000;
    // both ends need a file each, and each process some besides
    let allowed = raise_open_files().saturating_sub(500);
    let many = WANTED.min(allowed);
    if many < WANTED {
        #[expect(clippy::print_stderr, reason = "the test says that it tried less than it names")]
        {
            eprintln!("the limit of open files allows {many} idle connections, not {WANTED}");
        }
    }
    assert!(many >= 100, "RLIMIT_NOFILE is too low to try anything");
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    let mut idle: Vec<_> = (0..many).map(|_| connect(&server)).collect();
    for _ in 0..20 {
        neighbour_is_served(&server).await;
    }
    // and they are connections still: every hundredth is used now
    for stream in idle.iter_mut().step_by(100) {
        stream.write_all(b"GET /fast HTTP/1.1\r\nHost: a\r\n\r\n").expect("send a request");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200");
    }
}

#[tokio::test]
async fn an_invocation_whose_client_hung_up_commits_all_the_same() {
    const GONE: usize = 30;
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    for id in 0..GONE {
        let mut gone = connect(&server);
        // with and without a body: the end of the stream may come together with the head
        let body = if id % 2 == 0 { "" } else { r#"{"text":"bye"}"# };
        let length = body.len();
        write!(gone, "POST /jobs/{id} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}")
            .expect("send a request");
        drop(gone);
    }
    neighbour_is_served(&server).await;
    eventually(PATIENCE, || async {
        let done = server.admin(Method::GET, "/v1/state/done");
        let done = Answer::of(done).await.expect("an answer").json();
        if done["rows"].as_array().map(Vec::len) == Some(GONE) { Ok(()) } else { Err(done) }
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_what_has_begun_end_and_takes_nothing_new() {
    let sandbox = project();
    let server = one_worker(&sandbox).await;
    let mut begun = connect(&server);
    begun
        .write_all(b"POST /jobs/last HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .expect("send a request");
    // the worker has it when a request that came later on the same thread has been answered
    neighbour_is_served(&server).await;
    begun.set_read_timeout(Some(Duration::from_secs(30))).expect("a connected socket");
    assert!(server.stop().await.success());
    let mut answer = [0; 12];
    begun.read_exact(&mut answer).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200");
}
