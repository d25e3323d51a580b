//! `weir copy`, `weir backup` and `weir import`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Copy the whole log into another, empty one, and compare the two
///
/// Events keep their offsets, times and headers; state, positions, parked events and replays come along. No server may
/// work on either log meanwhile: stop it first. What breaks off goes on where it was when the same command is given again;
/// until it has ended nobody can open the copy. At the end everything is read once more on both sides and compared.
///
/// To move from SQLite to PostgreSQL: stop the server, `weir copy --to postgres://USER@HOST/DATABASE`, write the
/// same address into logStorage, start the server. The original stays as it is.
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// Where to: postgres://USER:PASSWORD@HOST/DATABASE, sqlite:PATH, or the path of a file
    #[arg(long, value_name = "URL")]
    pub(crate) to: String,
}

/// Back the log up into a file, also while it is served
///
/// Of a log in SQLite: one snapshot of everything, made without holding up whoever writes, checked before it gets its
/// name. To restore it, stop the server, delete log.db, log.db-wal and log.db-shm in the data folder (.weir), and put the
/// file there as log.db.
#[derive(Args, Debug)]
pub(crate) struct Backup {
    /// The new file
    pub(crate) file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Import {
    Spacer(Spacer),
}

/// Bring the events of a Spacer database in PostgreSQL into this project's log
///
/// Every topic of the configuration that Spacer has a table for: keys, values, order and times stay as they are; a key
/// goes to the partition that its later events go to. The offset of the project's consumerGroup becomes the position of
/// the topic's triggers: what Spacer has handled does not run again, what it has not runs when the server starts.
///
/// Stop Weir's server first, and Spacer's before the last time. What has been imported is not imported again, so it
/// may be given as often as you like until Weir has served the topic: once with Spacer running for the bulk, once more
/// when it has been stopped. Spacer's tables are only read.
#[derive(Args, Debug)]
pub(crate) struct Spacer {
    /// Spacer's connString, as postgres://USER:PASSWORD@HOST/DATABASE
    pub(crate) conn: String,
    /// Only this topic
    #[arg(long)]
    pub(crate) topic: Option<String>,
}
