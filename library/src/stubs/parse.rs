//! Reads a stub, line by line.

use super::{Item, Kind, Named, Stub};

/// The comment above a line of code, taken apart.
#[derive(Default)]
struct Block {
    about: Vec<String>,
    class: Option<String>,
    kind: Option<String>,
    params: Vec<Named>,
    returns: Vec<Named>,
    fields: Vec<Named>,
}

pub(super) fn stub(text: &str) -> Result<Stub, String> {
    let mut stub = Stub::default();
    let mut block = Block::default();
    for (n, line) in (1..).zip(text.lines()) {
        let read = match line.strip_prefix("---") {
            Some(comment) => {
                comment_line(&mut stub, &mut block, comment.strip_prefix(' ').unwrap_or(comment))
            }
            None => code_line(&mut stub, std::mem::take(&mut block), line),
        };
        read.map_err(|error| format!("line {n}: {error}: {line}"))?;
    }
    if stub.name.is_empty() { Err("no line `---@meta NAME`".to_owned()) } else { Ok(stub) }
}

fn comment_line(stub: &mut Stub, block: &mut Block, comment: &str) -> Result<(), String> {
    let Some(tag) = comment.strip_prefix('@') else {
        block.about.push(comment.to_owned());
        return Ok(());
    };
    let (tag, rest) = tag.split_once(' ').unwrap_or((tag, ""));
    match tag {
        "meta" => stub.name = rest.to_owned(),
        "class" => block.class = Some(rest.to_owned()),
        "type" => block.kind = Some(rest.to_owned()),
        "param" => block.params.push(named(rest)),
        "field" => block.fields.push(named(rest)),
        "return" => block.returns.push(returned(rest)),
        "overload" | "nodiscard" => {}
        _ => return Err("no tag that stubs use".to_owned()),
    }
    Ok(())
}

fn code_line(stub: &mut Stub, block: Block, line: &str) -> Result<(), String> {
    let about = block.about.join("\n").trim().to_owned();
    if let Some(class) = block.class {
        // the module's own table is what the stub is about
        if class == stub.name && stub.about.is_empty() {
            stub.about = about;
            let own = class.rsplit('.').next().unwrap_or(&class);
            let kind = |f: Named| Item {
                name: format!("{own}.{}", f.name.trim_end_matches('?')),
                about: f.about,
                kind: Kind::Value(f.kind),
            };
            stub.items.extend(block.fields.into_iter().map(kind));
        } else {
            stub.items.push(Item { name: class, about, kind: Kind::Class(block.fields) });
        }
        return Ok(());
    }
    // `m["repeat"] = function(s) end`, for a name that is a word of Lua's
    let line = &line.replace("[\"", ".").replace("\"] = function", "");
    if let Some(head) = line.strip_prefix("function ").or_else(|| line.ends_with(") end").then_some(line)) {
        let (name, rest) = head.split_once('(').ok_or("no function")?;
        let (params, _) = rest.split_once(") end").ok_or("a stub's function ends on its line")?;
        documented(params, &block.params)?;
        let kind = Kind::Function(block.params, block.returns);
        stub.items.push(Item { name: name.to_owned(), about, kind });
        return Ok(());
    }
    if let Some(kind) = block.kind {
        let (name, _) = line.split_once(" = ").ok_or("a value is expected below its type")?;
        stub.items.push(Item { name: name.to_owned(), about, kind: Kind::Value(kind) });
        return Ok(());
    }
    let is_frame = line.is_empty() || line.starts_with("return ") || line.starts_with("local ");
    match (is_frame, about.is_empty()) {
        (false, _) => Err("no line of a stub".to_owned()),
        (true, false) => Err("a comment that describes nothing".to_owned()),
        (true, true) => Ok(()),
    }
}

/// Each parameter has a line, in the same order.
fn documented(params: &str, described: &[Named]) -> Result<(), String> {
    let names: Vec<_> = params.split(", ").filter(|p| !p.is_empty()).collect();
    let described: Vec<_> = described.iter().map(|p| p.name.trim_end_matches('?')).collect();
    if names == described { Ok(()) } else { Err(format!("parameters {names:?}, described {described:?}")) }
}

/// `NAME TYPE WORDS`.
fn named(text: &str) -> Named {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (kind, about) = split_type(rest);
    Named { name: name.to_owned(), kind: kind.to_owned(), about: about.to_owned() }
}

/// `TYPE NAME WORDS`; the name may be missing, or stand alone.
fn returned(text: &str) -> Named {
    let (kind, rest) = split_type(text);
    let (name, about) = rest.split_once(' ').unwrap_or((rest, ""));
    Named { name: name.to_owned(), kind: kind.to_owned(), about: about.trim_start_matches("# ").to_owned() }
}

/// A type ends at the first blank outside of brackets that does not follow a comma, a colon or a bar.
fn split_type(text: &str) -> (&str, &str) {
    let mut depth = 0_i32;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' | '<' | '{' | '[' => depth += 1,
            ')' | '>' | '}' | ']' => depth -= 1,
            ' ' if depth == 0 && !matches!(before, ',' | ':' | '|') => {
                return (&text[..at], text[at..].trim_start());
            }
            _ => {}
        }
        before = c;
    }
    (text, "")
}
