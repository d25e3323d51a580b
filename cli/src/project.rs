//! A project on disk: where it is, its configuration, its environment.

use crate::args::Global;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weir_config::{Config, Flags, Input, Loaded, Mode};
use weir_library::{Outbound, OutboundSettings, Policy};
use weir_log::Surroundings;
use weir_schema::FunctionName;

/// Where the configuration is, from the project's folder.
pub(crate) const CONFIG: &str = "config/application.yml";

/// A project whose configuration is in order.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// The file of its configuration, and what stood there.
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) loaded: Loaded,
    pub(crate) mode: Mode,
    /// For the log's driver.
    pub(crate) surroundings: Surroundings,
}

impl Project {
    /// Finds and loads it.
    pub(crate) fn open(
        global: &Global,
        dir: Option<&Path>,
        mode: Mode,
        flags: &Flags,
    ) -> anyhow::Result<Self> {
        let root = find_root(global, dir)?;
        let (file, name) = match &global.config {
            Some(file) => (file.clone(), file.display().to_string()),
            None => (root.join(CONFIG), CONFIG.to_owned()),
        };
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let variables = variables(&root, mode)?;
        let default = if mode == Mode::Dev { "development" } else { "production" };
        let input = Input {
            text: &text,
            name: &name,
            mode,
            environment: global.env.as_deref().unwrap_or(default),
            variables: &variables,
            read_file: &|path| std::fs::read_to_string(root.join(path)),
            flags,
        };
        let loaded = Config::load(&input)?;
        let surroundings = Surroundings::new(&variables);
        Ok(Self { root, file, text, loaded, mode, surroundings })
    }

    /// The project that a command is about; strict about its log unless it is the development's.
    pub(crate) fn of_command(global: &Global, dir: Option<&Path>, flags: &Flags) -> anyhow::Result<Self> {
        let mode = match global.env.as_deref() {
            None | Some("development") => Mode::Dev,
            Some(_) => Mode::Start,
        };
        Self::open(global, dir, mode, flags)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// The folder of Weir's own data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.root.join(&self.config().data_dir)
    }

    /// What `weir_gateway` is told.
    pub(crate) fn gateway_settings(&self) -> weir_gateway::Settings {
        let config = self.config();
        let function_limits = config.function_limits.iter().map(|(f, l)| (f.clone(), limits(l)));
        let slots = config.function_slots.iter();
        let slots =
            slots.map(|(f, s)| (f.clone(), Arc::new(weir_gateway::Slots::new(s.running.get(), s.waiting))));
        let (origins, any) = match &config.http.cors.origins {
            weir_config::CorsOrigins::Any => (Vec::new(), true),
            weir_config::CorsOrigins::These(origins) => (origins.clone(), false),
        };
        let cors = &config.http.cors;
        weir_gateway::Settings {
            is_dev: self.mode == Mode::Dev,
            body: bytes(config.limits.body),
            limits: limits(&config.limits),
            function_limits: function_limits.collect(),
            slots: slots.collect(),
            cors: weir_gateway::Cors {
                origins: if any { vec!["*".to_owned()] } else { origins },
                methods: cors.methods.iter().map(ToString::to_string).collect(),
                headers: cors.headers.iter().map(ToString::to_string).collect(),
                credentials: cors.credentials,
                max_age: cors.max_age,
            },
            sample: config.telemetry.sample,
            trusted_proxies: config.http.trusted_proxies.clone(),
            ..weir_gateway::Settings::default()
        }
    }

    /// What functions may send requests to.
    pub(crate) fn outbound(&self) -> anyhow::Result<Outbound> {
        let config = &self.config().outbound;
        let mut policy = Policy::open();
        policy.allow.clone_from(&config.allow);
        policy.deny.clone_from(&config.deny);
        if let Some(private) = &config.private {
            policy.private.clone_from(private);
        }
        let settings =
            OutboundSettings { policy, timeout: config.timeout, max_body: config.max_body.as_usize() };
        let Some(ca) = &config.ca else { return Ok(Outbound::new(settings, None)?) };
        let told = || format!("weir.outbound.ca: read {}", ca.display());
        let pem = std::fs::read(self.root.join(ca)).with_context(told)?;
        Outbound::new(settings, Some(&pem)).with_context(told)
    }

    /// What functions and the route table see of the environment.
    pub(crate) fn function_env(&self) -> BTreeMap<String, String> {
        let variables = self.config().function_variables.iter();
        variables.map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect()
    }

    /// What one invocation of `function` may use.
    pub(crate) fn limits_of(&self, function: &FunctionName) -> weir_runtime::Limits {
        limits(&self.config().limits_of(function))
    }
}

fn limits(limits: &weir_config::Limits) -> weir_runtime::Limits {
    weir_runtime::Limits {
        cpu: limits.cpu,
        wall: limits.wall,
        memory: bytes(limits.memory),
        output: bytes(limits.output),
        event: bytes(limits.event),
        hops: limits.hops.get(),
        is_seeded: limits.determinism == weir_config::Determinism::Seeded,
        ..weir_runtime::Limits::default()
    }
}

pub(crate) fn bytes(size: weir_config::ByteSize) -> usize {
    usize::try_from(size.0).unwrap_or(usize::MAX)
}

fn find_root(global: &Global, dir: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = dir.or(global.dir.as_deref()) {
        if !dir.is_dir() {
            bail!(
                "there is no folder {}: `weir init {}` makes a project there",
                dir.display(),
                dir.display()
            );
        }
        if !dir.join(CONFIG).is_file() && global.config.is_none() {
            bail!("{} is no project: it has no {CONFIG} (`weir init DIR` makes one that has)", dir.display());
        }
        return Ok(dir.canonicalize()?);
    }
    let here = std::env::current_dir().context("find the current folder")?;
    let found = here.ancestors().find(|dir| dir.join(CONFIG).is_file());
    match found {
        Some(root) => Ok(root.to_owned()),
        None if global.config.is_some() => Ok(here),
        None => bail!(
            "neither {} nor a folder above it has {CONFIG}: go to a project, name it with -C DIR, or make one with `weir init DIR`",
            here.display()
        ),
    }
}

/// The environment; in development with `.env` below it.
fn variables(root: &Path, mode: Mode) -> anyhow::Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    let file = root.join(".env");
    if mode == Mode::Dev && file.is_file() {
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        for (i, line) in text.lines().enumerate() {
            if let Some((name, value)) = parse_env_line(line).with_context(|| format!(".env:{}", i + 1))? {
                variables.insert(name, value);
            }
        }
    }
    let set = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    variables.extend(set);
    Ok(variables)
}

fn parse_env_line(line: &str) -> anyhow::Result<Option<(String, String)>> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let Some((name, value)) = line.split_once('=') else { bail!("{line:?} is no NAME=value") };
    let value = value.trim();
    let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
    Ok(Some((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_dot_env_are_names_and_values() {
        let parse = |line| parse_env_line(line).expect("a line");
        assert_eq!(parse("A=1"), Some(("A".into(), "1".into())));
        assert_eq!(parse("export B=\"x y\""), Some(("B".into(), "x y".into())));
        assert_eq!(parse("# no"), None);
        assert!(parse_env_line("nonsense").is_err());
    }
}
