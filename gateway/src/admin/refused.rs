//! Events that are committed and that Kafka does not take: list, retry, drop.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use weir_log::{RefusedEvent, refused_events};
use weir_schema::{Receipt, Transaction, event_to_json};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/refused", get(list))
        .route("/v1/refused/{id}/retry", post(retry))
        .route("/v1/refused/{id}/drop", post(give_up))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    topic: Option<String>,
}

async fn list(State(admin): State<Admin>, Query(which): Query<Which>) -> Result<Json<Vec<Value>>, ApiError> {
    let refused = refused_events(&**admin.session.log()).await?;
    let matches = |refused: &&RefusedEvent| which.topic.as_ref().is_none_or(|topic| refused.topic == *topic);
    Ok(Json(refused.iter().filter(matches).filter_map(to_json).collect()))
}

/// The event in its usual form, with its id and why it was refused. It has no offset.
fn to_json(refused: &RefusedEvent) -> Option<Value> {
    let mut json = Vec::new();
    event_to_json(&refused.topic, &refused.event.get(0)?, &mut json);
    let mut event: Value = serde_json::from_slice(&json).ok()?;
    let fields = event.as_object_mut()?;
    fields.remove("offset");
    fields.insert("id".to_owned(), json!(refused.id));
    fields.insert("why".to_owned(), json!(refused.why));
    Some(event)
}

async fn find(admin: &Admin, id: &str) -> Result<RefusedEvent, ApiError> {
    let refused = refused_events(&**admin.session.log()).await?.into_iter().find(|refused| refused.id == id);
    refused.ok_or_else(|| {
        ApiError::missing(format!("no event was refused under {id:?} (weir refused shows those that were)"))
    })
}

/// Sends it again, behind what has been committed by now.
async fn retry(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let refused = find(&admin, &id).await?;
    let receipt = take(&admin, &refused, true).await?;
    if let Some((at, offset)) = receipt.offsets().next() {
        return Ok(Json(json!({ "retried": id, "partition": at.partition, "offset": offset })));
    }
    let others = refused_events(&**admin.session.log()).await?;
    match others.iter().rev().find(|other| other.id > refused.id && is_same(other, &refused)) {
        Some(again) => Err(ApiError::new(
            StatusCode::CONFLICT,
            ErrorCode::REFUSED,
            format!("it was refused again ({}), and is known under {} now", again.why, again.id),
        )),
        // where it is is not known any more
        None => Ok(Json(json!({ "retried": id }))),
    }
}

fn is_same(a: &RefusedEvent, b: &RefusedEvent) -> bool {
    let content = |refused: &RefusedEvent| {
        refused.event.get(0).map(|event| (event.key_bytes(), event.value().map(<[u8]>::to_vec)))
    };
    a.topic == b.topic && content(a) == content(b)
}

async fn give_up(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let refused = find(&admin, &id).await?;
    take(&admin, &refused, false).await?;
    Ok(Json(json!({ "dropped": id })))
}

async fn take(admin: &Admin, refused: &RefusedEvent, again: bool) -> Result<Receipt, ApiError> {
    let mut transaction = Transaction::new(admin.session.next_id(), admin.session.catalog());
    refused.take(&mut transaction);
    if again {
        transaction.appends.push(refused.event.clone());
    }
    Ok(admin.session.commit_surely(transaction).await?)
}
