//! `yaml`: YAML 1.2, read and written.

use crate::documents::{read, write};
use crate::registry::Registry;
use mlua::Value;
use saphyr::{Scalar, Yaml, YamlEmitter};
use saphyr_parser::{Event, Parser};
use serde_json::{Map, Number, Value as Json};
use std::collections::HashMap;

/// As deep as JSON may be.
const DEEPEST: usize = 64;

/// Values that the aliases of one text may stand for.
const MOST_REPEATED: usize = 10_000;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("decode", |call, text| {
        read(call, text, |text| {
            let mut documents = documents(text)?;
            match documents.len() {
                0 | 1 => Ok(documents.pop().unwrap_or(Json::Null)),
                n => Err(format!("{n} documents: yaml.decode_all reads them")),
            }
        })
    })?;
    to.add_later("decode_all", |call, text| read(call, text, |text| Ok(Json::Array(documents(text)?))))?;
    to.add_later("encode", |call, value: Value| {
        write(call, value, |json| {
            let mut out = String::new();
            YamlEmitter::new(&mut out).dump(&emitted(&json)).map_err(|error| error.to_string())?;
            Ok(format!("{}\n", out.strip_prefix("---\n").unwrap_or(&out)))
        })
    })
}

fn documents(text: &str) -> Result<Vec<Json>, String> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| format!("line {}: {}", e.marker().line(), e.info()))?;
        reader.take(event).map_err(|error| format!("line {}: {error}", span.start.line()))?;
    }
    Ok(reader.documents)
}

#[derive(Default)]
struct Reader {
    documents: Vec<Json>,
    open: Vec<(usize, Open)>,
    anchors: HashMap<usize, (Json, usize)>,
    /// Values that aliases stood for so far.
    repeated: usize,
}

/// A list or a mapping whose end has not come yet.
enum Open {
    List(Vec<Json>),
    Map(Map<String, Json>, Option<String>),
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let shown = text.to_string();
                let scalar = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref());
                let scalar = scalar.ok_or_else(|| format!("{shown:?} is not what its tag says"))?;
                self.close(json_of(scalar)?, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Open::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, Open::Map(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((anchor, Open::List(items))) => self.close(Json::Array(items), anchor),
                Some((anchor, Open::Map(pairs, _))) => self.close(Json::Object(pairs), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (value, size) = known.ok_or("an alias to what is not complete yet")?;
                self.repeated += size;
                if self.repeated > MOST_REPEATED {
                    return Err(format!("aliases stand for more than {MOST_REPEATED} values"));
                }
                self.close(value, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, open: Open) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!("nested more than {DEEPEST} levels deep"));
        }
        self.open.push((anchor, open));
        Ok(())
    }

    /// A value is complete: it goes where the innermost open one wants it.
    fn close(&mut self, value: Json, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            let size = size_of(&value);
            self.anchors.insert(anchor, (value.clone(), size));
        }
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some((_, Open::List(items))) => items.push(value),
            Some((_, Open::Map(pairs, key))) => match key.take() {
                None => *key = Some(key_of(value)?),
                Some(key) if pairs.contains_key(&key) => return Err(format!("key {key:?} stands twice")),
                Some(key) => drop(pairs.insert(key, value)),
            },
        }
        Ok(())
    }
}

fn size_of(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Json::Object(pairs) => 1 + pairs.values().map(size_of).sum::<usize>(),
        _ => 1,
    }
}

fn json_of(scalar: Scalar<'_>) -> Result<Json, String> {
    Ok(match scalar {
        Scalar::Null => Json::Null,
        Scalar::Boolean(is) => Json::Bool(is),
        Scalar::Integer(n) => Json::Number(n.into()),
        Scalar::FloatingPoint(n) => {
            Json::Number(Number::from_f64(n.into()).ok_or_else(|| format!("{n} has no JSON form"))?)
        }
        Scalar::String(text) => Json::String(text.into_owned()),
    })
}

fn key_of(value: Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text),
        Json::Array(_) | Json::Object(_) => Err("a key is no text".to_owned()),
        other => Ok(other.to_string()),
    }
}

fn emitted(json: &Json) -> Yaml<'_> {
    match json {
        Json::Null => Yaml::Value(Scalar::Null),
        Json::Bool(is) => Yaml::Value(Scalar::Boolean(*is)),
        Json::Number(n) => Yaml::Value(match n.as_i64() {
            Some(n) => Scalar::Integer(n),
            None => Scalar::FloatingPoint(n.as_f64().unwrap_or_default().into()),
        }),
        Json::String(text) => Yaml::Value(Scalar::String(text.as_str().into())),
        Json::Array(items) => Yaml::Sequence(items.iter().map(emitted).collect()),
        Json::Object(pairs) => {
            let key = |key: &'_ str| Yaml::Value(Scalar::String(key.to_owned().into()));
            Yaml::Mapping(pairs.iter().map(|(name, value)| (key(name), emitted(value))).collect())
        }
    }
}
