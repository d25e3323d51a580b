//! A server of a few lines, which answers as a test says and keeps what it was asked.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// What was asked: the first line and the headers, in lower case, then the body.
pub(crate) type Asked = (Vec<String>, String);
type Respond = dyn Fn(&str) -> Option<String> + Send + Sync;

pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    _serving: JoinSet<()>,
}

impl Server {
    /// `respond` makes a body of a path; none: no answer ever comes.
    pub(crate) async fn start(respond: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::start_together(1, respond).await
    }

    /// Answers none before `count` have asked.
    pub(crate) async fn start_together(
        count: usize,
        respond: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let together = Arc::new(Barrier::new(count));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (kept, respond): (_, Arc<Respond>) = (asked.clone(), Arc::new(respond));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                open.spawn(talk(socket, kept.clone(), respond.clone(), together.clone()));
            }
        });
        Self { url, asked, _serving: serving }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

async fn talk(
    socket: TcpStream,
    kept: Arc<Mutex<Vec<Asked>>>,
    respond: Arc<Respond>,
    together: Arc<Barrier>,
) {
    let mut socket = BufReader::new(socket);
    while let Some((head, body)) = read(&mut socket).await {
        let path = head[0].split(' ').nth(1).unwrap_or_default().to_owned();
        kept.lock().expect("nobody panicked").push((head, body));
        together.wait().await;
        let Some(text) = respond(&path) else { return std::future::pending().await };
        let answer =
            format!("HTTP/1.1 200 OK\r\nX-Kind: test\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok().filter(|n| *n > 0)?;
        match line.trim_end() {
            "" => break,
            first if head.is_empty() => head.push(first.to_owned()),
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    socket.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}
