use super::*;
use mlua::Lua;
use proptest::prelude::*;
use serde_json::Value as Tree;

fn json_of(lua: &Lua, json: &Json, source: &str, style: Style) -> Result<String, String> {
    let value: Value = lua.load(source).eval().expect("valid Lua");
    let written = json.to_vec(lua, &value, style).expect("enough memory");
    written.map(|bytes| String::from_utf8(bytes).expect("UTF-8")).map_err(|e| e.to_string())
}

fn engine() -> (Lua, Json) {
    let lua = Lua::new();
    let json = Json::new(&lua, Heap::new(1 << 30)).expect("enough memory");
    lua.globals().set("array", json.array()).expect("a global");
    lua.globals().set("null", Value::NULL).expect("a global");
    (lua, json)
}

/// A JSON tree whose numbers a Lua number holds.
fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        (-(1_i64 << 53)..=(1_i64 << 53)).prop_map(Tree::from),
        // few digits: serde_json is off by one in the last of many (its feature `float_roundtrip` is off)
        (-1_000_000..1_000_000).prop_map(|n| Tree::from(f64::from(n) / 8.0)),
        ".{0,12}".prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|m| Tree::Object(m.into_iter().collect())),
        ]
    })
}

/// Numbers compared as the doubles that they become.
fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::Number(a), Tree::Number(b)) => a.as_f64() == b.as_f64(),
        (Tree::Array(a), Tree::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Tree::Object(a), Tree::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn whole_numbers_are_read_as_they_stand() {
    let (lua, json) = engine();
    let text = "[0,-0,7,-12,999999999999999,-999999999999999,1000000000000000,9007199254740992]";
    let parsed = json.parse(&lua, text.as_bytes()).expect("memory").expect("valid JSON");
    let written = json.to_vec(&lua, &parsed.value, Style::Strict).expect("memory").expect("writable");
    assert_eq!(String::from_utf8(written).expect("UTF-8"), text.replace("-0,", "-0.0,"));
}

proptest! {
    #[test]
    fn what_is_read_and_written_again_is_what_serde_reads(tree in tree()) {
        let (lua, json) = engine();
        let text = tree.to_string();
        let parsed = json.parse(&lua, text.as_bytes()).expect("memory").expect("valid JSON");
        prop_assert_eq!(parsed.inexact, None);
        let written = json.to_vec(&lua, &parsed.value, Style::Strict).expect("memory").expect("writable");
        let back: Tree = serde_json::from_slice(&written).expect("valid JSON");
        prop_assert!(same(&tree, &back), "{} became {}", text, back);
    }

    #[test]
    fn a_table_that_was_kept_is_written_as_its_own_bytes(tree in tree()) {
        let (lua, json) = engine();
        let text = serde_json::to_string_pretty(&tree).expect("a tree has a JSON form");
        let parsed = json.parse_kept(&lua, text.as_bytes()).expect("memory").expect("valid JSON");
        prop_assume!(parsed.value.is_table());
        let written = json.to_vec(&lua, &parsed.value, Style::Strict).expect("memory").expect("writable");
        prop_assert_eq!(String::from_utf8(written).expect("UTF-8"), text);
    }

    #[test]
    fn any_bytes_are_read_as_serde_reads_them_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let (lua, json) = engine();
        let ours = json.parse(&lua, &bytes).expect("memory").is_ok();
        prop_assert_eq!(ours, serde_json::from_slice::<Tree>(&bytes).is_ok());
    }

    #[test]
    fn texts_that_look_like_json_are_read_as_serde_reads_them(text in r#"[\[\]{}:,"\\0-9eE.+u d8-cntrfalse-]{0,24}"#) {
        let (lua, json) = engine();
        let ours = json.parse(&lua, text.as_bytes()).expect("memory").is_ok();
        prop_assert_eq!(ours, serde_json::from_str::<Tree>(&text).is_ok(), "{}", text);
    }
}

