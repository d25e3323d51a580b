//! The examples of the repository are valid projects: their configuration loads without a warning, what it names
//! exists, and their walk-throughs have the documented shape.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use weir_config::{Config, Flags, Input, Loaded, Mode};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let entries = fs::read_dir(&folder).expect("the examples are part of the repository");
    let mut examples: Vec<_> =
        entries.map(|entry| entry.expect("readable").path()).filter(|p| p.is_dir()).collect();
    examples.sort();
    assert!(!examples.is_empty());
    examples
}

fn load(example: &Path) -> Loaded {
    let text = fs::read_to_string(example.join("config/application.yml")).expect("every example has one");
    let input = Input {
        text: &text,
        name: "config/application.yml",
        mode: Mode::Dev,
        environment: "development",
        variables: &BTreeMap::new(),
        read_file: &|path| fs::read_to_string(example.join(path)),
        flags: &Flags::default(),
    };
    Config::load(&input).unwrap_or_else(|mistakes| panic!("{}:\n{mistakes}", example.display()))
}

#[test]
fn every_example_loads_without_a_warning() {
    for example in examples() {
        assert_eq!(load(&example).warnings, [], "{}", example.display());
    }
}

#[test]
fn every_trigger_of_an_example_has_its_function() {
    for example in examples() {
        for trigger in load(&example).config.triggers {
            let file = example.join(format!("app/{}.lua", trigger.function));
            assert!(file.is_file(), "{} is missing", file.display());
        }
    }
}

#[test]
fn every_walk_through_has_the_documented_shape() {
    for example in examples() {
        let text = fs::read_to_string(example.join("walkthrough.json")).expect("every example has one");
        let steps: Vec<Value> = serde_json::from_str(&text).expect("a list");
        assert!(!steps.is_empty());
        for step in &steps {
            let place = format!("{}: {step}", example.display());
            assert_members(step, &["request", "command", "expect", "eventually"], &place);
            assert!(step["request"].is_object() != step["command"].is_array(), "one of the two: {place}");
            if step["request"].is_object() {
                assert_request(&step["request"], &place);
                assert!(step["expect"]["status"].is_u64(), "{place}");
                assert_members(&step["expect"], &["status", "json"], &place);
            } else {
                assert!(step["expect"]["exit"].is_u64(), "{place}");
                assert_members(&step["expect"], &["exit", "lines"], &place);
            }
        }
    }
}

fn assert_request(request: &Value, place: &str) {
    assert_members(request, &["to", "method", "path", "headers", "body", "text"], place);
    assert!(request["method"].is_string(), "{place}");
    assert!(request["path"].as_str().is_some_and(|path| path.starts_with('/')), "{place}");
    let to = request.get("to").map_or(Some("gateway"), Value::as_str);
    assert!(matches!(to, Some("gateway" | "admin" | "write_proxy")), "{place}");
}

fn assert_members(value: &Value, known: &[&str], place: &str) {
    for name in value.as_object().expect("an object").keys() {
        assert!(known.contains(&name.as_str()), "{name} is not documented: {place}");
    }
}
