//! A connection string as names and values, in both forms that libpq reads.

use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// What a string says: of a parameter that comes twice, the last word.
pub(super) type Parameters = BTreeMap<String, String>;

/// Reads `postgres://…` or `key=value …`; in the error: what is wrong, without values.
pub(super) fn parse(text: &str) -> Result<Parameters, String> {
    let url = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let parameters = match url {
        Some(rest) => from_url(rest)?,
        None => from_words(text)?,
    };
    let is_name =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if !parameters.keys().all(is_name) {
        return Err("the name of a parameter has letters from a to z and _".into());
    }
    Ok(parameters)
}

/// The other way: as `key=value …`.
pub(super) fn to_words(parameters: &Parameters) -> String {
    let words = parameters.iter().map(|(name, value)| {
        let is_plain =
            !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || "/._-,".contains(c));
        if is_plain {
            return format!("{name}={value}");
        }
        format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A connection string in the form `key=value …`, to which more can be added.
#[cfg(feature = "conformance")]
pub(crate) fn in_words(conn: &str) -> Result<String, String> {
    parse(conn).map(|said| to_words(&said))
}

/// `[USER[:PASSWORD]@][HOST[:PORT],…][/DATABASE][?NAME=VALUE&…]`
fn from_url(rest: &str) -> Result<Parameters, String> {
    let mut parameters = Parameters::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (hosts, ports): (Vec<_>, Vec<_>) = hosts.split(',').map(host_and_port).unzip();
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { ports.join(",") };
    let said = [("user", user), ("password", password), ("dbname", database), ("port", &ports)];
    let hosts = hosts.join(",");
    for (name, value) in said.into_iter().chain([("host", hosts.as_str())]) {
        if !value.is_empty() {
            parameters.insert(name.to_owned(), decoded(value)?);
        }
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or("a parameter behind ? has no =")?;
        parameters.insert(decoded(name)?, decoded(value)?);
    }
    Ok(parameters)
}

/// `[ADDRESS]:PORT` or `HOST:PORT`.
fn host_and_port(text: &str) -> (&str, &str) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (address, rest.strip_prefix(':').unwrap_or_default());
    }
    text.rsplit_once(':').unwrap_or((text, ""))
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| "what is behind a % is no UTF-8".into())
}

/// `name = value` again and again; a value in quotes may have spaces, and behind a `\` stands what means itself.
fn from_words(text: &str) -> Result<Parameters, String> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').ok_or("a parameter has no =")?;
        let (value, behind) = value(behind.trim_start())?;
        parameters.insert(name.trim_end().to_owned(), value);
        rest = behind.trim_start();
    }
    Ok(parameters)
}

/// The value at the beginning, and what is behind it.
fn value(text: &str) -> Result<(String, &str), String> {
    let (quoted, text) = text.strip_prefix('\'').map_or((false, text), |text| (true, text));
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if c.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted { Err("a ' is not closed".into()) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).into_iter().collect()
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn every_part_of_a_url_may_be_encoded() {
        let url = "postgres://us%40er:p%2Fw%3A@%2Frun%2Fpg/my%20db?sslrootcert=%2Fa%20b.pem&sslmode=require";
        let said = [
            ("dbname", "my db"),
            ("host", "/run/pg"),
            ("password", "p/w:"),
            ("sslmode", "require"),
            ("sslrootcert", "/a b.pem"),
            ("user", "us@er"),
        ];
        assert_eq!(read(url), pairs(said));
    }

    #[test]
    fn a_url_may_leave_everything_out_and_name_several_hosts() {
        assert_eq!(read("postgres://"), pairs([]));
        assert_eq!(read("postgresql:///shop"), pairs([("dbname", "shop")]));
        assert_eq!(read("postgres://a:1,b"), pairs([("host", "a,b"), ("port", "1,")]));
        assert_eq!(read("postgres://[::1]:2/x"), pairs([("dbname", "x"), ("host", "::1"), ("port", "2")]));
        assert_eq!(read("postgres://db?host=other"), pairs([("host", "other")]));
    }

    #[test]
    fn words_may_be_quoted_and_spaced() {
        let text = r" host = db password='it\'s a \\' user=a\ b options='-c a=1' ";
        let said = [("host", "db"), ("options", "-c a=1"), ("password", r"it's a \"), ("user", "a b")];
        assert_eq!(read(text), pairs(said));
        assert_eq!(read("host='' user=u"), pairs([("host", ""), ("user", "u")]));
    }

    #[test]
    fn what_is_neither_form_is_refused_without_its_values() {
        for text in [
            "s3cret",
            "password='s3cret",
            "postgres://db?s3cret",
            "postgres://%ff:s3cret@db",
            "postgres://db?a%3D=s3cret",
        ] {
            let why = parse(text).expect_err(text);
            assert!(!why.contains("s3cret"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_as_words_is_read_again(
            parameters in proptest::collection::btree_map("[a-z_]{1,8}", ".{0,12}", 0..5)
        ) {
            prop_assert_eq!(parse(&to_words(&parameters)), Ok(parameters));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            for text in [text.clone(), format!("postgres://{text}")] {
                match parse(&text) {
                    Ok(said) => prop_assert_eq!(parse(&to_words(&said)), Ok(said)),
                    Err(why) => prop_assert!(!why.is_empty()),
                }
            }
        }
    }
}
