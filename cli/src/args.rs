//! The command line, as `weir --help` shows it.

mod moving;
mod replay;

pub(crate) use moving::{Backup, Copy, Import, Spacer};
pub(crate) use replay::{Replay, ReplayAction};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A self-hosted event platform in one binary: Lua functions, a durable topic log, triggers, a gateway, replay.
#[derive(Parser, Debug)]
#[command(name = "weir", version, propagate_version = true, max_term_width = 110, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
A first project:
  weir init shop --template shop && weir dev shop

Commands act on a server: the one of --url, else the project's running one (.weir/run.json), else they open the
log themselves. Exit codes: 0 done, 1 it failed, 2 wrong usage.";

#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The project's folder [default: this one or the nearest parent with config/application.yml]
    #[arg(short = 'C', long = "dir", value_name = "DIR", global = true)]
    pub(crate) dir: Option<PathBuf>,
    /// The environment whose log is meant [default: development; production for `start`]
    #[arg(long, value_name = "ENV", env = "WEIR_ENV", global = true)]
    pub(crate) env: Option<String>,
    /// The configuration file [default: config/application.yml of the project]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// What is logged, as `info` or `weir_triggers=debug`
    #[arg(long, value_name = "LEVEL", env = "WEIR_LOG", global = true)]
    pub(crate) log_level: Option<String>,
    /// The admin API of a server, as http://127.0.0.1:3001; https works too
    #[arg(long, value_name = "URL", env = "WEIR_URL", global = true)]
    pub(crate) url: Option<String>,
    /// One JSON object per line, for machines
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a new project
    Init(Init),
    /// Serve a project and reload it on every save
    Dev(Dev),
    /// Serve a project for production
    Start(Start),
    /// Bring the log's schema up to date, as the next start would, or say what that would be
    Migrate(Migrate),
    /// Load the configuration and compile every function, touch nothing; all mistakes at once
    Check {
        /// The project's folder
        dir: Option<PathBuf>,
    },
    /// Run one function: its result on stdout, logs on stderr
    Call(Call),
    /// Run the tests in test/*.lua, each against a log in memory of its own; TAP on stdout
    Test(Test),
    /// What runs, where, how it is; exit code 1 if someone must act
    Status,
    /// The routes of app/gateway.lua
    Routes,
    /// The functions below app/
    Functions,
    /// List topics, or work with one
    Topics {
        #[command(subcommand)]
        action: Option<Topics>,
    },
    /// Append events to a topic
    Append(Append),
    /// Read a topic's events, from the earliest to the tail when nothing is said
    Events(Events),
    /// Follow a topic from its tail: `events --follow --from latest`
    Tail {
        /// The topic
        topic: String,
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
        /// Only events of this key
        #[arg(long)]
        key: Option<String>,
    },
    /// List triggers with their positions and lag, or work with one
    Triggers {
        #[command(subcommand)]
        action: Option<Triggers>,
    },
    /// Events that failed and wait
    #[command(alias = "dlq")]
    Parked {
        #[command(subcommand)]
        action: Option<Parked>,
    },
    /// Events that are committed and that Kafka does not take: their topic is gone, takes less, or is forbidden
    ///
    /// They are set aside so that others do not wait. Mend what `weir refused` says (make the topic, give the right, raise
    /// max.message.bytes), then `weir refused retry --all` sends them again, behind what was committed since; or give them
    /// up with `weir refused drop`.
    Refused {
        #[command(subcommand)]
        action: Option<Refused>,
    },
    /// Run a range of a topic through a function again; without a mode it explains the three, with counts
    Replay(Replay),
    Copy(Copy),
    Backup(Backup),
    /// Bring in what another system has
    Import {
        #[command(subcommand)]
        from: Import,
    },
    /// Tables of state, their rows
    State {
        #[command(subcommand)]
        action: Option<State>,
    },
    /// The configuration
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Completions for a shell, to be sourced
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The version
    Version,
}

#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The new folder
    #[arg(required_unless_present = "list")]
    pub(crate) dir: Option<PathBuf>,
    /// What to begin with
    #[arg(long, value_enum, default_value_t = Template::Hello)]
    pub(crate) template: Template,
    /// List the templates
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Template {
    /// A route, a topic, a trigger, a view in state
    Hello,
    /// Orders, stock in state, a mail outbox, a trigger that parks
    Shop,
    /// A resource behind HTTP: create, read, change, delete, pages, errors that name the field
    Api,
    /// GitHub's webhooks: the signature checked, each delivery taken once, the work done by a trigger
    Webhook,
    /// A job that something outside calls on time, done once and tried again by a trigger
    Cron,
    /// A project in Spacer's layout
    SpacerBlog,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// The gateway's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// The admin API's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// The write proxy's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) write_proxy: Option<String>,
    /// The log, over what the configuration says: memory, sqlite or postgres://…
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<String>,
    /// The folder of Weir's own data [default: .weir in the project]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The gateway's port; the admin API gets the next, the write proxy the one after; 0 picks free ones
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Threads that run functions [default: one per core]
    #[arg(long)]
    pub(crate) workers: Option<usize>,
}

