//! What it costs to keep functions apart, part by part.

use crate::report::{Row, Target};
use weir_runtime::test_support::costs;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let costs = costs::measure();
    let micros = |nanos: f64| format!("{:.2} µs", nanos / 1e3);
    let part = |(name, nanos): &(&str, f64)| Row {
        path: format!("isolation: {name}"),
        against: "a whole invocation that does nothing".into(),
        ours: micros(*nanos),
        reference: micros(costs.whole),
        value: nanos / costs.whole,
        target: Target::None,
    };
    let (apart, alone) = costs.computing;
    let computing = Row {
        path: "isolation: a loop of milliseconds, preempted each".into(),
        against: "the same loop, never interrupted".into(),
        ours: micros(apart),
        reference: micros(alone),
        value: apart / alone,
        target: Target::None,
    };
    Ok(costs.parts.iter().map(part).chain([computing]).collect())
}
