//! A project as it is served now: its code, its routes and its settings, replaced as one at a reload.

use crate::router::{Route, RouteError, Router};
use crate::settings::Settings;
use std::sync::Arc;
use weir_runtime::{Code, RouteEntry};

/// One version of the project. Workers take it at the start of each invocation, so that running ones finish on the
/// version they began with.
#[derive(Clone, Debug)]
pub struct Project {
    /// Compiled.
    pub code: Arc<Code>,
    /// From `app/gateway.lua`.
    pub router: Arc<Router>,
    /// From the configuration.
    pub settings: Arc<Settings>,
}

/// Where the current version is found.
pub type Live = tokio::sync::watch::Receiver<Arc<Project>>;

/// Reads the lines of `app/gateway.lua`.
///
/// # Errors
/// Every line that is no route.
pub fn read_routes(entries: Vec<RouteEntry>) -> Result<Router, Vec<String>> {
    let (mut routes, mut mistakes) = (Vec::new(), Vec::new());
    for entry in entries {
        let method = entry.method.to_ascii_uppercase();
        match http::Method::from_bytes(method.as_bytes()) {
            Ok(_) => routes.push(Route { method, path: entry.path, function: entry.function }),
            Err(_) => {
                mistakes.push(format!("app/gateway.lua: route {}: {method:?} is no method", entry.path))
            }
        }
    }
    match Router::new(routes) {
        Ok(router) if mistakes.is_empty() => Ok(router),
        Ok(_) => Err(mistakes),
        Err(errors) => Err(mistakes.into_iter().chain(errors.iter().map(RouteError::to_string)).collect()),
    }
}
