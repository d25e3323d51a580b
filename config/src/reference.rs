//! `docs/config.md`, made from the table of keys. Only a test makes it: the text is part of the repository.

use crate::{Fallback, KEYS, Key};
use std::fmt::Write as _;

const HEAD: &str = "\
# Configuration

<!-- Made from the table in config/src/keys.rs: `UPDATE=1 cargo test -p weir-config` writes it anew. -->

Everything stands in `config/application.yml`. `weir check` reports every mistake in it at once, and `weir config show`
prints each effective value and where it came from.

- A key without a value has its default.
- Keys outside `weir:` match without case, as in Spacer. Unknown keys under `weir:` are errors; elsewhere they are
  warnings, but errors when they are a letter away from a known key.
- Values may hold `${VAR}`, `${VAR:-default}` and `${file:PATH}` (from the project's folder); `$${` is a literal `${`.
  A variable that is empty counts as not set.
- Durations are a whole number and a unit: `500ms`, `30s`, `10m`, `24h`, `30d`. Sizes likewise: `64KiB`, `20MB`; the
  units are B, KB, MB, GB (powers of 1000) and KiB, MiB, GiB (powers of 1024).
- Addresses are `HOST:PORT` with an IP address or `localhost`; `:PORT` is all interfaces; port 0 picks a free one.
- `NAME` in a key stands for a name of yours. A trigger is named `TOPIC/FUNCTION`, split at the first slash.
";

const SECTIONS: &[(&str, &str)] = &[
    ("Application", ""),
    ("Topics", "weir.topics"),
    ("Triggers", "weir.triggers"),
    ("Limits", "weir.limits"),
    ("Limits of one function", "weir.functions"),
    ("Determinism", "weir.determinism"),
    ("HTTP", "weir.http"),
    ("Requests of functions", "weir.outbound"),
    ("Admin API", "weir.admin"),
    ("Probes", "weir.health"),
    ("Write proxy", "weir.writeProxy"),
    ("Telemetry", "weir.telemetry"),
    ("Data", "weir.dataDir"),
];

const POSTGRES: &str = "
## How a PostgreSQL server is connected to

`connString` and `--log` take `postgres://USER:PASSWORD@HOST:PORT/DATABASE?NAME=VALUE&…` or `host=… dbname=… user=…`, as
libpq reads them: every part of a URL may be percent-encoded, and several hosts are tried in turn. Any part may be left
out, all of them in `postgres://`.

| parameter | variable | without both |
|---|---|---|
| `host`, `hostaddr` | `PGHOST`, `PGHOSTADDR` | a socket in `/var/run/postgresql` or `/tmp`, else `localhost` |
| `port` | `PGPORT` | 5432 |
| `dbname` | `PGDATABASE` | the user's name |
| `user` | `PGUSER` | the user that weir runs as |
| `password` | `PGPASSWORD` | from the password file |
| `passfile` | `PGPASSFILE` | `~/.pgpass`, if only its owner may read it; the first host that a line fits decides |
| `sslmode` | `PGSSLMODE` | `prefer`; others: `disable`, `require`, `verify-ca`, `verify-full` |
| `sslrootcert` | `PGSSLROOTCERT` | the certificates that the system trusts, as with `system` |
| `sslnegotiation` | `PGSSLNEGOTIATION` | `postgres` |
| `channel_binding` | `PGCHANNELBINDING` | `prefer` |
| `connect_timeout` (seconds) | `PGCONNECT_TIMEOUT` | 5 |
| `tcp_user_timeout` (milliseconds) | | 5000 |
| `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_retries` | | on, 15 s, 5 s, 3 times |
| `options` | `PGOPTIONS` | none |
| `application_name` | `PGAPPNAME` | `weir` |
| `target_session_attrs` | `PGTARGETSESSIONATTRS` | `any` |
| `load_balance_hosts` | `PGLOADBALANCEHOSTS` | `disable` |
| `schema` | | `weir`: the schema that holds the log, made if there is none; applications with schemas of their own share a database |

What the string says wins over a variable. Service files and client certificates are not served: where a variable asks
for them (`PGSERVICE`, `PGSSLCERT`, `PGREQUIREAUTH`, …), weir names it and does not start. Connections are encrypted but
nobody is verified with `require`; `require` with `sslrootcert` is `verify-ca`, as in libpq.
";

/// The text of `docs/config.md`.
fn reference() -> String {
    let mut out = HEAD.to_owned();
    for (title, prefix) in SECTIONS {
        out.push_str(&format!("\n## {title}\n"));
        for key in KEYS.iter().filter(|key| section_of(key) == *prefix) {
            describe(&mut out, key);
        }
    }
    out.push_str(POSTGRES);
    out
}

/// The longest prefix that has a section; "" is the application's.
fn section_of(key: &Key) -> &'static str {
    let is_in = |prefix: &str| key.path == prefix || key.path.starts_with(&format!("{prefix}."));
    SECTIONS
        .iter()
        .map(|(_, prefix)| *prefix)
        .find(|prefix| !prefix.is_empty() && is_in(prefix))
        .unwrap_or("")
}

fn describe(out: &mut String, key: &Key) {
    let path = key.path.replace('*', "NAME");
    let default = match key.fallback {
        Fallback::Value("") => "`\"\"`".to_owned(),
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Absent(words) => words.to_owned(),
        Fallback::Required => "none, it must be said".to_owned(),
    };
    let variable =
        key.variable.map(|name| format!(" The variable `{name}` wins over the file.")).unwrap_or_default();
    let Key { kind, meaning, example, .. } = key;
    let text = format!(
        "\n### `{path}`\n{meaning}.{variable}\n\n- Type: {kind}\n- Default: {default}\n- Example: `{example}`\n"
    );
    write!(out, "{text}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_documentation_of_the_keys_is_fresh() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.md");
        weir_schema::testing::assert_golden(&path, &reference());
    }

    #[test]
    fn every_key_has_a_section_and_every_section_keys() {
        let text = reference();
        for key in KEYS {
            assert!(text.contains(&format!("### `{}`\n", key.path.replace('*', "NAME"))), "{}", key.path);
        }
        for (title, prefix) in SECTIONS {
            assert!(KEYS.iter().any(|key| section_of(key) == *prefix), "{title}");
        }
    }
}
