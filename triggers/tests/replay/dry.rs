//! Dry runs.

use crate::node::{Node, asked};
use serde_json::json;
use weir_triggers::replay::{DryLine, DryReport, NewReplay, ReplayFailure};

const ORDERS: [(u32, Option<&str>, &str); 4] =
    [(0, Some("a"), "{}"), (1, Some("b"), r#"{"fails": true}"#), (0, Some("a"), "{}"), (1, Some("b"), "{}")];

struct Run {
    writes: Vec<String>,
    failures: Vec<ReplayFailure>,
    report: DryReport,
}

async fn run(node: &Node, new: &NewReplay) -> Run {
    let mut lines = node.replays.dry_run(new).await.unwrap();
    let mut run = Run { writes: Vec::new(), failures: Vec::new(), report: DryReport::default() };
    while let Some(line) = lines.recv().await {
        match line {
            DryLine::Progress { done, total } => assert!(done <= total),
            DryLine::Effects { effects, .. } => {
                run.writes.extend(effects.writes.iter().map(|(k, op)| format!("{}: {op:?}", k.table)));
            }
            DryLine::Failure(failure) => run.failures.push(failure),
            DryLine::Report(report) => run.report = report,
            DryLine::Error(error) => panic!("{error}"),
        }
    }
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_it_would_do_and_commits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), 2).await;
    node.append(&ORDERS).await;
    node.caught_up().await;
    let before = (node.row("seen", "a").await, node.row("counters", "runs").await, node.emails().await);
    let ran = run(&node, &asked("what-if")).await;
    let report = &ran.report;
    assert_eq!((report.done, report.run, report.parked, report.passed_over), (4, 3, 2, 0));
    assert_eq!((report.appends.get("emails"), report.emit), (Some(&2), false));
    let rows: Vec<_> = report.rows.iter().map(|(t, n)| (t.as_str(), *n)).collect();
    assert_eq!(rows, [("counters", 1), ("modes", 1), ("seen", 1)]);
    let after = (node.row("seen", "a").await, node.row("counters", "runs").await, node.emails().await);
    assert_eq!(before, after);
    assert_eq!(node.row("modes", "what-if").await, json!(null));
    assert_eq!(node.groups().await, ["orders/tally"]);
    assert!(node.replays.list().await.unwrap().is_empty());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_dry_run_sees_what_the_earlier_ones_would_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), 2).await;
    node.append(&ORDERS).await;
    node.caught_up().await;
    let ran = run(&node, &NewReplay { key: Some("a".into()), ..asked("what-if") }).await;
    assert_eq!((ran.report.run, ran.report.passed_over), (2, 2));
    let seen: Vec<_> = ran.writes.iter().filter(|w| w.starts_with("seen")).collect();
    assert!(seen[0].contains("[0,1,0]"), "{seen:?}");
    assert!(seen[1].contains("[0,1,0,1]"), "{seen:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_fails_in_a_dry_run_holds_up_those_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), 2).await;
    node.append(&ORDERS).await;
    node.caught_up().await;
    let ran = run(&node, &asked("what-if")).await;
    let failed: Vec<_> = ran.failures.iter().map(|f| (f.partition, f.offset.0, f.error.is_some())).collect();
    assert_eq!(failed, [(1, 0, true), (1, 1, false)]);
    node.stop().await;
}
