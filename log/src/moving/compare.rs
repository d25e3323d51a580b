//! What is in a log, as numbers that two logs can be compared by.

use super::progress::Count;
use super::{Export, Outline, Row};
use crate::{LogError, ReadLimit};
use weir_schema::Record;
use xxhash_rust::xxh3::Xxh3;

/// How many rows are read at once.
const ROWS: u32 = 1000;

/// A partition of a topic, or a table of state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// `topic orders partition 3` or `table stock`.
    pub name: String,
    /// Events or rows.
    pub count: u64,
    /// A hash of all of them with everything that belongs to them: 32 digits.
    pub digest: String,
}

/// Reads all of `log`, whose outline is `outline`.
pub(super) async fn tally(
    log: &mut (impl Export + ?Sized),
    outline: &Outline,
    progress: &mut Count<'_, '_>,
) -> Result<Vec<Tally>, LogError> {
    let mut tallies = Vec::new();
    for partition in &outline.partitions {
        let (name, at) = (outline.name(partition.at.topic), partition.at);
        let mut sum = Sum::new(format!("topic {name} partition {}", at.partition));
        let mut next = partition.earliest;
        while next < partition.tail {
            let events = log.events(at, next, ReadLimit::default()).await?;
            let Some(last) = events.last() else { break };
            next = last.meta.offset.next();
            events.iter().for_each(|event| sum.event(&event));
            progress.add(events.len() as u64);
        }
        tallies.push(sum.finish());
    }
    tallies.extend(tables(log, progress).await?);
    Ok(tallies)
}

async fn tables(
    log: &mut (impl Export + ?Sized),
    progress: &mut Count<'_, '_>,
) -> Result<Vec<Tally>, LogError> {
    let mut sums: Vec<Sum> = Vec::new();
    let mut after = None;
    loop {
        let rows = log.rows(after, ROWS).await?;
        for row in &rows {
            let name = format!("table {}", row.key.table);
            if sums.last().is_none_or(|sum| sum.name != name) {
                sums.push(Sum::new(name));
            }
            sums.last_mut().expect("one has just been pushed").row(row);
        }
        progress.add(rows.len() as u64);
        let Some(last) = rows.into_iter().next_back() else { break };
        after = Some(last.key);
    }
    Ok(sums.into_iter().map(Sum::finish).collect())
}

/// A tally in the making.
struct Sum {
    name: String,
    count: u64,
    digest: Xxh3,
}

impl Sum {
    fn new(name: String) -> Self {
        Self { name, count: 0, digest: Xxh3::new() }
    }

    fn event(&mut self, event: &Record<'_>) {
        self.number(event.meta.offset.0);
        self.number(event.meta.time.0.cast_unsigned());
        self.part(event.key());
        self.part(event.value());
        self.part(Some(event.headers_encoded()));
        self.count += 1;
    }

    fn row(&mut self, row: &Row) {
        self.number(row.key.generation.into());
        self.part(Some(&row.key.key));
        self.part(Some(&row.row.value));
        self.number(row.row.stamp.0);
        self.part(row.row.expires.map(|expires| expires.0.to_le_bytes()).as_ref().map(|bytes| &bytes[..]));
        self.count += 1;
    }

    fn number(&mut self, number: u64) {
        self.digest.update(&number.to_le_bytes());
    }

    /// What is absent differs from what is empty, and where one part ends counts.
    fn part(&mut self, bytes: Option<&[u8]>) {
        self.number(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64));
        self.digest.update(bytes.unwrap_or_default());
    }

    fn finish(self) -> Tally {
        Tally { name: self.name, count: self.count, digest: format!("{:032x}", self.digest.digest128()) }
    }
}
