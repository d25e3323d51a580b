//! `docs/lua/`, made of the stubs.

use super::{Item, Kind, Named, Stub};
use std::fmt::Write as _;

/// A module's page.
#[must_use]
pub fn page(stub: &Stub) -> String {
    let name = &stub.name;
    let mut out = format!(
        "# {name}\n\n<!-- Made from library/lua/{name}.lua: `UPDATE=1 cargo test -p weir-library` writes it anew. -->\n\n{}\n",
        stub.about
    );
    for item in &stub.items {
        describe(&mut out, item).expect("writing to a string does not fail");
    }
    out
}

/// The list of all pages.
#[must_use]
pub fn index(stubs: &[Stub]) -> String {
    let mut out = INDEX.to_owned();
    for stub in stubs {
        let name = &stub.name;
        let row = writeln!(out, "| [`{name}`]({name}.md) | {} |", summary(&stub.about));
        row.expect("writing to a string does not fail");
    }
    out
}

/// All modules in short, for assistants: what each is for, and its functions with what they do.
#[must_use]
pub fn assistants(stubs: &[Stub]) -> String {
    let mut out = HEAD.to_owned();
    for stub in stubs {
        out.push_str(&format!("## {}\n\n{}.\n", stub.name, summary(&stub.about)));
        for item in stub.items.iter().filter(|item| !matches!(item.kind, Kind::Class(_))) {
            let returns = match &item.kind {
                Kind::Function(_, returns) if !returns.is_empty() => {
                    format!(" → {}", returns.iter().map(|r| r.kind.as_str()).collect::<Vec<_>>().join(", "))
                }
                Kind::Function(..) => String::new(),
                Kind::Class(_) | Kind::Value(_) => ": value".to_owned(),
            };
            out.push_str(&format!("- `{}`{returns}: {}\n", heading(item), summary(&item.about)));
        }
        if let Some(example) = stub.examples().first() {
            out.push_str(&format!("\n```lua\n{example}```\n"));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len() + 1);
    out
}

const HEAD: &str = include_str!("../../lua/llms.md");

const INDEX: &str = "\
# The Lua library

<!-- Made from library/lua/: `UPDATE=1 cargo test -p weir-library` writes it anew. -->

What a function gets by `require \"NAME\"`, but `ctx` and `response`, which are there without. A file of your own with
the name of a module wins (`lib/url.lua`); `require \"weir/NAME\"` is always Weir's. The names that are always Weir's are
`flow`, `topics`, `cjson`, `bit`, `uuid`, `ngx` and `resty.*`.

What can fail at run time returns `nil` and a text. What only a mistake in the code can cause (an argument of another
type) raises an error at the line that calls. Modules cannot be changed, and nothing in them is shared between
invocations but what `cache` holds.

## In the editor

`weir init` writes `.luarc.json`, by which the Lua language server (the extension `Lua` of VS Code, and plugins of others)
completes and checks all this. The types that it names are in `.weir/types`: not part of the project's history, and
written anew by `weir dev` when the program is another version. A project without the file gets it from a new one.
`llms.txt`, which `weir init` writes too, tells an assistant the same in short.

## Modules

| module | |
|---|---|
";

/// The first sentence, without what stands between blanks and line breaks.
pub(crate) fn summary(about: &str) -> String {
    let paragraph: Vec<_> = about.lines().take_while(|l| !l.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").unwrap_or(paragraph.len());
    paragraph[..end].trim_end_matches('.').to_owned()
}

fn describe(out: &mut String, item: &Item) -> std::fmt::Result {
    write!(out, "\n## {}\n", heading(item))?;
    if !item.about.is_empty() {
        write!(out, "\n{}\n", item.about)?;
    }
    match &item.kind {
        Kind::Function(params, returns) => {
            list(out, "", params)?;
            list(out, "Returns:\n", returns)
        }
        Kind::Class(fields) => list(out, "", fields),
        Kind::Value(kind) => write!(out, "\nType: `{kind}`\n"),
    }
}

/// `name(a, b)`, as it is called.
pub(crate) fn heading(item: &Item) -> String {
    match &item.kind {
        Kind::Function(params, _) => {
            let params: Vec<_> = params.iter().map(|p| p.name.as_str()).collect();
            format!("{}({})", item.name, params.join(", "))
        }
        Kind::Class(_) | Kind::Value(_) => item.name.clone(),
    }
}

fn list(out: &mut String, head: &str, entries: &[Named]) -> std::fmt::Result {
    if entries.is_empty() {
        return Ok(());
    }
    write!(out, "\n{head}")?;
    if !head.is_empty() {
        out.push('\n');
    }
    for Named { name, kind, about } in entries {
        out.push_str("- ");
        if !name.is_empty() {
            write!(out, "`{name}`: ")?;
        }
        write!(out, "`{kind}`")?;
        if !about.is_empty() {
            write!(out, ", {about}")?;
        }
        out.push('\n');
    }
    Ok(())
}
