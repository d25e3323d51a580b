//! Dependencies point one way: `schema ← config, log, library ← runtime ← triggers ← gateway ← cli`.

use serde_json::Value;
use std::process::Command;

/// Each crate's floor. A crate may use those of lower floors, never one of its own or a higher one.
const FLOORS: [(&str, u32); 10] = [
    ("weir-schema", 0),
    ("weir-config", 1),
    ("weir-library", 1),
    ("weir-log", 1),
    ("weir-runtime", 2),
    ("weir-triggers", 3),
    ("weir-gateway", 4),
    ("weir-cli", 5),
    ("weir-tests", 6),
    ("weir-benches", 6),
];

/// What a crate must not know of.
const FOREIGN: [(&str, &[&str]); 7] = [
    ("weir-schema", &["anyhow", "tokio", "rusqlite", "hyper", "axum", "reqwest", "mlua", "clap"]),
    ("weir-config", &["anyhow", "tokio", "rusqlite", "hyper", "axum", "reqwest", "mlua", "clap"]),
    ("weir-log", &["anyhow", "hyper", "axum", "reqwest", "mlua", "clap"]),
    ("weir-library", &["anyhow", "rusqlite", "axum", "clap"]),
    ("weir-runtime", &["anyhow", "rusqlite", "hyper", "axum", "clap"]),
    ("weir-triggers", &["anyhow", "rusqlite", "hyper", "axum", "mlua", "clap"]),
    ("weir-gateway", &["anyhow", "rusqlite", "mlua", "clap"]),
];

struct Dependency {
    from: String,
    on: String,
    is_dev: bool,
}

#[test]
fn crates_use_only_crates_of_lower_floors() {
    let (members, dependencies) = workspace();
    for member in &members {
        assert!(floor(member).is_some(), "{member} has no floor: give it one in FLOORS");
    }
    // a crate's tests may use the crate itself with more features
    let others = dependencies.iter().filter(|d| !(d.is_dev && d.from == d.on));
    let wrong = others.filter_map(|d| {
        let (from, on) = (floor(&d.from)?, floor(&d.on)?);
        (on >= from).then(|| format!("{} uses {}", d.from, d.on))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn crates_know_nothing_of_what_is_foreign_to_them() {
    let (_, dependencies) = workspace();
    let wrong = dependencies.iter().filter(|d| !d.is_dev).filter_map(|d| {
        let (_, foreign) = FOREIGN.iter().find(|(name, _)| *name == d.from)?;
        foreign.contains(&d.on.as_str()).then(|| format!("{} uses {}", d.from, d.on))
    });
    assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
}

fn floor(name: &str) -> Option<u32> {
    FLOORS.iter().find(|(n, _)| *n == name).map(|(_, floor)| *floor)
}

/// The workspace's crates, and every dependency that they declare.
fn workspace() -> (Vec<String>, Vec<Dependency>) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(weir_tests::repository());
    let output = cargo.output().expect("run cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata are JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let dependencies = packages.iter().flat_map(|package| {
        let all = package["dependencies"].as_array().expect("dependencies");
        all.iter().map(|d| Dependency { from: name(package), on: name(d), is_dev: d["kind"] == "dev" })
    });
    let dependencies: Vec<_> = dependencies.collect();
    assert!(!dependencies.is_empty(), "a workspace without dependencies: this test would hold nothing");
    (packages.iter().map(name).collect(), dependencies)
}
