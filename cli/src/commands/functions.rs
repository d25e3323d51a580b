//! `weir functions` and `weir routes`.

use crate::api::Api;
use crate::output;

pub(super) async fn functions(api: &Api, json: bool) -> anyhow::Result<()> {
    list(api, "/v1/functions", json, &["function", "routes", "error"]).await
}

pub(super) async fn routes(api: &Api, json: bool) -> anyhow::Result<()> {
    list(api, "/v1/routes", json, &["method", "path", "function"]).await
}

pub(super) async fn list(api: &Api, path: &str, json: bool, columns: &[&str]) -> anyhow::Result<()> {
    let rows = api.get(path).await?;
    output::list(rows.as_array().map_or(&[], Vec::as_slice), json, columns);
    Ok(())
}
