//! Tables of state: list them, read and write their rows.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_runtime::Session;
use weir_schema::{Op, Read, Stamp, StateKey, StateRange, TableName, Transaction, Versioned, Write};

/// Rows of a page when nothing is said, and at most.
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// Rows that one transaction of a drop deletes.
const DROP_STEP: u32 = 500;

pub(super) fn routes(body: usize) -> Router<Admin> {
    Router::new()
        .route("/v1/state", get(tables))
        .route("/v1/state/{table}", get(list).delete(drop_table))
        .route("/v1/state/{table}/{key}", get(read).put(write).delete(remove))
        .layer(DefaultBodyLimit::max(body))
}

/// One change as JSON: for dry runs.
pub(super) fn describe(key: &StateKey, op: &Op) -> Value {
    let (table, name) = (&key.table, String::from_utf8_lossy(&key.key));
    match op {
        Op::Put { value, expires } => {
            let value: Value = serde_json::from_slice(value).unwrap_or(Value::Null);
            json!({ "table": table, "key": name, "set": value, "expires": expires.map(|e| e.to_rfc3339()) })
        }
        Op::Delete => json!({ "table": table, "key": name, "delete": true }),
        Op::Add(by) => json!({ "table": table, "key": name, "add": by }),
    }
}

/// Every table that a function has written, with its rows and bytes, and by whom.
async fn tables(State(admin): State<Admin>) -> Result<Json<Vec<Value>>, ApiError> {
    let writers = all_rows(&admin, &table(Session::WRITERS)?, b"").await?;
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, _) in writers {
        let text = String::from_utf8_lossy(&key);
        if let Some((table, function)) = text.split_once('\0') {
            tables.entry(table.to_owned()).or_default().push(function.to_owned());
        }
    }
    let mut list = Vec::new();
    for (name, functions) in tables {
        let rows = all_rows(&admin, &table(&name)?, b"").await?;
        let bytes: usize = rows.iter().map(|(k, v)| k.len() + v.value.len()).sum();
        list.push(json!({ "table": name, "keys": rows.len(), "bytes": bytes, "writers": functions }));
    }
    Ok(Json(list))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

async fn list(
    State(admin): State<Admin>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    let limit = page.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let mut range = range(&table(&name)?, page.prefix.as_bytes());
    if let Some(after) = page.after {
        range.from = range.from.max([after.as_bytes(), b"\0"].concat().into());
    }
    let now = admin.session.clock().now();
    let found = admin.session.log().scan(&range, limit).await?;
    let rows: Vec<_> =
        found.rows.iter().filter(|(_, row)| row.is_live(now)).map(|(key, row)| row_json(key, row)).collect();
    let next =
        found.next.as_ref().and_then(|_| found.rows.last()).map(|(key, _)| String::from_utf8_lossy(key));
    Ok(Json(json!({ "rows": rows, "after": next })))
}

fn row_json(key: &[u8], row: &Versioned) -> Value {
    let value: Value =
        serde_json::from_slice(&row.value).unwrap_or_else(|_| json!(String::from_utf8_lossy(&row.value)));
    json!({ "key": String::from_utf8_lossy(key), "value": value, "expires": row.expires.map(|e| e.to_rfc3339()) })
}

async fn read(
    State(admin): State<Admin>,
    Path((name, key)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let key = state_key(&name, &key)?;
    let row = find(&admin, &key).await?;
    let row = row.ok_or_else(|| ApiError::missing(format!("table {name} has no such key")))?;
    Ok(([(CONTENT_TYPE, "application/json".to_owned()), (ETAG, etag(row.stamp))], row.value).into_response())
}

async fn write(
    State(admin): State<Admin>,
    Path((name, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    serde_json::from_slice::<serde::de::IgnoredAny>(&body)
        .map_err(|e| ApiError::bad(format!("the value is not JSON: {e}")))?;
    let op = Op::Put { value: Bytes::copy_from_slice(body.trim_ascii()), expires: None };
    change(&admin, state_key(&name, &key)?, op, &headers).await
}

async fn remove(
    State(admin): State<Admin>,
    Path((name, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    change(&admin, state_key(&name, &key)?, Op::Delete, &headers).await
}

async fn change(admin: &Admin, key: StateKey, op: Op, headers: &HeaderMap) -> Result<Response, ApiError> {
    refuse_reserved(&key.table)?;
    let mut transaction = Transaction::new(admin.session.next_id(), admin.session.catalog());
    if let Some(wanted) = headers.get(IF_MATCH).and_then(|v| v.to_str().ok()) {
        let stamp = find(admin, &key).await?.map(|row| row.stamp);
        if stamp.map(etag).as_deref() != Some(wanted) {
            return Err(ApiError::new(
                StatusCode::PRECONDITION_FAILED,
                ErrorCode::CHANGED,
                "the row is not the one that If-Match names",
            ));
        }
        transaction.reads.push(Read::Key(key.clone(), stamp));
    }
    let stamp = transaction.id;
    transaction.writes.push(Write { key, op, stamp });
    admin.session.log().commit(Arc::new(transaction)).await?;
    Ok((StatusCode::NO_CONTENT, [(ETAG, etag(stamp))]).into_response())
}

async fn drop_table(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let name = table(&name)?;
    refuse_reserved(&name)?;
    let mut dropped = 0;
    loop {
        let page = admin.session.log().scan(&range(&name, b""), DROP_STEP).await?;
        if page.rows.is_empty() {
            return Ok(Json(json!({ "table": name, "dropped": dropped })));
        }
        let mut transaction = Transaction::new(admin.session.next_id(), admin.session.catalog());
        let stamp = transaction.id;
        dropped += page.rows.len();
        transaction.writes.extend(page.rows.into_iter().map(|(key, _)| Write {
            key: StateKey { table: name.clone(), generation: 0, key },
            op: Op::Delete,
            stamp,
        }));
        admin.session.log().commit(Arc::new(transaction)).await?;
    }
}

/// Every live row whose key begins with `prefix`.
pub(super) async fn all_rows(
    admin: &Admin,
    table: &TableName,
    prefix: &[u8],
) -> Result<Vec<(Bytes, Versioned)>, ApiError> {
    let now = admin.session.clock().now();
    let mut rows = weir_log::all_rows(&**admin.session.log(), range(table, prefix)).await?;
    rows.retain(|(_, row)| row.is_live(now));
    Ok(rows)
}

async fn find(admin: &Admin, key: &StateKey) -> Result<Option<Versioned>, ApiError> {
    let row = admin.session.log().get(std::slice::from_ref(key)).await?.pop().flatten();
    let now = admin.session.clock().now();
    Ok(row.filter(|r| r.is_live(now)))
}

fn range(table: &TableName, prefix: &[u8]) -> StateRange {
    let to = StateRange::end_of_prefix(prefix);
    StateRange { table: table.clone(), generation: 0, from: Bytes::copy_from_slice(prefix), to }
}

fn table(name: &str) -> Result<TableName, ApiError> {
    TableName::new(name).map_err(|e| ApiError::bad(e.to_string()))
}

fn state_key(name: &str, key: &str) -> Result<StateKey, ApiError> {
    Ok(StateKey { table: table(name)?, generation: 0, key: Bytes::copy_from_slice(key.as_bytes()) })
}

fn refuse_reserved(table: &TableName) -> Result<(), ApiError> {
    if table.is_reserved() {
        return Err(ApiError::bad(format!(
            "table {table} is the platform's own: it can be read, not written"
        )));
    }
    Ok(())
}

fn etag(stamp: Stamp) -> String {
    format!("\"{:x}\"", stamp.0)
}
