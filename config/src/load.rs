//! From the input to the configuration: read everything, then say everything that is wrong.

mod log_storage;

use crate::edges::{Edges, edges, http, outbound};
use crate::reader::{Reader, distinct, path};
use crate::setting::{Optional, Ratio, Said, Setting, Url, VariableName, Wrong, words};
use crate::topics::{topics, triggers};
use crate::{
    Config, Determinism, Entry, Environment, FunctionSlots, Input, Limits, LogFormat, Mistake, Mistakes,
    Origin, Secret, Telemetry, shape, yaml,
};
use log_storage::log_storage;
use std::collections::BTreeMap;
use std::path::PathBuf;
use weir_schema::{AppName, FunctionName};

/// A configuration, and where each of its values came from.
#[derive(Clone, PartialEq, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What looks wrong and hinders nothing, in the order of the file.
    pub warnings: Vec<Mistake>,
    entries: Vec<Entry>,
}

impl Loaded {
    /// Every effective value with its origin: what `weir config show` prints.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Config {
    /// Makes the configuration of an input.
    ///
    /// # Errors
    /// Every mistake in it, at once.
    pub fn load(input: &Input<'_>) -> Result<Loaded, Mistakes> {
        let root = yaml::parse(input.text).map_err(|e| {
            let origin = Origin::File { name: input.name.to_owned(), line: Some(e.line) };
            Mistakes(vec![Mistake {
                origin,
                path: String::new(),
                problem: e.problem,
                remedy: e.remedy.to_owned(),
            }])
        })?;
        let (root, findings) = shape::check(root, input);
        let mut reader = Reader::new(root, input);
        let config = config(&mut reader);
        let Reader { entries, mut mistakes, mut warnings, .. } = reader;
        mistakes.extend(findings.mistakes);
        warnings.extend(findings.warnings);
        mistakes.sort_by_key(place);
        warnings.sort_by_key(place);
        if mistakes.is_empty() { Ok(Loaded { config, warnings, entries }) } else { Err(Mistakes(mistakes)) }
    }
}

/// The order of mistakes: the file's lines, then what is missing from it, then what was said elsewhere.
fn place(mistake: &Mistake) -> usize {
    match mistake.origin {
        Origin::File { line: Some(line), .. } => line,
        Origin::File { line: None, .. } => usize::MAX - 1,
        Origin::Default | Origin::Environment(_) | Origin::Flag(_) => usize::MAX,
    }
}

/// In the order of the table. What is wrong is recorded in the reader, and a default stands in for it.
fn config(reader: &mut Reader<'_>) -> Config {
    let environment = environment(reader);
    let app_name = app_name(reader);
    spacer_version(reader);
    let topics = topics(reader);
    let triggers = triggers(reader, &topics);
    let function_variables = function_variables(reader, &environment);
    let log = log_storage(reader, &environment);
    let consumer_group = consumer_group(reader, &app_name);
    let Edges { gateway, admin, health, write_proxy } = edges(reader);
    let limits = limits(reader);
    let functions = functions(reader, limits);
    let outbound = outbound(reader, &environment);
    Config {
        app_name,
        consumer_group,
        environment,
        topics,
        triggers,
        function_variables,
        log,
        gateway,
        limits,
        function_limits: functions.limits,
        function_slots: functions.slots,
        http: http(reader),
        outbound,
        admin,
        health,
        write_proxy,
        telemetry: telemetry(reader),
        data_dir: data_dir(reader),
    }
}

fn environment(reader: &mut Reader<'_>) -> Environment {
    let name = reader.input.environment;
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        let wrong =
            Wrong::new(format!("{name:?} names no environment"), "write one as development or production");
        reader.wrong(Origin::Flag("--env"), "", wrong);
    }
    Environment(name.to_owned())
}

fn app_name(reader: &mut Reader<'_>) -> AppName {
    let is_said = reader.input.variables.get("APPNAME").is_some_and(|v| !v.is_empty())
        || reader.origin_of("appName", "").is_some();
    if let Some(said) = reader.said::<AppName>("appName", "") {
        return said.value;
    }
    if !is_said {
        reader.wrong(reader.file(), "appName", Wrong::new("it is missing", "add a line as appName: shop"));
    }
    AppName::new("app").expect("three letters are a name")
}

fn spacer_version(reader: &mut Reader<'_>) {
    let version: Said<String> = reader.value("spacerVersion", "");
    if version.value != "1" {
        let problem = format!("version {:?} is not known", version.value);
        reader.warn(
            version.origin,
            "spacerVersion",
            Wrong::new(problem, "the project is taken for version 1"),
        );
    }
}

