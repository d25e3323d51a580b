//! Replays through real workers, functions and a log on disk.

mod dry;
mod in_place;
mod node;