#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// The project's folder
    pub(crate) dir: Option<PathBuf>,
    /// Begin with an empty log: what is in .weir/log.db is deleted
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Look through the folders for changes, where the system does not tell of them
    #[arg(long)]
    pub(crate) poll: bool,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The project's folder
    pub(crate) dir: Option<PathBuf>,
    /// Keep trying for so long to reach the log's server, instead of giving up at once
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<String>,
    /// How long requests that have begun may take at a stop
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) grace: String,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// Only say what would be done
    #[arg(long)]
    pub(crate) plan: bool,
    /// The log, over what the configuration says: sqlite or postgres://…
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Call {
    /// The function, as orders/place
    pub(crate) function: String,
    /// Its arguments as JSON; `-` reads them from stdin
    pub(crate) args: Option<String>,
    /// Commit nothing, and show what would be appended and written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Test {
    /// Only tests whose name holds one of these, as test_orders.lua or TestPlace.test_total
    pub(crate) patterns: Vec<String>,
    /// Run them again whenever a file changes
    #[arg(long)]
    pub(crate) watch: bool,
    /// Write a report in JUnit's XML too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Topics {
    /// Create a topic
    Create {
        /// Its name
        topic: String,
        /// How many partitions, for good
        #[arg(long, default_value_t = 1)]
        partitions: u32,
    },
    /// Partitions, sizes, retention
    Describe {
        /// Its name
        topic: String,
    },
    /// Remove old events, for good
    Trim {
        /// Its name
        topic: String,
        /// The first event that stays: an offset, latest, a time, or a duration back as -30d
        #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
        before: String,
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Append {
    /// The topic
    pub(crate) topic: String,
    /// The event's value as JSON; without it NDJSON from stdin ({"key","value","headers"} or plain values)
    pub(crate) value: Option<String>,
    /// The event's key
    #[arg(long)]
    pub(crate) key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Events {
    /// The topic
    pub(crate) topic: String,
    /// From here: an offset, earliest, latest, a time, or a duration back as -2h
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Up to here, exclusive
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// Only this partition
    #[arg(long)]
    pub(crate) partition: Option<u32>,
    /// Only events of this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// At most so many
    #[arg(long)]
    pub(crate) limit: Option<u64>,
    /// Go on with what comes
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Triggers {
    /// Start nothing more until `resume`, across restarts too
    Pause {
        /// TOPIC/FUNCTION
        trigger: String,
    },
    /// Go on, whatever the reason of the pause was
    Resume {
        /// TOPIC/FUNCTION
        trigger: String,
    },
    /// Move a trigger: what lies between is skipped, or runs again
    Seek {
        /// TOPIC/FUNCTION
        trigger: String,
        /// An offset, earliest, latest, a time, or a duration back as -2h
        #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
        to: String,
        /// Only this partition
        #[arg(long)]
        partition: Option<u32>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Drop the positions of a trigger that is no more
    Forget {
        /// TOPIC/FUNCTION
        trigger: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Wait until nothing is left to handle (parked events aside)
    Wait {
        /// TOPIC/FUNCTION [default: all]
        trigger: Option<String>,
        /// Give up after this long
        #[arg(long, value_name = "DURATION")]
        timeout: Option<String>,
    },
}

#[derive(Args, Debug, Default)]
pub(crate) struct Selection {
    /// Ids, as `weir parked list` shows them
    pub(crate) ids: Vec<String>,
    /// Those of this topic
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Those of this function's triggers
    #[arg(long)]
    pub(crate) function: Option<String>,
    /// Those of this key
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Parked {
    /// List parked events
    List(Selection),
    /// One event with its history
    Show {
        /// As `weir parked list` shows it
        id: String,
    },
    /// Try events again now
    Redrive(Selection),
    /// Try an event with another value
    Edit {
        /// As `weir parked list` shows it
        id: String,
        /// The value as JSON; `-` reads it from stdin
        value: String,
    },
    /// Drop events, with an audit row
    Skip(Selection),
}

#[derive(Args, Debug, Default)]
pub(crate) struct RefusedSelection {
    /// Ids, as `weir refused` shows them
    pub(crate) ids: Vec<String>,
    /// Those of this topic
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Refused {
    /// List refused events, and why they were refused
    List(RefusedSelection),
    /// Send events again, in their order; ends at the first that is refused once more
    Retry(RefusedSelection),
    /// Give events up, for good
    Drop(RefusedSelection),
}

#[derive(Subcommand, Debug)]
pub(crate) enum State {
    /// The rows of a table
    List {
        /// The table
        table: String,
        /// Only keys that begin so
        #[arg(long, default_value = "")]
        prefix: String,
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
    },
    /// One row
    Get {
        /// The table
        table: String,
        /// Its key
        key: String,
    },
    /// Write one row
    Set {
        /// The table
        table: String,
        /// Its key
        key: String,
        /// The value as JSON; `-` reads it from stdin
        value: String,
    },
    /// Delete one row
    Delete {
        /// The table
        table: String,
        /// Its key
        key: String,
    },
    /// Delete a whole table
    Drop {
        /// The table
        table: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigAction {
    /// Each effective value and where it came from
    Show,
}