fn function_variables(reader: &mut Reader<'_>, environment: &Environment) -> BTreeMap<String, Secret> {
    let listed: Vec<Said<VariableName>> = reader.list("envVar", "").unwrap_or_default();
    let listed = listed.into_iter().map(|said| Said { value: said.value.0, origin: said.origin }).collect();
    let mut variables = BTreeMap::new();
    for name in distinct(listed, "envVar", reader).into_iter().map(|said| said.value) {
        let value = match name.as_str() {
            "SPACER_ENV" | "WEIR_ENV" => Some(environment.as_str()).filter(|_| !environment.is_development()),
            _ => reader.input.variables.get(&name).map(String::as_str),
        };
        variables.extend(value.map(|value| (name, Secret::new(value))));
    }
    variables
}

fn consumer_group(reader: &mut Reader<'_>, app_name: &AppName) -> String {
    let group: Said<String> = reader.value("consumerGroup", "");
    let group = group.value.replace("$appName", app_name.as_str());
    // Shown as it is used.
    for entry in reader.entries.iter_mut().filter(|entry| entry.path == "consumerGroup") {
        entry.value.clone_from(&group);
    }
    group
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    Limits {
        cpu: reader.value("weir.limits.cpu", "").value,
        wall: reader.value("weir.limits.wall", "").value,
        memory: reader.value("weir.limits.memory", "").value,
        output: reader.value("weir.limits.output", "").value,
        body: reader.value("weir.limits.body", "").value,
        event: reader.value("weir.limits.event", "").value,
        hops: reader.value("weir.limits.hops", "").value,
        determinism: reader.value("weir.determinism", "").value,
    }
}

/// What `weir.functions` says of each function: limits that take the place of `all`, and how many run at once.
fn functions(reader: &mut Reader<'_>, all: Limits) -> Functions {
    let mut functions = Functions::default();
    for said in reader.names(&["weir", "functions"]) {
        let name = said.value.as_str();
        let (limits, slots) = (own_limits(reader, name, all), slots(reader, name));
        match FunctionName::parse(name) {
            Ok(function) => {
                functions.slots.extend(slots.map(|slots| (function.clone(), slots)));
                functions.limits.insert(function, limits);
            }
            Err(wrong) => reader.wrong(said.origin, path("weir.functions.*", name), wrong),
        }
    }
    functions
}

#[derive(Default)]
struct Functions {
    limits: BTreeMap<FunctionName, Limits>,
    slots: BTreeMap<FunctionName, FunctionSlots>,
}

fn own_limits(reader: &mut Reader<'_>, name: &str, all: Limits) -> Limits {
    Limits {
        cpu: reader.said("weir.functions.*.cpu", name).map_or(all.cpu, |said| said.value),
        wall: reader.said("weir.functions.*.wall", name).map_or(all.wall, |said| said.value),
        memory: reader.said("weir.functions.*.memory", name).map_or(all.memory, |said| said.value),
        output: reader.said("weir.functions.*.output", name).map_or(all.output, |said| said.value),
        determinism: reader
            .said("weir.functions.*.determinism", name)
            .map_or(all.determinism, |said| said.value),
        ..all
    }
}

fn slots(reader: &mut Reader<'_>, name: &str) -> Option<FunctionSlots> {
    const QUEUED: &str = "weir.functions.*.maxQueued";
    match reader.said("weir.functions.*.maxConcurrent", name) {
        Some(running) => {
            Some(FunctionSlots { running: running.value, waiting: reader.value(QUEUED, name).value })
        }
        None => {
            if let Some(said) = reader.said::<u32>(QUEUED, name) {
                let wrong =
                    Wrong::new("nothing waits where any number may run", "add maxConcurrent, or remove it");
                reader.wrong(said.origin, path(QUEUED, name), wrong);
            }
            None
        }
    }
}

words!(Determinism: "seeded" => Self::Seeded, "real" => Self::Real);
words!(LogFormat: "pretty" => Self::Pretty, "json" => Self::Json);

fn telemetry(reader: &mut Reader<'_>) -> Telemetry {
    let otlp: Said<Optional<Url>> = reader.value("weir.telemetry.otlp", "");
    Telemetry {
        otlp: otlp.value.0.map(|url| url.text),
        sample: reader.value::<Ratio>("weir.telemetry.sample", "").value.0,
        log_format: reader.value("weir.telemetry.logFormat", "").value,
    }
}

fn data_dir(reader: &mut Reader<'_>) -> PathBuf {
    let configured: Said<PathBuf> = reader.value("weir.dataDir", "");
    let Some(text) = reader.input.flags.data.as_deref() else { return configured.value };
    match PathBuf::parse(text) {
        Ok(folder) => {
            reader.entries.retain(|entry| entry.path != "weir.dataDir");
            reader.show("weir.dataDir", text, Origin::Flag("--data"));
            folder
        }
        Err(wrong) => {
            reader.wrong(Origin::Flag("--data"), "", wrong);
            configured.value
        }
    }
}

#[cfg(test)]
mod tests;
