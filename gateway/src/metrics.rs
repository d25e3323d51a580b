//! The gateway's numbers. `docs/telemetry.md` lists them.

use std::time::Duration;
use weir_schema::FunctionName;

/// Counts a request that has been answered.
pub(crate) fn request(function: Option<&FunctionName>, status: u16, took: Duration) {
    let function = function.map_or_else(|| "-".to_owned(), FunctionName::to_string);
    let class = match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("weir_requests_total", "function" => function.clone(), "status" => class).increment(1);
    metrics::histogram!("weir_request_seconds", "function" => function).record(took.as_secs_f64());
}
