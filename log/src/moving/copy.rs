//! A whole log, copied into an empty one.
//!
//! Events come first, then rows, then everything else at once. What is written is durable bit by bit, and says by itself
//! how far it is: a partition's tail, the last row. So a copy that was cut off goes on where it was. Until its end the
//! target bears a [`Marker`], and nobody can open it.

use super::compare::{Tally, tally};
use super::progress::{Count, Phase, Watcher};
use super::refusal::unavailable;
use super::{Edit, Export, Import, Marker, Outline, Partition};
use crate::open::{hold_source, hold_target, other_app};
use crate::{Driver, LogError, ReadLimit};
use weir_schema::{AppName, Millis};
use xxhash_rust::xxh3::xxh3_64;

/// How much is written at once.
const PORTION: ReadLimit = ReadLimit { events: 4096, bytes: 4 << 20 };
/// How many rows are written at once.
const ROWS: u32 = 2048;

/// What a copy came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// Where the log was, without secrets.
    pub from: String,
    /// Where it is now too.
    pub to: String,
    /// How many topics it has.
    pub topics: usize,
    /// How many events.
    pub events: u64,
    /// How many rows of state, parked events and the like included.
    pub rows: u64,
    /// How many positions of groups.
    pub positions: usize,
    /// How many of these events and rows an earlier try had copied.
    pub before: u64,
    /// Every partition and table of the original.
    pub tallies: Vec<Tally>,
    /// What is not the same in the copy, in words. None of it: the copy may be used. Else it stays closed.
    pub differences: Vec<String>,
}

/// Copies the log `from`, of the application `app`, to `to`: topics, events with offsets, times and headers, state, positions
/// and everything else. Nobody may use either meanwhile. What an earlier try has copied is not copied again.
///
/// # Errors
/// `Unavailable` if one of the two is used, cannot be read or written, if `from` belongs to another application, or if
/// `to` holds something else. What was copied stays.
pub async fn copy(
    from: Driver,
    to: Driver,
    app: &AppName,
    watcher: &mut Watcher<'_>,
) -> Result<Copied, LogError> {
    let mut source = hold_source(from).await?;
    let outline = source.outline().await?;
    if let Some(owner) = outline.app.as_deref().filter(|owner| *owner != app.as_str()) {
        return Err(other_app(source.place(), owner, app, "log"));
    }
    if outline.marker.is_some() {
        return Err(refused(&*source, "it is the half of a copy itself: end that one first"));
    }
    let mut target = hold_target(to).await?;
    let marker = Marker { origin: xxh3_64(source.place().as_bytes()), writers: outline.numbers.writers };
    let there = target.outline().await?;
    target.write(begin(&*target, &outline, &there, marker)?).await?;

    let total = outline.events() + outline.rows;
    let mut progress = Count::new(Phase::Copying, total, watcher);
    let before = fill(&mut *source, &mut *target, &outline, &mut progress).await?;
    target.write(end(&outline)).await?;

    let mut progress = Count::new(Phase::Comparing, 2 * total, watcher);
    let tallies = tally(&mut *source, &outline, &mut progress).await?;
    let copied = target.outline().await?;
    let differences =
        differences(&outline, &tallies, &copied, &tally(&mut *target, &copied, &mut progress).await?);
    if differences.is_empty() {
        target.write(vec![Edit::Mark(None)]).await?;
    }
    Ok(Copied {
        from: source.place().to_owned(),
        to: target.place().to_owned(),
        topics: outline.topics.len(),
        events: outline.events(),
        rows: outline.rows,
        positions: outline.positions.len(),
        before,
        tallies,
        differences,
    })
}

