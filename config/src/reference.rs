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
    ("HTTP", "weir.http"),
    ("Admin API", "weir.admin"),
    ("Probes", "weir.health"),
    ("Write proxy", "weir.writeProxy"),
    ("Telemetry", "weir.telemetry"),
    ("Data", "weir.dataDir"),
];

/// The text of `docs/config.md`.
fn reference() -> String {
    let mut out = HEAD.to_owned();
    for (title, prefix) in SECTIONS {
        out.push_str(&format!("\n## {title}\n"));
        for key in KEYS.iter().filter(|key| section_of(key) == *prefix) {
            describe(&mut out, key);
        }
    }
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
        crate::testing::assert_golden(&path, &reference());
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
