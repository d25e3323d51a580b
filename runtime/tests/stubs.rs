//! What the stubs of the Lua library say is so: they name what there is, and their examples do what they show.

use std::collections::BTreeSet;
use weir_library::MODULES;
use weir_library::stubs::{STUBS, all};
use weir_runtime::test_support::{Bench, value};

/// The modules that the runtime makes itself.
const OWN: [&str; 8] = ["topics", "flow", "state", "json", "cjson", "cjson.safe", "log", "bit"];
/// Those in OpenResty's shape; hashes have one for all of them. What `ngx` has, `openresty.rs` compares.
const OPENRESTY: [&str; 4] = ["resty.hmac", "resty.jwt", "resty.sha256", "resty.string"];
/// What is there without `require`.
const GIVEN: [&str; 3] = ["ctx", "ngx", "response"];

#[test]
fn there_is_a_stub_of_each_module_and_no_other() {
    let stubs: BTreeSet<_> = STUBS.iter().map(|(name, _)| *name).collect();
    let there = MODULES.iter().map(|m| m.name).chain(OWN).chain(OPENRESTY).chain(GIVEN);
    assert_eq!(stubs, there.collect());
}

#[tokio::test]
async fn a_stub_names_all_that_its_module_has_and_nothing_else() {
    for stub in all().filter(|s| !GIVEN.contains(&s.name.as_str())) {
        let source = format!(
            "local names = require('json').array()
             for name in require('weir/{}') do names[#names + 1] = name end
             return function() return names end",
            stub.name
        );
        let names = value(&Bench::new(&[("app/main.lua", &source)]).main("").await);
        let there: BTreeSet<String> = serde_json::from_str(&names).expect("a list of names");
        let described: BTreeSet<String> = stub.members().map(str::to_owned).collect();
        assert_eq!(there, described, "the module {}, and what its stub says", stub.name);
    }
}

/// As it stands behind an arrow.
fn shown(line: &str) -> String {
    line.replace('\t', " ").replace('\n', "\\n").replace('\r', "\\r")
}

#[tokio::test]
async fn the_examples_of_the_stubs_do_what_they_show() {
    let mut wrong = Vec::new();
    for stub in all() {
        for example in stub.examples() {
            let bench = Bench::new(&[
                ("app/main.lua", &format!("return function(args, ctx) {example} end")),
                ("app/prices/quote.lua", "return function() return {price = 7} end"),
            ]);
            let outcome = bench.main("{}").await;
            assert!(outcome.result.is_ok(), "{}: {:?}\n{example}", stub.name, outcome.result);
            let printed = bench.host.lines.borrow();
            for (n, line) in (1..).zip(example.lines()) {
                let Some((_, expected)) = line.split_once(" --> ") else { continue };
                let place = format!("app/main.lua:{n}");
                let lines = printed.iter().filter(|l| l.3 == place).map(|l| shown(&l.1));
                let lines: Vec<_> = lines.collect();
                if lines != [expected] {
                    wrong.push(format!("{}: {line}\n  but: {lines:?}", stub.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
