//! `weir call`: run one function.

use crate::api::{Api, encode};
use crate::args::Call;
use crate::{output, terminal};
use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use std::io::Read as _;
use std::process::ExitCode;

pub(super) async fn run(api: &Api, call: &Call) -> anyhow::Result<ExitCode> {
    let args = match call.args.as_deref() {
        None => String::new(),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("read stdin")?;
            text
        }
        Some(text) => text.to_owned(),
    };
    let query = if call.dry_run { "?dry_run=true" } else { "" };
    let path = format!("/v1/functions/{}/call{query}", encode(&call.function));
    let reply = api.send(Method::POST, &path, "application/json", Bytes::from(args)).await?;
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if !reply.status.is_success() {
        let text = serde_json::from_str::<Value>(&body).ok().map(|v| match &v["error"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        terminal::fail(&anyhow::anyhow!("{}", text.unwrap_or(body)));
        return Ok(ExitCode::from(1));
    }
    // the function's own result, without the envelope
    let data = serde_json::from_str::<Value>(&body).ok().and_then(|v| v.get("data").cloned());
    output::line(&data.filter(|_| !call.dry_run).map_or(body, |d| d.to_string()));
    Ok(ExitCode::SUCCESS)
}
