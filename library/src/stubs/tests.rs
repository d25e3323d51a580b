use super::*;
use crate::MODULES;
use std::path::Path;
use weir_schema::testing::assert_golden;

#[test]
fn the_documentation_of_the_modules_is_fresh() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lua");
    let stubs: Vec<_> = all().collect();
    for stub in &stubs {
        assert_golden(&docs.join(format!("{}.md", stub.name)), &page(stub));
    }
    assert_golden(&docs.join("README.md"), &index(&stubs));
    assert_golden(&docs.join("../llms.txt"), &assistants(&stubs));
}

#[test]
fn every_module_has_a_stub_that_says_what_it_is_for_and_shows_it() {
    let stubs: Vec<_> = all().collect();
    for module in MODULES {
        assert!(stubs.iter().any(|s| s.name == module.name), "library/lua/{}.lua is missing", module.name);
    }
    for (stub, (file, _)) in stubs.into_iter().zip(STUBS) {
        let name = &stub.name;
        assert_eq!(name, file, "the module that library/lua/{file}.lua names");
        assert!(!stub.about.is_empty(), "{name} does not say what it is for");
        assert!(stub.examples().iter().any(|e| e.contains(" --> ")), "{name} has no example that is checked");
        for item in stub.items {
            assert!(!item.about.is_empty(), "{} has no description", item.name);
        }
    }
}

#[test]
fn a_stub_is_read_with_its_types_names_and_words() {
    let text = "---@meta m\n\n--- What it is for.\n---@class m\n---@field null any what null is\nlocal m = {}\n\n\
                --- Does.\n---@param a string what\n---@param f? fun(x: string): string\n\
                ---@return table<string, integer>? found what was found\n---@return string? err\n\
                function m.does(a, f) end\n\nreturn m\n";
    let stub = Stub::parse(text).expect("a stub");
    let named = |name: &str, kind: &str, about: &str| Named {
        name: name.to_owned(),
        kind: kind.to_owned(),
        about: about.to_owned(),
    };
    assert_eq!(stub.about, "What it is for.");
    assert_eq!(stub.members().collect::<Vec<_>>(), ["null", "does"]);
    let params = vec![named("a", "string", "what"), named("f?", "fun(x: string): string", "")];
    let returns =
        vec![named("found", "table<string, integer>?", "what was found"), named("err", "string?", "")];
    assert_eq!(stub.items[1].kind, Kind::Function(params, returns));
}

#[test]
fn what_is_no_stub_is_refused_with_its_line() {
    let cases = [
        ("---@meta m\nfunction m.f(a) end\n", "line 2: parameters"),
        ("---@meta m\n--- about nothing\n\n", "line 3: a comment that describes nothing"),
        ("---@meta m\nprint(1)\n", "line 2: no line of a stub"),
        ("---@mata m\n", "line 1: no tag"),
        ("local m = {}\n", "no line `---@meta NAME`"),
    ];
    for (text, expected) in cases {
        let error = Stub::parse(text).expect_err(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}
