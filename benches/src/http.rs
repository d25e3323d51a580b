//! One request at a time, to see that a server answers and what.

use anyhow::{Context as _, bail};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The body of a success. A body to send is JSON.
pub(crate) fn request(method: &str, port: u16, path: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer has a head")?;
    if !head.starts_with("HTTP/1.1 2") {
        bail!("{method} {path}: {answer}");
    }
    Ok(body.to_owned())
}

/// Asks again and again until there is a success.
pub(crate) fn until_answered(method: &str, port: u16, path: &str) -> anyhow::Result<String> {
    let started = Instant::now();
    loop {
        match request(method, port, path, "") {
            Ok(body) => return Ok(body),
            Err(e) if started.elapsed() > PATIENCE => {
                return Err(e).with_context(|| format!("no answer from port {port} after {PATIENCE:?}"));
            }
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}
