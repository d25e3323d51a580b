//! Which server, which database, which schema: read from a connection string, and where it says nothing from the
//! surroundings.

use super::options::PostgresOptions;
use super::parameters::{self, Parameters};
use super::passfile::{self, SOCKETS};
use super::surroundings::Surroundings;
use super::tls::Tls;
use crate::LogError;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The schema where the string names none.
const SCHEMA: &str = "weir";
/// The longest name that the server does not cut.
const NAME: usize = 63;
const FORMS: &str = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE or host=… dbname=… user=…";

/// Where a log is, and as whom to speak to the server.
#[derive(Clone)]
pub(super) struct Target {
    config: Config,
    pub(super) schema: String,
    pub(super) tls: Tls,
    passfile: Option<PathBuf>,
}

impl Target {
    /// Where `options` lead. No file is read.
    pub(super) fn of(options: &PostgresOptions) -> Result<Self, LogError> {
        let said = parameters::parse(options.conn.reveal()).map_err(|why| malformed(&why))?;
        let mut all = options.surroundings.parameters().map_err(|why| unreadable(&why))?;
        all.extend(said);
        Self::from_parameters(all, &options.surroundings).map_err(|why| malformed(&why))
    }

    /// In the error: what is wrong, without values but those of `sslmode` and `schema`.
    fn from_parameters(mut all: Parameters, surroundings: &Surroundings) -> Result<Self, String> {
        let schema = all.remove("schema").unwrap_or_else(|| SCHEMA.into());
        let is_name = schema.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if schema.is_empty() || !is_name || schema.len() > NAME {
            return Err("the name of a schema has up to 63 letters, digits and _".into());
        }
        let (mode, root) = (all.remove("sslmode"), all.remove("sslrootcert"));
        let tls = Tls::parse(mode.as_deref(), root.as_deref())?;
        let passfile = all.remove("passfile").map(PathBuf::from).or_else(|| surroundings.passfile());
        // milliseconds to libpq, seconds to the driver
        let silence = all.remove("tcp_user_timeout").map(|value| value.parse().map(Duration::from_millis));
        all.retain(|name, value| !value.is_empty() || name == "password");
        // an error names a parameter or what is wrong with it, never a value
        let mut config: Config =
            parameters::to_words(&all).parse().map_err(|error: tokio_postgres::Error| {
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
            })?;
        config.ssl_mode(tls.mode());
        if let Some(silence) = silence {
            config.tcp_user_timeout(silence.map_err(|_| "invalid value for option `tcp_user_timeout`")?);
        }
        if config.get_user().is_none() {
            config.user(whoami::username().map_err(|_| "no user is named, and this process's has no name")?);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            let port = config.get_ports().first().copied().unwrap_or(5432);
            config.host(default_host(port));
        }
        Ok(Self { config, schema, tls, passfile })
    }

    /// How to connect. Where no password is known, a file may tell it.
    pub(super) fn config(&self) -> Config {
        let mut config = self.config.clone();
        if config.get_password().is_none() {
            let told = self.passfile.as_ref().and_then(|file| passfile::password(file, &config));
            told.map(|password| config.password(password));
        }
        config
    }

    /// For messages: without secrets.
    pub(super) fn place(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(folder)) => folder.display().to_string(),
            None => "localhost".into(),
        };
        let port = self.config.get_ports().first().filter(|port| **port != 5432);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let database = self.config.get_dbname().or_else(|| self.config.get_user()).unwrap_or_default();
        let schema = if self.schema == SCHEMA { String::new() } else { format!("?schema={}", self.schema) };
        format!("postgres://{host}{port}/{database}{schema}")
    }
}

/// A socket on this machine where servers have theirs, or else a server that listens on it.
fn default_host(port: u16) -> &'static str {
    let is_there = |folder: &&&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKETS.iter().find(is_there).copied().unwrap_or("localhost")
}

fn malformed(why: &str) -> LogError {
    unreadable(&format!("{why}; {FORMS}"))
}

