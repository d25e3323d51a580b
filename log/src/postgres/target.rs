//! Which server, which database, which schema: read from a connection string.

use super::tls::Tls;
use crate::LogError;
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
    pub(super) config: Config,
    pub(super) schema: String,
    pub(super) tls: Tls,
}

impl Target {
    /// Reads `postgres://…` or `key=value …`, as libpq does, with one more parameter: `schema`.
    pub(super) fn parse(text: &str) -> Result<Self, LogError> {
        let (rest, [schema, mode, root]) = take(text, ["schema=", "sslmode=", "sslrootcert="]);
        let tls = Tls::parse(mode, root).map_err(|why| malformed(&why))?;
        // an error names a key of the string or what is wrong with it, never a value
        let mut config: Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            malformed(&why)
        })?;
        config.ssl_mode(tls.mode());
        let schema = schema.unwrap_or(SCHEMA);
        let is_name = schema.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if schema.is_empty() || !is_name || schema.len() > NAME {
            return Err(malformed("the name of a schema has up to 63 letters, digits and _"));
        }
        Ok(Self { config, schema: schema.to_owned(), tls })
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

/// The string without the parameters that are not for the driver, and their values.
fn take<'t, const N: usize>(text: &'t str, names: [&str; N]) -> (String, [Option<&'t str>; N]) {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (head, parameters, separator) = match text.split_once('?') {
        Some((head, query)) if is_url => (head, query.split('&').collect(), "&"),
        None if is_url => return (text.to_owned(), [None; N]),
        _ => ("", words(text), " "),
    };
    let taken = names.map(|name| parameters.iter().find_map(|parameter| parameter.strip_prefix(name)));
    let is_other = |parameter: &&&str| !names.iter().any(|name| parameter.starts_with(name));
    let others: Vec<_> = parameters.iter().filter(is_other).copied().collect();
    let others = others.join(separator);
    (if is_url { format!("{head}?{others}") } else { others }, taken)
}

/// What stands between spaces that are not in quotes.
fn words(text: &str) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let words = text.split(|c: char| {
        let is_end = c.is_whitespace() && !is_quoted && !is_escaped;
        is_quoted ^= c == '\'' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    words.filter(|word| !word.is_empty()).collect()
}

fn malformed(why: &str) -> LogError {
    let source = format!("{why}; {FORMS}").into();
    LogError::Unavailable { operation: "read the connection string".into(), source, retry: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(target.place(), place, "{text}");
            assert_eq!(target.config.get_password(), password.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_schema_is_refused() {
        for schema in ["", "a-b", "a;b", &"a".repeat(64)] {
            let error = Target::parse(&format!("postgres://db/shop?schema={schema}")).err().expect(schema);
            assert!(error.to_string().contains("the name of a schema"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}", tail in "[ '=?&a-z\\\\]{0,30}") {
            for text in [text.clone(), format!("postgres://{text}"), format!("host=db {tail}")] {
                match Target::parse(&text) {
                    Ok(target) => prop_assert!(target.place().starts_with("postgres://")),
                    Err(error) => prop_assert!(error.to_string().ends_with(FORMS)),
                }
            }
        }
    }
}
