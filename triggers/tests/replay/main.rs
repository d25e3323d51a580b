//! Replays through real workers, functions and a log on disk.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod dry;
mod in_place;
mod late;
mod node;