#[test]
fn values_without_a_json_form_are_errors_that_name_the_path() {
    let (lua, json) = engine();
    let cases = [
        ("return {a = {b = {1, 2, x = 3}}}", "at a.b: a table is a list"),
        ("return {1, nil, 3}", "a list with holes: 2 of 3 items"),
        ("return {items = {{id = 0/0}}}", "at items[1].id: a number must not be NaN"),
        ("return {1, 1/0}", "at [2]: a number must not be NaN or infinite"),
        ("return {f = print}", "at f: a function has no JSON form"),
        ("return {['\\255'] = 1}", "a string that is not UTF-8"),
        ("return {s = '\\255'}", "at s: a string that is not UTF-8"),
        ("local t = {} t.t = t return t", "nested deeper than 64"),
        ("return {[2.5] = 1}", "a table is a list"),
        ("return {u = newproxy()}", "at u: a userdata has no JSON form"),
    ];
    for (source, expected) in cases {
        let error = json_of(&lua, &json, source, Style::Strict).expect_err(source);
        assert!(error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn lists_objects_and_numbers_have_the_documented_forms() {
    let (lua, json) = engine();
    let cases = [
        ("return {}", "{}"),
        ("return setmetatable({}, array)", "[]"),
        ("return {1, 2, 3}", "[1,2,3]"),
        ("return {n = null}", r#"{"n":null}"#),
        ("return 9007199254740992", "9007199254740992"),
        ("return {3.0, -0.0, 1e20, 0.1}", "[3,-0.0,1e20,0.1]"),
        // a list whose items were not put in order
        ("local t = {} for i = 5, 1, -1 do t[i] = i end return t", "[1,2,3,4,5]"),
        ("return 'a\"\\n\\1\\\\'", r#""a\"\n\u0001\\""#),
        ("return nil", "null"),
    ];
    for (source, expected) in cases {
        assert_eq!(json_of(&lua, &json, source, Style::Strict).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn a_list_that_was_read_stays_one_when_it_is_emptied() {
    let (lua, json) = engine();
    let text = br#"{"a":[1],"b":[[2],{"c":[3]}],"o":{"x":1}}"#;
    lua.globals().set("t", json.parse(&lua, text).unwrap().unwrap().value).unwrap();
    let empty = "table.remove(t.a) t.b[1][1] = nil table.remove(t.b[2].c) t.o.x = nil return t.KEY";
    for (key, expected) in [("a", "[]"), ("b", r#"[[],{"c":[]}]"#), ("o", "{}")] {
        let source = empty.replace("KEY", key);
        assert_eq!(json_of(&lua, &json, &source, Style::Strict).as_deref(), Ok(expected), "{key}");
        assert_eq!(json_of(&lua, &json, &source, Style::CJSON).as_deref(), Ok(expected), "{key}");
    }
    let object = "local t = t.a t.x = 1 return t";
    assert_eq!(json_of(&lua, &json, object, Style::Strict).as_deref(), Ok(r#"{"x":1}"#), "keys decide");
}

#[test]
fn cjson_writes_number_keys_and_holes_until_they_are_too_many() {
    let (lua, json) = engine();
    let cases = [
        ("return {1, 2, nil, 4}", Ok("[1,2,null,4]")),
        ("return {[1] = 1, x = 2}", Ok(r#"{"1":1,"x":2}"#)),
        ("return {[2.5] = 1}", Ok(r#"{"2.5":1}"#)),
        (
            "return {0.1 + 0.2, 1 / 3, 1e-7, 123456.789, -2.5e20, 2 ^ 53}",
            Ok("[0.3,0.33333333333333,1e-07,123456.789,-2.5e+20,9007199254740992]"),
        ),
        ("return {[1] = 1, [1000] = 2}", Err("excessively sparse")),
        ("return {[true] = 1}", Err("table key must be a number or string")),
    ];
    for (source, expected) in cases {
        match (json_of(&lua, &json, source, Style::CJSON), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected, "{source}"),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{source}: {error}"),
            (got, _) => panic!("{source}: {got:?}"),
        }
    }
}

#[test]
fn an_integer_beyond_two_to_the_53rd_is_noticed_with_its_path() {
    let (lua, json) = engine();
    let at = |text: &str| {
        let parsed = json.parse(&lua, text.as_bytes()).expect("memory").expect("valid JSON");
        parsed.inexact.map(|at| path_at(text.as_bytes(), at))
    };
    assert_eq!(at(r#"{"a": 9007199254740992}"#), None);
    assert_eq!(at(r#"{"a": 9007199254740993}"#).as_deref(), Some("a"));
    assert_eq!(
        at(r#"{"x": {"y": "}"}, "items": [1, {"id": -9007199254740993}]}"#).as_deref(),
        Some("items[2].id")
    );
    assert_eq!(at("18446744073709551616").as_deref(), Some(""));
    assert_eq!(at("[1.5e300]"), None);
}

#[test]
fn a_kept_table_that_was_changed_is_written_anew() {
    let (lua, json) = engine();
    let written = |change: &str| {
        let parsed = json.parse_kept(&lua, br#"{"id": 9007199254740993, "list": [1.0]}"#);
        let value = parsed.expect("memory").expect("valid JSON").value;
        let change: mlua::Function = lua.load(change).eval().expect("valid Lua");
        let value: Value = change.call(value).expect("runs");
        let written = json.to_vec(&lua, &value, Style::Strict).expect("memory").expect("writable");
        String::from_utf8(written).expect("UTF-8")
    };
    let source = r#"{"id": 9007199254740993, "list": [1.0]}"#;
    assert_eq!(written("return function(t) return t end"), source);
    assert_eq!(written("return function(t) return {t} end"), format!("[{source}]"));
    assert!(!written("return function(t) t.x = 1 return t end").contains("9007199254740993"));
    assert!(!written("return function(t) t.list[2] = 1 return t end").contains("9007199254740993"));
    assert!(!written("return function(t) t.list = nil return t end").contains("9007199254740993"));
    assert!(!written("return function(t) t.id = t.id + 2 return t end").contains("9007199254740993"));
}
