//! `docs/benchmarks.md`.

use crate::probe::Probe;
use anyhow::Context as _;
use std::fmt;
use std::fmt::Write as _;

/// One figure and what it is held against.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) path: String,
    /// Against what, or in which unit.
    pub(crate) against: String,
    /// Ours, as it was measured.
    pub(crate) ours: String,
    /// The reference's.
    pub(crate) reference: String,
    /// The ratio, or the figure itself where the target is absolute.
    pub(crate) value: f64,
    /// What we hold ourselves to.
    pub(crate) target: Target,
}

/// A bound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// It is there to be looked at.
    None,
}

impl Target {
    fn verdict(self, value: f64) -> &'static str {
        let is_met = match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
            Self::None => return "",
        };
        if is_met { "met " } else { "**short** " }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::None => f.write_str("—"),
        }
    }
}

impl Row {
    /// Two rates, each so many a second; the figure is their ratio.
    pub(crate) fn rates(
        path: impl Into<String>,
        against: impl Into<String>,
        ours: f64,
        reference: f64,
        target: Target,
    ) -> Self {
        Self {
            path: path.into(),
            against: against.into(),
            ours: format!("{ours:.0}/s"),
            reference: format!("{reference:.0}/s"),
            value: ours / reference,
            target,
        }
    }

    /// A figure that is measured alone.
    pub(crate) fn alone(
        path: impl Into<String>,
        against: impl Into<String>,
        ours: String,
        value: f64,
        target: Target,
    ) -> Self {
        Self { path: path.into(), against: against.into(), ours, reference: "—".into(), value, target }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.target.verdict(self.value);
        write!(
            f,
            "| {} | {} | {} | {} | {:.2} | {} | {verdict}|",
            self.path, self.against, self.ours, self.reference, self.value, self.target
        )
    }
}

/// The parts of the page, in its order: each is written alone, and the others kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Targets,
    Large,
    Kafka,
    Peers,
}

impl Part {
    const ALL: [Self; 4] = [Self::Targets, Self::Large, Self::Kafka, Self::Peers];

    /// The line that it begins with.
    fn heading(self) -> &'static str {
        match self {
            Self::Targets => "# What was measured",
            Self::Large => "## With ten million events",
            Self::Kafka => "## On Kafka",
            Self::Peers => "## Beside what you would pick instead",
        }
    }

    fn introduction(self) -> &'static str {
        match self {
            Self::Targets => {
                "Written by `make bench`. Ratios are of one run on one machine; the machine is probed before and after, \
                 because disks change their mind. What holds the rows that fall short is in [performance.md](performance.md); \
                 what faults under load came to, in [faults.md](faults.md)."
            }
            Self::Large => {
                "Written by `make bench-large`: a topic of one partition, in PostgreSQL, when it has a hundred thousand events \
                 and when it has ten million, in one run."
            }
            Self::Kafka => {
                "Written by `make bench-kafka`: the log in Kafka, its store in a file, beside Kafka's own tools and Kafka \
                 Streams, on the same broker in the same run. Medians of rounds in turns."
            }
            Self::Peers => {
                "Written by `make bench-peers`: the same work, in the same run, on the same machine, client and servers \
                 together. Medians of rounds in turns."
            }
        }
    }
}

const FILE: &str = "docs/benchmarks.md";

/// Writes one part of the page: its introduction, the machine, its rows, and what is to be said of them.
pub(crate) fn write(
    part: Part,
    rows: &[Row],
    probes: (&Probe, &Probe),
    notes: &[String],
) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(FILE).unwrap_or_default();
    let page = replaced(&old, part, &text(part, rows, probes, notes)?);
    std::fs::write(FILE, page)
        .with_context(|| format!("write {FILE} (run it from the repository's root)"))?;
    println!("written to {FILE}");
    Ok(())
}

/// The page with one of its parts anew.
fn replaced(page: &str, part: Part, text: &str) -> String {
    let mut parts = Part::ALL.map(|_| String::new());
    let mut current = 0;
    for line in page.lines() {
        current = Part::ALL.iter().position(|p| p.heading() == line).unwrap_or(current);
        parts[current].push_str(line);
        parts[current].push('\n');
    }
    for (kept, which) in parts.iter_mut().zip(Part::ALL) {
        if which == part {
            text.clone_into(kept);
        }
    }
    let written = parts.iter().map(|part| part.trim_end()).filter(|part| !part.is_empty());
    written.collect::<Vec<_>>().join("\n\n") + "\n"
}

fn text(part: Part, rows: &[Row], probes: (&Probe, &Probe), notes: &[String]) -> anyhow::Result<String> {
    let (before, after) = probes;
    let mut text = format!("{}\n\n{}\n\n", part.heading(), part.introduction());
    writeln!(
        text,
        "{}\n\nSync of 300 bytes (p50): {:.3} ms before, {:.3} ms after.\n",
        before.machine, before.sync_ms, after.sync_ms
    )?;
    text.push_str(
        "| path | against | ours | reference | value | target | |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        writeln!(text, "{row}")?;
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        writeln!(text, "- {note}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_written_anew_in_its_place_and_the_others_kept() {
        let [targets, large, _, peers] = Part::ALL.map(Part::heading);
        let page = replaced("", Part::Targets, &format!("{targets}\n\nfirst\n"));
        assert_eq!(page, format!("{targets}\n\nfirst\n"));
        let page = replaced(&page, Part::Peers, &format!("{peers}\n\nmany\n"));
        let page = replaced(&page, Part::Large, &format!("{large}\n\nmore\n"));
        let page = replaced(&page, Part::Targets, &format!("{targets}\n\nsecond\n"));
        assert_eq!(page, format!("{targets}\n\nsecond\n\n{large}\n\nmore\n\n{peers}\n\nmany\n"));
    }

    #[test]
    fn a_row_without_a_target_is_neither_met_nor_short() {
        let row = |target| Row {
            path: "p".into(),
            against: "a".into(),
            ours: "1".into(),
            reference: "2".into(),
            value: 0.5,
            target,
        };
        assert_eq!(row(Target::None).to_string(), "| p | a | 1 | 2 | 0.50 | — | |");
        assert_eq!(row(Target::AtLeast(1.0)).to_string(), "| p | a | 1 | 2 | 0.50 | ≥ 1 | **short** |");
        assert_eq!(row(Target::AtMost(1.0)).to_string(), "| p | a | 1 | 2 | 0.50 | ≤ 1 | met |");
    }
}
