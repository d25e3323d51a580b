//! What the cases came to, for people.

use crate::counting::Sent;
use crate::found::Wrong;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

/// A case that has ended.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) fault: &'static str,
    pub(crate) nodes: usize,
    pub(crate) strikes: usize,
    /// After one strike or several, how long it took until all was well.
    pub(crate) recoveries: Vec<Duration>,
    pub(crate) sent: &'a Sent,
    pub(crate) wrong: &'a Wrong,
}

/// Adds a row to the file that `SOAK_TABLE` names, if there is one.
pub(crate) fn add(row: &Row<'_>) {
    let Some(file) = std::env::var_os("SOAK_TABLE") else { return };
    let file = OpenOptions::new().create(true).append(true).open(file);
    writeln!(file.expect("SOAK_TABLE names a file"), "{}", line(row)).expect("write a row");
}

/// fault · nodes · strikes · acknowledged · refused or unanswered · lost · doubled · recovery: median, longest
fn line(row: &Row<'_>) -> String {
    let mut recoveries = row.recoveries.clone();
    recoveries.sort_unstable();
    let seconds =
        |at: Option<&Duration>| at.map_or_else(|| "—".to_owned(), |d| format!("{:.2} s", d.as_secs_f64()));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.fault,
        row.nodes,
        row.strikes,
        row.sent.acknowledged.len(),
        row.sent.refused + row.sent.unanswered,
        row.wrong.lost.len(),
        row.wrong.doubled.len(),
        seconds(recoveries.get(recoveries.len() / 2)),
        seconds(recoveries.last()),
    )
}

#[test]
fn a_row_tells_what_was_lost_and_doubled_and_how_long_recovery_took() {
    let sent = Sent { acknowledged: ["a", "b"].map(str::to_owned).into(), refused: 3, unanswered: 1 };
    let wrong = Wrong { lost: ["a".to_owned()].into(), ..Wrong::default() };
    let recoveries = [30, 10, 20].map(Duration::from_millis).to_vec();
    let row = Row { fault: "a fault", nodes: 3, strikes: 5, recoveries, sent: &sent, wrong: &wrong };
    assert_eq!(line(&row), "| a fault | 3 | 5 | 2 | 4 | 1 | 0 | 0.02 s | 0.03 s |");
}