/// What makes the target, which is as `there` now, ready to be filled.
fn begin(
    target: &dyn Import,
    outline: &Outline,
    there: &Outline,
    marker: Marker,
) -> Result<Vec<Edit>, LogError> {
    let mut edits = match there.marker {
        None if there.is_empty() => vec![Edit::NoTopics, Edit::NoRows],
        None => {
            let why = format!(
                "it holds {} events, {} rows of state and {} positions: name an empty place",
                there.events(),
                there.rows,
                there.positions.len()
            );
            return Err(refused(target, &why));
        }
        Some(theirs) if theirs.origin != marker.origin => {
            let why = "it is the half of a copy of another log: end that one, or name another place";
            return Err(refused(target, why));
        }
        Some(theirs) if theirs.writers != marker.writers => vec![Edit::NoRows],
        Some(_) => Vec::new(),
    };
    if let (Some(owner), Some(app)) = (&there.app, &outline.app)
        && owner != app
    {
        return Err(refused(target, &format!("it belongs to the application {owner:?}, not to {app:?}")));
    }
    edits.push(Edit::Mark(Some(marker)));
    edits.extend(outline.app.clone().map(Edit::App));
    edits.extend(outline.topics.iter().map(|(id, spec)| Edit::Topic(*id, spec.clone())));
    for wanted in &outline.partitions {
        let found = there.partition(wanted.at).filter(|_| there.marker.is_some());
        if found.is_some_and(|found| found.earliest == wanted.earliest && found.tail <= wanted.tail) {
            continue;
        }
        edits.push(Edit::NoEvents(wanted.at));
        let (tail, last_time) = (wanted.earliest, Millis(0));
        edits.push(Edit::Partition(Partition { tail, last_time, bytes: 0, ..*wanted }));
    }
    Ok(edits)
}

/// Copies the events and rows that are not there yet; returns how many were.
async fn fill(
    source: &mut dyn Export,
    target: &mut dyn Import,
    outline: &Outline,
    progress: &mut Count<'_, '_>,
) -> Result<u64, LogError> {
    let there = target.outline().await?;
    progress.add(there.events() + there.rows);
    for wanted in &outline.partitions {
        let mut next = there.partition(wanted.at).map_or(wanted.earliest, |partition| partition.tail);
        while next < wanted.tail {
            let events = source.events(wanted.at, next, PORTION).await?;
            let Some(last) = events.last() else { break };
            next = last.meta.offset.next();
            let count = events.len() as u64;
            target.write(vec![Edit::Events(events)]).await?;
            progress.add(count);
        }
    }
    let mut after = there.last_row.clone();
    loop {
        let rows = source.rows(after, ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.key.clone());
        let count = rows.len() as u64;
        target.write(vec![Edit::Rows(rows)]).await?;
        progress.add(count);
    }
    Ok(there.events() + there.rows)
}

/// What is written last: how partitions end, positions, the log's numbers.
fn end(outline: &Outline) -> Vec<Edit> {
    let mut edits: Vec<_> = outline.partitions.iter().copied().map(Edit::Partition).collect();
    edits.push(Edit::NoPositions);
    edits.push(Edit::Positions(outline.positions.clone()));
    edits.push(Edit::Numbers(outline.numbers));
    edits
}

/// What the two logs differ in, in words.
fn differences(source: &Outline, here: &[Tally], target: &Outline, there: &[Tally]) -> Vec<String> {
    let mut words = Vec::new();
    let unlike = |what: &str, is_same: bool| (!is_same).then(|| format!("{what} differ"));
    words.extend(unlike("the topics", source.topics == target.topics));
    words.extend(unlike("the numbers of partitions", source.partitions == target.partitions));
    words.extend(unlike("the positions", source.positions == target.positions));
    words.extend(unlike(
        "the log's own numbers",
        (source.numbers, &source.app) == (target.numbers, &target.app),
    ));
    let said = |tally: Option<&Tally>| {
        tally.map_or_else(|| "nothing".to_owned(), |t| format!("{} with digest {}", t.count, t.digest))
    };
    for tally in here {
        let other = there.iter().find(|other| other.name == tally.name);
        if other != Some(tally) {
            words.push(format!("{}: {} here, {} in the copy", tally.name, said(Some(tally)), said(other)));
        }
    }
    for tally in there.iter().filter(|tally| !here.iter().any(|known| known.name == tally.name)) {
        words.push(format!("{}: nothing here, {} in the copy", tally.name, said(Some(tally))));
    }
    words
}

fn refused(log: &(impl Export + ?Sized), why: &str) -> LogError {
    unavailable("copy", log.place(), why, false)
}
