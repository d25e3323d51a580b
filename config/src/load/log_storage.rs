//! Where the log is.

use crate::mistake::nearest;
use crate::reader::{Reader, path};
use crate::setting::{Said, Setting, Wrong, words};
use crate::{Environment, LogStorage, Mode, Origin, Secret};

mod kafka;

/// What the drivers of `logStorage` are called, served or not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Driver {
    Memory,
    Sqlite,
    Postgres,
    Kafka,
}

words!(Driver:
    "memory" => Self::Memory,
    "sqlite" => Self::Sqlite,
    "postgres" => Self::Postgres,
    "kafka" => Self::Kafka);

/// How a server is connected to: `postgres://…` or `key=value …`. What is in it is the backend's to judge.
struct ConnString(Secret);

impl Setting for ConnString {
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Wrong> {
        if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme))
            || text.contains('=')
        {
            return Ok(Self(Secret::new(text)));
        }
        Err(Wrong::new("it is no connection string", "write postgres://USER:PASSWORD@HOST/DATABASE"))
    }
}

const DRIVER: &str = "logStorage.*.driver";
const CONN_STRING: &str = "logStorage.*.connString";

pub(super) fn log_storage(reader: &mut Reader<'_>, environment: &Environment) -> LogStorage {
    refuse_unknown_drivers(reader, environment);
    let name = environment.as_str();
    if let Some(text) = reader.input.flags.log.as_deref() {
        return log_flag(reader, text, &path(DRIVER, name));
    }
    let is_said = reader.origin_of(DRIVER, name).is_some();
    let said = reader.said::<Driver>(DRIVER, name);
    if !matches!(said, Some(Said { value: Driver::Postgres, .. })) {
        warn_of_unused(reader, CONN_STRING, name);
    }
    if !matches!(said, Some(Said { value: Driver::Kafka, .. })) {
        kafka::KEYS.iter().for_each(|key| warn_of_unused(reader, key, name));
    }
    match said.map(|Said { value, origin }| (value, origin)) {
        Some((Driver::Memory, _)) => LogStorage::Memory,
        Some((Driver::Sqlite, _)) => LogStorage::Sqlite,
        Some((Driver::Postgres, origin)) => {
            conn_string(reader, CONN_STRING, name, origin).map_or(LogStorage::Sqlite, LogStorage::Postgres)
        }
        Some((Driver::Kafka, origin)) => kafka::storage(reader, name, origin),
        None => absent(reader, name, is_said),
    }
}

/// The connection string at `key`, which the driver at `origin` needs.
fn conn_string(reader: &mut Reader<'_>, key: &str, name: &str, origin: Origin) -> Option<Secret> {
    let is_there = reader.origin_of(key, name).is_some();
    let said = reader.said::<ConnString>(key, name);
    if !is_there {
        let remedy = "write connString: \"${DATABASE_URL}\" beside the driver";
        reader.wrong(origin, path(key, name), Wrong::new("it is missing", remedy));
    }
    said.map(|said| said.value.0)
}

fn absent(reader: &mut Reader<'_>, name: &str, is_said: bool) -> LogStorage {
    if !is_said && reader.input.mode == Mode::Start {
        let remedy = format!(
            "write logStorage: {{{name}: {{driver: sqlite}}}}, or give --log memory|sqlite|postgres://…"
        );
        let wrong = Wrong::new("it is missing: weir start asks where the log is", remedy);
        reader.wrong(reader.file(), path("logStorage.*", name), wrong);
    } else if !is_said {
        reader.show(path(DRIVER, name), "sqlite", Origin::Default);
    }
    LogStorage::Sqlite
}

fn log_flag(reader: &mut Reader<'_>, text: &str, path: &str) -> LogStorage {
    let origin = Origin::Flag("--log");
    if let Ok(ConnString(secret)) = ConnString::parse(text) {
        reader.show(path, "postgres", origin);
        return LogStorage::Postgres(secret);
    }
    // The rest of a URL may hold a password.
    let scheme = text.split(':').next().unwrap_or(text);
    let wrong = match Driver::parse(scheme) {
        Ok(Driver::Memory | Driver::Sqlite) if scheme != text => {
            Wrong::new(format!("{scheme} takes no address"), "its file is in the data folder: --data")
        }
        Ok(Driver::Postgres) => {
            Wrong::new("postgres needs an address", "write postgres://USER:PASSWORD@HOST/DATABASE")
        }
        Ok(Driver::Kafka) => {
            Wrong::new("kafka needs more than an address", "write it under logStorage in the file")
        }
        Ok(served) => {
            reader.show(path, text, origin);
            return if served == Driver::Memory { LogStorage::Memory } else { LogStorage::Sqlite };
        }
        Err(_) => Wrong::new(format!("{scheme:?} is no log"), "write memory, sqlite or postgres://…"),
    };
    reader.wrong(origin, "", wrong);
    LogStorage::Sqlite
}

/// The other environments are not in force, and their variables need not be set here; but a misspelt driver is
/// better found today than at the first start.
fn refuse_unknown_drivers(reader: &mut Reader<'_>, environment: &Environment) {
    for name in reader.names(&["logStorage"]) {
        let Some(text) = reader.written(DRIVER, &name.value).filter(|t| !t.contains("${")) else { continue };
        if let (Err(mut wrong), Some(origin)) = (Driver::parse(text), reader.origin_of(DRIVER, &name.value))
            && name.value != environment.as_str()
        {
            if let Some(driver) = nearest(text, ["memory", "sqlite", "postgres", "kafka"]) {
                wrong.remedy = format!("did you mean {driver}?");
            }
            reader.wrong(origin, path(DRIVER, &name.value), wrong);
        }
    }
}

fn warn_of_unused(reader: &mut Reader<'_>, key: &str, name: &str) {
    if let Some(origin) = reader.origin_of(key, name) {
        let wrong = Wrong::new("the driver does not use it", "remove it; weir.dataDir says where files are");
        reader.warn(origin, path(key, name), wrong);
    }
}
