//! `csv`, `yaml`, `xml` and `template`.

use crate::{check, project};
use weir_runtime::test_support::{Bench, value};

#[tokio::test]
async fn yaml_is_read_by_the_core_schema_and_within_bounds() {
    check(&[
        (
            "return yaml.decode('[1, 0x10, 1.5, yes, true, ~, \"1\", !!str 2, 2026-11-21]')",
            r#"[1,16,1.5,"yes",true,null,"1","2","2026-11-21"]"#,
        ),
        ("return yaml.decode('a: &x {b: 1}\\nc: *x')", r#"{"a":{"b":1},"c":{"b":1}}"#),
        ("return yaml.decode('1: a\\ntrue: b')", r#"{"1":"a","true":"b"}"#),
        ("return yaml.decode_all('a\\n---\\nb\\n')", r#"["a","b"]"#),
        ("return list(yaml.decode('a\\n---\\nb\\n'))", r#"[null,"2 documents: yaml.decode_all reads them"]"#),
        ("return list(yaml.decode('a: 1\\na: 2'))", r#"[null,"line 2: key \"a\" stands twice"]"#),
        ("return list(yaml.decode(('['):rep(1000)))", r#"[null,"line 1: recursion limit exceeded"]"#),
        ("return list(yaml.decode('a: !!int x'))", r#"[null,"line 1: \"x\" is not what its tag says"]"#),
        ("return list(yaml.decode('[.inf]'))", r#"[null,"line 1: inf has no JSON form"]"#),
        ("return list(yaml.decode('\\255'))", r#"[null,"not UTF-8 at byte 0"]"#),
        (
            "local v = {a = {1, {b = 'x: y'}}, c = '', d = json.null, e = 'true', f = '1', g = 'a\\nb'}
             local text = yaml.encode(v) assert(yaml.encode(yaml.decode(text)) == text) return text",
            r#""a:\n  - 1\n  - b: \"x: y\"\nc: \"\"\nd: ~\ne: \"true\"\nf: \"1\"\ng: \"a\\nb\"\n""#,
        ),
        ("yaml.encode({print})", "app/main.lua:1: yaml.encode: at [1]: a function has no JSON form"),
    ])
    .await;
}

#[tokio::test]
async fn a_bomb_of_aliases_is_refused() {
    let bomb = "local text = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\\n'
        for i = 1, 9 do local alias = '*a' .. i - 1
          text = text .. 'a' .. i .. ': &a' .. i .. ' [' .. (alias .. ', '):rep(9) .. alias .. ']\\n' end
        return list(yaml.decode(text))";
    check(&[(bomb, r#"[null,"line 4: aliases stand for more than 10000 values"]"#)]).await;
}

#[tokio::test]
async fn rows_are_read_and_written_as_spreadsheets_do() {
    check(&[
        ("return csv.decode('a,\"b \"\"c\"\"\\n d\"\\r\\n1,\\r\\n')", r#"[["a","b \"c\"\n d"],["1",""]]"#),
        ("return csv.decode('\\239\\187\\191sku\\n7', {header = true})", r#"[{"sku":"7"}]"#),
        ("return csv.decode('1;2', {separator = ';', columns = {'a', 'b'}})", r#"[{"a":"1","b":"2"}]"#),
        ("return csv.decode('')", "[]"),
        ("return csv.encode({{b = 1, a = true}, {a = 'x'}}, {header = true})", r#""a,b\r\ntrue,1\r\nx,\r\n""#),
        ("return csv.encode({{'a;b', 1.5}, {json.null}}, {separator = ';'})", r#""\"a;b\";1.5\r\n\"\"\r\n""#),
        ("csv.encode({{{}}})", "app/main.lua:1: csv.encode: row 1: a field is a table; text, a number or a boolean expected"),
        ("csv.decode('', {seperator = ';'})",
            "app/main.lua:1: csv.decode: option seperator = a string: there are header (true or false), separator (one byte) and columns (a list)"),
    ])
    .await;
}

#[tokio::test]
async fn elements_are_read_and_written_and_no_entity_is_expanded() {
    check(&[
        (
            "local a = xml.decode('<?xml version=\"1.0\"?><!DOCTYPE a><!-- c --><a x:k=\"1 &lt; 2\"> <b>t<![CDATA[<&]]>&#228;</b> </a>')
             return {a.name, a.attributes['x:k'], #a.children, a.children[1].name, a.children[1].children}",
            r#"["a","1 < 2",1,"b",["t<&ä"]]"#,
        ),
        ("return list(xml.decode('<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>'))", r#"[null,"byte 33: entity &e; is not known"]"#),
        ("return list(xml.decode('<a/><b/>'))", r#"[null,"byte 4: a second root <b>"]"#),
        ("return list(xml.decode('<a>'))", r#"[null,"<a> does not end"]"#),
        ("return list(xml.decode('x<a/>'))", r#"[null,"byte 0: text outside of an element"]"#),
        ("return list(xml.decode(''))", r#"[null,"there is no element"]"#),
        ("return list(xml.decode(('<a>'):rep(100)))", r#"[null,"byte 90: nested more than 30 elements deep"]"#),
        ("return xml.encode(xml.decode('<a b=\"&quot;\"><c>x &amp; y</c><d/></a>'))", r#""<a b=\"&quot;\"><c>x &amp; y</c><d/></a>""#),
        ("return xml.encode({name = 'a', children = {{name = 'b'}}}, 2)", r#""<a>\n  <b/>\n</a>""#),
        ("xml.encode({name = 'a><b'})", "app/main.lua:1: xml.encode: \"a><b\" is no name of XML"),
        ("xml.encode({children = {}})", "app/main.lua:1: xml.encode: an element has a text as its name"),
    ])
    .await;
}

#[tokio::test]
async fn templates_of_the_project_include_each_other_and_escape_pages() {
    let bench = Bench::new(&[
        (
            "app/main.lua",
            &project(
                "return {template.render('mail.txt', {name = 'A & B'}), template.render('page.html', {name = 'A & B', rows = {1, 2}})}",
            ),
        ),
        ("templates/mail.txt", "Dear {{ name }}"),
        (
            "templates/base.html",
            "<title>{% block title %}{% endblock %}</title>{% block body %}{% endblock %}",
        ),
        ("templates/parts/row.html", "<li>{{ row }}"),
        (
            "templates/page.html",
            "{% extends 'base.html' %}{% block title %}{{ name }}{% endblock %}
{%- block body %}{% for row in rows %}{% include 'parts/row.html' %}{% endfor %}{% endblock %}",
        ),
    ]);
    let expected = r#"["Dear A & B","<title>A &amp; B</title><li>1<li>2"]"#;
    assert_eq!(value(&bench.main("").await), expected);
    assert_eq!(value(&bench.main("").await), expected, "and once they are compiled");
}

#[tokio::test]
async fn another_version_of_the_project_has_its_own_templates() {
    let main = project("return template.render('a.txt')");
    let mut bench = Bench::new(&[("app/main.lua", &main), ("templates/a.txt", "one")]);
    assert_eq!(value(&bench.main("").await), r#""one""#);
    bench.code = std::sync::Arc::new(weir_runtime::Code::from_sources([
        ("app/main.lua", main.as_str()),
        ("templates/a.txt", "two"),
    ]));
    assert_eq!(value(&bench.main("").await), r#""two""#);
}

#[tokio::test]
async fn a_template_that_is_wrong_or_never_ends_says_so() {
    check(&[
        ("template.render('no.html')", "app/main.lua:1: template.render: template \"no.html\" does not exist: it is looked for in the folder templates"),
        ("template.render_text('a\\n{{ b')", "app/main.lua:1: template.render_text: text.html:2: syntax error: unexpected end of input, expected end of variable block"),
        ("template.render_text('{% for a in range(10000) %}{% for b in range(10000) %}{{ b }}{% endfor %}{% endfor %}')",
            "app/main.lua:1: template.render_text: text.html:1: engine ran out of fuel"),
        ("return template.render_text('{{ a|tojson }} {{ b }}', {a = {1, 2}})", r#""[1, 2] ""#),
    ])
    .await;
}