fn unreadable(why: &str) -> LogError {
    let source = why.into();
    LogError::Unavailable { operation: "read the connection string".into(), source, retry: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(text: &str) -> Result<Target, LogError> {
        Target::of(&PostgresOptions::new(text))
    }

    fn within(text: &str, variables: &[(&str, &str)]) -> Target {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut options = PostgresOptions::new(text);
        options.surroundings = Surroundings::new(&variables.collect());
        Target::of(&options).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn both_forms_may_name_a_schema() {
        for (text, place, password) in [
            (
                "postgres://u:p@db:6000/shop?schema=eu&sslmode=disable",
                "postgres://db:6000/shop?schema=eu",
                Some("p"),
            ),
            ("postgresql://u@db/shop?schema=eu", "postgres://db/shop?schema=eu", None),
            ("postgres://u@db/shop", "postgres://db/shop", None),
            (
                "host=db schema=eu user=u password='a schema=b' dbname=shop",
                "postgres://db/shop?schema=eu",
                Some("a schema=b"),
            ),
            ("host=db user=u", "postgres://db/u", None),
        ] {
            let target = target(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.place(), place, "{text}");
            assert_eq!(target.config().get_password(), password.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn what_the_string_does_not_say_the_variables_do() {
        let variables = [("PGHOST", "db"), ("PGPORT", "6000"), ("PGUSER", "ada"), ("PGPASSWORD", "p")];
        assert_eq!(within("postgres://", &variables).place(), "postgres://db:6000/ada");
        let target = within("postgres://eve:q@other:5432/shop", &variables);
        assert_eq!(target.place(), "postgres://other/shop");
        assert_eq!(target.config().get_password(), Some(&b"q"[..]));
    }

    #[test]
    fn a_password_may_stand_in_a_file() {
        let home = tempfile::tempdir().expect("a folder is made");
        let write = |name: &str, text: &str| {
            let file = home.path().join(name);
            std::fs::write(&file, text).expect("written");
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("set");
            file.display().to_string()
        };
        write(".pgpass", "db:*:*:ada:at home");
        let named = write("named", "*:*:shop:*:in a file");
        let (home, url) = (home.path().display().to_string(), "postgres://ada@db/shop");
        let password = |text: &str, variables: &[(&str, &str)]| {
            let config = within(text, variables).config();
            config.get_password().map(|password| String::from_utf8_lossy(password).into_owned())
        };
        assert_eq!(password(url, &[("HOME", &home)]).as_deref(), Some("at home"));
        let variables = [("HOME", home.as_str()), ("PGPASSFILE", named.as_str())];
        assert_eq!(password(url, &variables).as_deref(), Some("in a file"));
        assert_eq!(password("postgres://ada:own@db/shop", &variables).as_deref(), Some("own"));
        assert_eq!(password(&format!("{url}?passfile={named}"), &[]).as_deref(), Some("in a file"));
        assert_eq!(password(url, &[]), None);
    }

    #[test]
    fn who_names_no_user_is_the_one_that_the_process_runs_as() {
        let user = whoami::username().expect("it has a name");
        assert_eq!(within("host=db", &[]).config().get_user(), Some(user.as_str()));
    }

    #[test]
    fn what_is_no_name_of_a_schema_is_refused() {
        for schema in ["", "a-b", "a;b", &"a".repeat(64)] {
            let error = target(&format!("postgres://db/shop?schema={schema}")).err().expect(schema);
            assert!(error.to_string().contains("the name of a schema"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}", tail in "[ '=?&a-z\\\\]{0,30}") {
            for text in [text.clone(), format!("postgres://{text}"), format!("host=db {tail}")] {
                match target(&text) {
                    Ok(target) => prop_assert!(target.place().starts_with("postgres://")),
                    Err(error) => prop_assert!(error.to_string().ends_with(FORMS)),
                }
            }
        }
    }
}
