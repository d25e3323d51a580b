//! Job queues on the same PostgreSQL server: pg-boss and graphile-worker, from npm.

use super::{Beside, npm, output};
use crate::measure::{ROUNDS, median};
use crate::postgres::cluster::Cluster;
use crate::report::{Row, Target};
use crate::store::Store;
use crate::trigger::{latency, replay};
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const EVENTS: &str = "50000";
/// Jobs a second of River (Go), as it was measured on a machine like this one, not in this run.
const RIVER: f64 = 24_000.0;

/// A queue: its name, the samples of its latency, and its files.
type Queue = (&'static str, &'static str, [(&'static str, &'static str); 2]);

const QUEUES: [Queue; 2] = [
    (
        "pg-boss",
        "30",
        [
            ("package.json", include_str!("../../peers/pg-boss/package.json")),
            ("work.mjs", include_str!("../../peers/pg-boss/work.mjs")),
        ],
    ),
    (
        "graphile-worker",
        "200",
        [
            ("package.json", include_str!("../../peers/graphile-worker/package.json")),
            ("work.mjs", include_str!("../../peers/graphile-worker/work.mjs")),
        ],
    ),
];

pub(crate) fn run() -> anyhow::Result<Beside> {
    let folders: Vec<PathBuf> =
        QUEUES.iter().map(|(name, _, files)| npm(name, files)).collect::<anyhow::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut ours, mut theirs) = (Vec::new(), vec![(Vec::new(), Vec::new()); QUEUES.len()]);
    for _ in 0..ROUNDS {
        let cluster = Cluster::start()?;
        ours.push(runtime.block_on(replay(Store::Postgres(&cluster)))?);
        for ((folder, (_, samples, _)), (rates, starts)) in folders.iter().zip(QUEUES).zip(&mut theirs) {
            let (rate, start) = work(folder, &cluster, samples)?;
            rates.push(rate);
            starts.push(start);
        }
    }
    let cluster = Cluster::start()?;
    let (rate, start) = (median(&mut ours), runtime.block_on(latency(Store::Postgres(&cluster)))?);
    let mut rows = vec![worked("River, measured on such a machine before, not in this run", rate, RIVER)];
    for ((name, _, _), (rates, starts)) in QUEUES.iter().zip(&mut theirs) {
        rows.extend(beside(name, (rate, start), (median(rates), median(starts))));
    }
    let note = "Queues: all on one server that syncs each commit. Each is set as it was fastest: pg-boss 10 with two workers \
                that fetch 5000 jobs at a time, graphile-worker 0.17 with its local queue and completion in batches, its \
                latency as it comes. Their rate ends when the last handler has run, Weir's when the last position is \
                durable. Weir's events have an order by key and take effect exactly once.";
    Ok(Beside { rows, notes: vec![note.to_owned()] })
}

fn beside(name: &str, (rate, start): (f64, f64), (their_rate, their_start): (f64, f64)) -> [Row; 2] {
    [
        worked(name, rate, their_rate),
        Row {
            path: "from append to start, idle system, PostgreSQL, p50".into(),
            against: name.to_owned(),
            ours: format!("{start:.2} ms"),
            reference: format!("{their_start:.2} ms"),
            value: their_start / start,
            target: Target::AtLeast(1.0),
        },
    ]
}

fn worked(against: &str, ours: f64, theirs: f64) -> Row {
    let path = "events worked, PostgreSQL, a function that does nothing";
    Row::rates(path, against, ours, theirs, Target::AtLeast(1.0))
}

/// Jobs a second, and how long a single one waits, in ms.
fn work(folder: &Path, cluster: &Cluster, samples: &str) -> anyhow::Result<(f64, f64)> {
    let mut command = Command::new("node");
    command.arg(folder.join("work.mjs")).arg(cluster.socket()).args([EVENTS, samples]);
    let said: serde_json::Value = serde_json::from_str(&output(&mut command)?)?;
    let number = |name: &str| said[name].as_f64().with_context(|| format!("it tells no {name}: {said}"));
    Ok((number("perSecond")?, number("startMs")?))
}
