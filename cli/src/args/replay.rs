//! `weir replay`.

use clap::{Args, Subcommand};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Replay {
    #[command(subcommand)]
    pub(crate) action: Option<ReplayAction>,
    /// The topic
    #[arg(required = true)]
    pub(crate) topic: Option<String>,
    /// A trigger of the topic, or any function
    #[arg(long, required = true)]
    pub(crate) function: Option<String>,
    /// Commit nothing, and tell what would be appended and written
    #[arg(long, group = "mode")]
    pub(crate) dry_run: bool,
    /// Build the tables anew beside the live ones (comes with a later version)
    #[arg(long, group = "mode")]
    pub(crate) shadow: bool,
    /// Run on the live tables again, while the live trigger stands still
    #[arg(long, group = "mode")]
    pub(crate) in_place: bool,
    /// From here: an offset, earliest, latest, a time, or a duration back as -2h
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Up to here, exclusive [default: the tail, and in place what the live trigger has handled]
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// Only this partition
    #[arg(long)]
    pub(crate) partition: Option<u32>,
    /// Only events of this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// At most so many events a second
    #[arg(long, value_name = "EVENTS")]
    pub(crate) rate: Option<std::num::NonZeroU32>,
    /// Commit appends too
    #[arg(long)]
    pub(crate) emit: bool,
    /// A host that functions may send requests to; once for each, none without it
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Vec<String>,
    /// Its name [default: the function's and a number]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Begin and return at once
    #[arg(long)]
    pub(crate) detach: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ReplayAction {
    /// Every replay in the log
    List,
    /// One replay, its progress and what failed
    Show {
        /// Its name
        name: String,
    },
    /// Let it stand still, across restarts too
    Pause {
        /// Its name
        name: String,
    },
    /// Let it go on
    Resume {
        /// Its name
        name: String,
    },
    /// End it: what it has committed stays, the live trigger goes on
    Cancel {
        /// Its name
        name: String,
    },
    /// Of a shadow replay (comes with a later version)
    Compare {
        /// Its name
        name: String,
    },
    /// Of a shadow replay (comes with a later version)
    Promote {
        /// Its name
        name: String,
    },
    /// Of a shadow replay (comes with a later version)
    Rollback {
        /// Its name
        name: String,
    },
}
