//! `Idempotency-Key`: an entry of a reserved table, read and written in the invocation's own transaction, so that
//! the slower of two twins conflicts, runs again and finds the stored reply.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use std::time::Duration;
use weir_runtime::{Reply, Response};
use weir_schema::{FunctionName, Millis, Op, Stamp, StateKey, TableName, Write};
use xxhash_rust::xxh3::xxh3_128;

const TABLE: &str = "_weir_idempotency";

/// How long a reply is kept.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The key of one request, and what the request was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Idempotency {
    row: Bytes,
    fingerprint: String,
}

/// What is stored under a key.
pub(crate) enum Stored {
    /// The same request's reply.
    Reply(Reply),
    /// The key was used with another request.
    OtherRequest,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Entry {
    fingerprint: String,
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: String,
    is_json: bool,
}

impl Idempotency {
    /// The key that a client sent with a request to `function`; `request` is what must be the same again.
    #[must_use]
    pub fn new(function: &FunctionName, key: &str, request: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        for part in request {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        // keys of state are bounded, those of clients are not
        let row = format!("{function}\0{:032x}", xxh3_128(key.as_bytes()));
        Self { row: row.into(), fingerprint: format!("{:032x}", xxh3_128(&bytes)) }
    }

    pub(crate) fn row(&self) -> StateKey {
        let table = TableName::new(TABLE).expect("a constant that is well-formed");
        StateKey { table, generation: 0, key: self.row.clone() }
    }

    pub(crate) fn write(&self, reply: &Reply, stamp: Stamp, now: Millis) -> Write {
        let (status, headers, body, is_json) = match reply {
            Reply::Value(json) => (None, Vec::new(), json, true),
            Reply::Response(r) => (Some(r.status), r.headers.clone(), &r.body, r.is_json),
        };
        let entry = Entry {
            fingerprint: self.fingerprint.clone(),
            status,
            headers,
            body: BASE64.encode(body),
            is_json,
        };
        let value = serde_json::to_vec(&entry).expect("strings and numbers always have a JSON form");
        Write { key: self.row(), op: Op::Put { value: value.into(), expires: Some(now.after(KEPT)) }, stamp }
    }

    pub(crate) fn open(&self, stored: &[u8]) -> Stored {
        let Ok(entry) = serde_json::from_slice::<Entry>(stored) else { return Stored::OtherRequest };
        if entry.fingerprint != self.fingerprint {
            return Stored::OtherRequest;
        }
        let body = Bytes::from(BASE64.decode(entry.body).unwrap_or_default());
        Stored::Reply(match entry.status {
            None => Reply::Value(body),
            Some(status) => {
                Reply::Response(Response { status, headers: entry.headers, body, is_json: entry.is_json })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(body: &str) -> Idempotency {
        Idempotency::new(&FunctionName::new("pay").expect("valid"), "k", &[b"POST", b"/pay", body.as_bytes()])
    }

    #[test]
    fn the_same_request_finds_its_reply_and_another_does_not() {
        let reply = Reply::Response(Response {
            status: 201,
            headers: vec![("X-A".into(), "b".into())],
            body: Bytes::from_static(b"\xff"),
            is_json: false,
        });
        let write = key("1").write(&reply, weir_schema::TxnId(1), Millis(5));
        let Op::Put { value, expires } = write.op else { panic!("a key is put") };
        assert_eq!(expires, Some(Millis(5).after(KEPT)));
        assert!(matches!(key("1").open(&value), Stored::Reply(r) if r == reply));
        assert!(matches!(key("2").open(&value), Stored::OtherRequest));
        assert_eq!(key("1").row(), key("2").row());
    }
}
