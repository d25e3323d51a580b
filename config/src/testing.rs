//! A project on paper: the inputs that tests vary.

use crate::{Config, Flags, Input, Loaded, Mistakes, Mode};
use std::collections::BTreeMap;
use std::io;

pub(crate) struct Project {
    text: String,
    mode: Mode,
    environment: &'static str,
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    flags: Flags,
}

impl Project {
    /// `config/application.yml` with this text, in development.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            mode: Mode::Dev,
            environment: "development",
            variables: BTreeMap::new(),
            files: BTreeMap::new(),
            flags: Flags::default(),
        }
    }

    /// Served for production.
    pub(crate) fn in_production(mut self) -> Self {
        self.mode = Mode::Start;
        self.environment = "production";
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    pub(crate) fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn load(&self) -> Result<Loaded, Mistakes> {
        self.with_input(|input| Config::load(&input))
    }

    pub(crate) fn config(&self) -> Config {
        self.load().unwrap_or_else(|mistakes| panic!("{mistakes}")).config
    }

    /// The mistakes' own lines.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let mistakes = self.load().expect_err("the configuration was accepted");
        mistakes.0.iter().map(ToString::to_string).collect()
    }

    /// `VALUE (ORIGIN)` of one path.
    pub(crate) fn entry(&self, path: &str) -> String {
        let loaded = self.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let entry = loaded.entries().iter().find(|e| e.path == path).unwrap_or_else(|| panic!("no {path}"));
        format!("{} ({})", entry.value, entry.origin)
    }

    pub(crate) fn with_input<T>(&self, run: impl FnOnce(Input<'_>) -> T) -> T {
        let read_file = |path: &str| {
            self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        };
        run(Input {
            text: &self.text,
            name: "config/application.yml",
            mode: self.mode,
            environment: self.environment,
            variables: &self.variables,
            read_file: &read_file,
            flags: &self.flags,
        })
    }
}
