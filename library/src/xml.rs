//! `xml`: elements, read and written.

use crate::documents::{read, write};
use crate::registry::Registry;
use mlua::{Table, Value};
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};
use serde_json::{Map, Value as Json, json};

/// Elements in one another. A level takes two in JSON.
const DEEPEST: usize = 30;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("decode", |call, text| read(call, text, element))?;
    to.add_later("encode", |call, (element, indent): (Table, Option<usize>)| {
        write(call, Value::Table(element), move |element| {
            let mut writer = match indent {
                Some(width) => Writer::new_with_indent(Vec::new(), b' ', width.min(8)),
                None => Writer::new(Vec::new()),
            };
            write_element(&mut writer, &element)?;
            String::from_utf8(writer.into_inner()).map_err(|error| error.to_string())
        })
    })
}

/// An element whose end has not come yet.
struct Open {
    name: String,
    attributes: Map<String, Json>,
    children: Vec<Json>,
}

/// The root of a document. Types are not read, so no entity is ever expanded but the five that XML has.
fn element(text: &str) -> Result<Json, String> {
    let mut reader = Reader::from_str(text);
    let (mut open, mut root, mut run): (Vec<Open>, Option<Json>, String) = Default::default();
    loop {
        let at = reader.buffer_position();
        let wrong = |error: String| format!("byte {at}: {error}");
        let event = reader.read_event().map_err(|error| wrong(error.to_string()))?;
        if matches!(event, Event::Start(_) | Event::Empty(_) | Event::End(_)) {
            text_ends(&mut run, open.last_mut());
        }
        match event {
            Event::Start(start) => open.push(opened(&start, open.len()).map_err(wrong)?),
            Event::Empty(start) => {
                close(opened(&start, open.len()).map_err(wrong)?, &mut open, &mut root).map_err(wrong)?
            }
            Event::End(_) => {
                let element = open.pop().ok_or_else(|| wrong("an end without a beginning".to_owned()))?;
                close(element, &mut open, &mut root).map_err(wrong)?;
            }
            Event::Text(text) => run.push_str(&text.xml10_content()),
            Event::CData(text) => run.push_str(&text.xml10_content()),
            Event::GeneralRef(name) => {
                let known = name.resolve_char_ref().map_err(|error| wrong(error.to_string()))?;
                let name = name.xml10_content();
                match known.or_else(|| predefined(&name)) {
                    Some(c) => run.push(c),
                    None => return Err(wrong(format!("entity &{name}; is not known"))),
                }
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
        if open.is_empty() && !run.trim().is_empty() {
            return Err(wrong("text outside of an element".to_owned()));
        }
    }
    match (open.pop(), root) {
        (Some(element), _) => Err(format!("<{}> does not end", element.name)),
        (None, None) => Err("there is no element".to_owned()),
        (None, Some(root)) => Ok(root),
    }
}

fn predefined(name: &str) -> Option<char> {
    let known = [("lt", '<'), ("gt", '>'), ("amp", '&'), ("quot", '"'), ("apos", '\'')];
    known.into_iter().find(|(n, _)| *n == name).map(|(_, c)| c)
}

fn opened(start: &BytesStart<'_>, depth: usize) -> Result<Open, String> {
    if depth >= DEEPEST {
        return Err(format!("nested more than {DEEPEST} elements deep"));
    }
    let mut attributes = Map::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
        attributes.insert(attribute.key.as_ref().to_owned(), value.into());
    }
    Ok(Open { name: start.name().as_ref().to_owned(), attributes, children: Vec::new() })
}

/// Text that is nothing but layout is passed over.
fn text_ends(run: &mut String, open: Option<&mut Open>) {
    let text = std::mem::take(run);
    if let Some(open) = open.filter(|_| !text.trim().is_empty()) {
        open.children.push(text.into());
    }
}

fn close(element: Open, open: &mut [Open], root: &mut Option<Json>) -> Result<(), String> {
    let Open { name, attributes, children } = element;
    let element = json!({"name": name, "attributes": attributes, "children": children});
    match (open.last_mut(), &root) {
        (Some(parent), _) => parent.children.push(element),
        (None, None) => *root = Some(element),
        (None, Some(_)) => return Err(format!("a second root <{name}>")),
    }
    Ok(())
}

fn write_element(writer: &mut Writer<Vec<u8>>, element: &Json) -> Result<(), String> {
    let name = element.get("name").and_then(Json::as_str).ok_or("an element has a text as its name")?;
    let mut start = BytesStart::new(named(name)?);
    for (key, value) in element.get("attributes").and_then(Json::as_object).into_iter().flatten() {
        start.push_attribute((
            named(key)?,
            &*shown(value).ok_or_else(|| format!("attribute {key} is no text"))?,
        ));
    }
    let children = element.get("children").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let written = |result: std::io::Result<()>| result.map_err(|error| error.to_string());
    if children.is_empty() {
        return written(writer.write_event(Event::Empty(start)));
    }
    written(writer.write_event(Event::Start(start)))?;
    for child in children {
        match shown(child) {
            Some(text) => written(writer.write_event(Event::Text(BytesText::new(&text))))?,
            None => write_element(writer, child)?,
        }
    }
    written(writer.write_event(Event::End(BytesEnd::new(name))))
}

/// A name as it may stand in a tag.
fn named(name: &str) -> Result<&str, String> {
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == ':')
        && name.chars().all(|c| c.is_alphanumeric() || "_:.-".contains(c));
    if is_name { Ok(name) } else { Err(format!("{name:?} is no name of XML")) }
}

/// A text, a number or a boolean as text.
fn shown(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}
