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
    match head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        true => joined(body).with_context(|| format!("read the pieces of {answer}")),
        false => Ok(body.to_owned()),
    }
}

/// A body that came in pieces, each behind its length.
fn joined(mut pieces: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (length, rest) = pieces.split_once("\r\n")?;
        let length = usize::from_str_radix(length, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..length)?);
        pieces = rest.get(length..)?.strip_prefix("\r\n")?;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_pieces_is_joined_and_one_that_breaks_off_is_none() {
        assert_eq!(joined("3\r\nabc\r\n1\r\n\n\r\n0\r\n\r\n").as_deref(), Some("abc\n"));
        for broken in ["", "3\r\nab", "x\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n"] {
            assert_eq!(joined(broken), None, "{broken:?}");
        }
    }
}
