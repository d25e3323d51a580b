//! The process's numbers, for Prometheus.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use std::sync::Arc;
use weir_gateway::Metrics;

/// Bounds of the histograms of times, in seconds.
const SECONDS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Starts to count. A second node of a process counts with the first.
pub(crate) fn start() -> Metrics {
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let handle = builder.ok().and_then(|b| b.install_recorder().ok());
    Metrics(Arc::new(move || handle.as_ref().map(|h| h.render()).unwrap_or_default()))
}
