//! What a configuration is made from. Nothing here is read by this crate itself: no files, no environment, no clock.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// Everything that decides the configuration.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The text of `config/application.yml`.
    pub text: &'a str,
    /// What the user calls that file: messages name it so.
    pub name: &'a str,
    /// What the configuration is for.
    pub mode: Mode,
    /// The environment in force: `development`, `production`, …
    pub environment: &'a str,
    /// The environment's variables; in `weir dev` those of `.env` below them.
    pub variables: &'a BTreeMap<String, String>,
    /// Reads the file that a `${file:PATH}` names, relative to the project.
    pub read_file: &'a dyn Fn(&str) -> io::Result<String>,
    /// What the command line says.
    pub flags: &'a Flags,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text and the variables may hold secrets.
        let mut shown = f.debug_struct("Input");
        shown.field("name", &self.name).field("mode", &self.mode).field("environment", &self.environment);
        shown.field("flags", &self.flags).finish_non_exhaustive()
    }
}

/// Development is loose, loopback and sqlite by default; serving for others is explicit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// `weir dev`, and commands that work on the development environment.
    Dev,
    /// `weir start`, and commands that work on another environment's log.
    Start,
}

/// Options of the command line that win over the file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Flags {
    /// `--listen`: the gateway's address.
    pub listen: Option<String>,
    /// `--admin`: the admin API's.
    pub admin: Option<String>,
    /// `--write-proxy`: the write proxy's.
    pub write_proxy: Option<String>,
    /// `--port N`: the gateway on N, the admin API on N + 1, the write proxy on N + 2; 0 picks free ones.
    pub port: Option<u16>,
    /// `--log`: `memory`, `sqlite` or a URL.
    pub log: Option<String>,
    /// `--data`: the folder of Weir's own data.
    pub data: Option<String>,
}

/// Where a value was said.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the file.
    File {
        /// As the user calls it.
        name: String,
        /// From 1; none: the file as a whole.
        line: Option<usize>,
    },
    /// In a variable of the environment.
    Environment(String),
    /// In an option of the command line: `--admin`.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line: Some(line) } => write!(f, "{name}:{line}"),
            Self::File { name, line: None } => f.write_str(name),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}
