//! What a server or a log gets through: by `wrk` over HTTP, or by tasks in this process.

use crate::measure::{median, median_of};
use anyhow::{Context as _, bail};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Load {
    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        let of = |figure| median_of(rounds, figure);
        Self {
            requests: of(|l| l.requests),
            per_second: of(|l| l.per_second),
            p50_ms: of(|l| l.p50_ms),
            p99_ms: of(|l| l.p99_ms),
        }
    }

    /// As it stands in a table.
    pub(crate) fn shown(&self) -> String {
        format!("{:.0}/s (p50 {:.2} ms, p99 {:.2} ms)", self.per_second, self.p50_ms, self.p99_ms)
    }
}

/// What `wrk` gets through in `seconds` over so many connections, each with one request under way. A script says what is
/// sent; without one it is `GET`.
pub(crate) fn wrk(url: &str, connections: u32, seconds: u32, script: Option<&Path>) -> anyhow::Result<Load> {
    let mut command = Command::new("wrk");
    // an answer that takes longer than its 2 s is a slow one, and no error
    command.args([
        "-t1",
        "--latency",
        "--timeout",
        "30s",
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
    ]);
    if let Some(script) = script {
        command.arg("-s").arg(script);
    }
    let out = command.arg(url).output().context("run wrk (Debian: apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&out.stdout);
    if text.contains("Non-2xx") || text.contains("Socket errors") || !out.status.success() {
        bail!("wrk met errors: {text}");
    }
    read_wrk(&text).with_context(|| format!("read what wrk prints: {text}"))
}

fn read_wrk(text: &str) -> Option<Load> {
    let after = |label: &str| text.lines().find_map(|l| l.trim().strip_prefix(label)).map(str::trim);
    let requests = text.lines().find(|l| l.contains("requests in"))?.split_whitespace().next()?;
    Some(Load {
        requests: requests.parse().ok()?,
        per_second: after("Requests/sec:")?.parse().ok()?,
        p50_ms: milliseconds(after("50%")?)?,
        p99_ms: milliseconds(after("99%")?)?,
    })
}

/// `850.00us`, `3.93ms` or `1.20s` in milliseconds.
fn milliseconds(time: &str) -> Option<f64> {
    let digits = time.trim_end_matches(char::is_alphabetic);
    let unit = match &time[digits.len()..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * unit)
}

/// What tasks of this process get done in `time`, each with one piece of work under way.
pub(crate) async fn in_flight<W, F>(tasks: u32, time: Duration, work: W) -> anyhow::Result<Load>
where
    W: Fn() -> F + Clone + Send + 'static,
    F: Future<Output = anyhow::Result<()>> + Send,
{
    let (started, mut running, mut times) = (Instant::now(), JoinSet::new(), Vec::new());
    for _ in 0..tasks {
        let work = work.clone();
        running.spawn(async move {
            let mut times = Vec::new();
            while started.elapsed() < time {
                let begun = Instant::now();
                work().await?;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(times)
        });
    }
    while let Some(done) = running.join_next().await {
        times.extend(done??);
    }
    let requests = times.len() as f64;
    let per_second = requests / started.elapsed().as_secs_f64();
    let p50_ms = median(&mut times);
    Ok(Load { requests, per_second, p50_ms, p99_ms: p99(&times) })
}

/// The 99th percentile of what is sorted, as the median leaves it; 0 of none.
pub(crate) fn p99(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() * 99 / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_prints_is_read_with_its_units() {
        let text = "  Latency Distribution\n     50%  662.00us\n     75%    4.72ms\n     99%    1.20s \n  \
                    2070 requests in 3.05s, 788.38KB read\nRequests/sec:    679.54\nTransfer/sec:    258.81KB\n";
        let load = read_wrk(text).unwrap();
        assert_eq!(load.shown(), "680/s (p50 0.66 ms, p99 1200.00 ms)");
        assert_eq!(load.requests, 2070.0);
    }

    #[test]
    fn a_time_without_a_known_unit_is_none() {
        assert_eq!(milliseconds("3.1m"), None);
        assert_eq!(milliseconds(""), None);
    }
}
