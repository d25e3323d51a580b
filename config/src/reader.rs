//! Reads typed values out of the tree, and records where each came from.

use crate::expand::expand;
use crate::keys::{self, Fallback, Key};
use crate::setting::{Said, Setting, Wrong};
use crate::yaml::{Node, Value};
use crate::{Input, Mistake, Origin, Secret};
use std::collections::BTreeMap;

/// One effective value: what `weir config show` prints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The key, with the names that the user chose: `weir.topics.orders.partitions`.
    pub path: String,
    /// The value as it would stand in the file; `***` for a secret.
    pub value: String,
    /// Where it was said.
    pub origin: Origin,
}

/// The tree, and what reading it has come to so far. A value that is wrong is recorded as a mistake and its default
/// returned in its place, so that reading goes on to the next mistake.
pub(crate) struct Reader<'a> {
    pub(crate) input: &'a Input<'a>,
    root: Node,
    pub(crate) entries: Vec<Entry>,
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(root: Node, input: &'a Input<'a>) -> Self {
        Self { input, root, entries: Vec::new(), mistakes: Vec::new(), warnings: Vec::new() }
    }

    /// The value of a key that has a default. `name` stands for the key's `*`.
    pub(crate) fn value<T: Setting>(&mut self, key: &str, name: &str) -> Said<T> {
        let default = match self.key(key).fallback {
            Fallback::Value(text) => text,
            Fallback::Absent(_) | Fallback::Required => unreachable!("{key} has no default in the table"),
        };
        if let Some(said) = self.said(key, name) {
            return said;
        }
        let (text, origin) = self.default_text(default);
        let value = T::parse(&text).or_else(|wrong| {
            self.wrong(origin.clone(), path(key, name), wrong);
            T::parse(default)
        });
        let value = value.unwrap_or_else(|w| unreachable!("the default of {key} is wrong: {}", w.problem));
        self.record::<T>(path(key, name), &text, &origin);
        Said { value, origin }
    }

    /// The value of a key without a default, if it is said. What holds otherwise is recorded in the table's words.
    pub(crate) fn optional<T: Setting>(&mut self, key: &str, name: &str) -> Option<Said<T>> {
        let said = self.said(key, name);
        if said.is_none() {
            self.record_absent(key, name);
        }
        said
    }

    /// What the environment or the file says, if it is what it should be.
    pub(crate) fn said<T: Setting>(&mut self, key: &str, name: &str) -> Option<Said<T>> {
        let (text, origin) = self.text(key, name)?;
        let path = path(key, name);
        match T::parse(&text) {
            Ok(value) => {
                self.record::<T>(path, &text, &origin);
                Some(Said { value, origin })
            }
            Err(wrong) => {
                self.wrong(origin, path, wrong);
                None
            }
        }
    }

    /// The items of a list; none: the key is not said.
    pub(crate) fn list<T: Setting>(&mut self, key: &str, name: &str) -> Option<Vec<Said<T>>> {
        let full = path(key, name);
        let Some(Node { line, value }) = self.node(key, name).cloned() else {
            self.record_absent(key, name);
            return None;
        };
        let origin = self.at(line);
        let Value::List(items) = value else {
            let example = self.key(key).example;
            self.wrong(origin, full, Wrong::new("a list is expected", format!("write it as {example}")));
            return None;
        };
        let mut texts = Vec::new();
        let mut list = Vec::new();
        for item in &items {
            let Some((text, origin)) = self.scalar(item, &full) else { continue };
            match T::parse(&text) {
                Ok(value) => list.push(Said { value, origin }),
                Err(wrong) => self.wrong(origin, full.clone(), wrong),
            }
            texts.push(text);
        }
        let value = format!("[{}]", texts.join(", "));
        self.entries.push(Entry { path: full, value, origin });
        Some(list)
    }

    /// The names and texts below a key that ends with `*`, whose values are secrets where `is_secret` says so.
    pub(crate) fn texts(
        &mut self,
        key: &str,
        name: &str,
        is_secret: impl Fn(&str) -> bool,
    ) -> Vec<(String, String)> {
        let above = key.strip_suffix(".*").unwrap_or(key);
        let Some(Node { value: Value::Map(pairs), .. }) = self.node(above, name).cloned() else {
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (key, node) in pairs {
            let path = format!("{}.{}", path(above, name), key.name);
            let Some((text, origin)) = self.scalar(&node, &path) else { continue };
            let shown = if is_secret(&key.name) { Secret::MASK } else { &text };
            self.show(path, shown, origin);
            texts.push((key.name, text));
        }
        texts
    }

    /// The names that the user wrote below a path, each with its place.
    pub(crate) fn names(&self, path: &[&str]) -> Vec<Said<String>> {
        let Some(Node { value: Value::Map(pairs), .. }) = self.find(path.iter().copied()) else {
            return Vec::new();
        };
        pairs.iter().map(|(key, _)| Said { value: key.name.clone(), origin: self.at(key.line) }).collect()
    }

    /// Where a key stands, if it is in the file.
    pub(crate) fn origin_of(&self, key: &str, name: &str) -> Option<Origin> {
        self.node(key, name).map(|node| self.at(node.line))
    }

    /// The text of a key as it is written, its references not filled in.
    pub(crate) fn written(&self, key: &str, name: &str) -> Option<&str> {
        match &self.node(key, name)?.value {
            Value::Scalar(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The file as a whole: where what is missing belongs.
    pub(crate) fn file(&self) -> Origin {
        Origin::File { name: self.input.name.to_owned(), line: None }
    }

    pub(crate) fn wrong(&mut self, origin: Origin, path: impl Into<String>, wrong: Wrong) {
        let Wrong { problem, remedy } = wrong;
        self.mistakes.push(Mistake { origin, path: path.into(), problem, remedy });
    }

    pub(crate) fn warn(&mut self, origin: Origin, path: impl Into<String>, wrong: Wrong) {
        let Wrong { problem, remedy } = wrong;
        self.warnings.push(Mistake { origin, path: path.into(), problem, remedy });
    }

    /// Records a value that no key holds as such.
    pub(crate) fn show(&mut self, path: impl Into<String>, value: impl Into<String>, origin: Origin) {
        self.entries.push(Entry { path: path.into(), value: value.into(), origin });
    }

    fn key(&self, key: &str) -> &'static Key {
        keys::find(key).unwrap_or_else(|| unreachable!("{key} is not in the table"))
    }

    fn text(&mut self, key: &str, name: &str) -> Option<(String, Origin)> {
        if let Some(variable) = self.key(key).variable
            && let Some(text) = self.input.variables.get(variable).filter(|v| !v.is_empty())
        {
            return Some((text.clone(), Origin::Environment(variable.to_owned())));
        }
        let node = self.node(key, name)?.clone();
        self.scalar(&node, &path(key, name))
    }

    fn scalar(&mut self, node: &Node, path: &str) -> Option<(String, Origin)> {
        let origin = self.at(node.line);
        let wrong = match &node.value {
            Value::Scalar(text) => match expand(text, self.input) {
                Ok(text) => return Some((text, origin)),
                Err(e) => Wrong::new(e.problem, e.remedy),
            },
            Value::Null => Wrong::new("an empty item", "write it or remove its line"),
            Value::List(_) => Wrong::new("one value is expected, this is a list", "write the value alone"),
            Value::Map(_) => Wrong::new(
                "one value is expected, this is a mapping",
                "write the value alone; in quotes if it holds braces or a colon",
            ),
        };
        self.wrong(origin, path, wrong);
        None
    }

    /// A default may refer to a variable, which is then where the value comes from.
    fn default_text(&self, default: &str) -> (String, Origin) {
        let text = expand(default, self.input).unwrap_or_default();
        let variable = default.strip_prefix("${").and_then(|rest| rest.split_once(":-"));
        match variable {
            Some((variable, _)) if !text.is_empty() => (text, Origin::Environment(variable.to_owned())),
            _ => (text, Origin::Default),
        }
    }

    fn record<T: Setting>(&mut self, path: String, text: &str, origin: &Origin) {
        let is_hidden = T::IS_SECRET && !text.is_empty();
        let value = if is_hidden { Secret::MASK } else { text };
        self.entries.push(Entry { path, value: value.to_owned(), origin: origin.clone() });
    }

    fn record_absent(&mut self, key: &str, name: &str) {
        if let Fallback::Absent(words) = self.key(key).fallback {
            let value = format!("({})", words.replace('`', ""));
            self.entries.push(Entry { path: path(key, name), value, origin: Origin::Default });
        }
    }

    /// The node of a key; none where nothing, or null, is written.
    fn node(&self, key: &str, name: &str) -> Option<&Node> {
        let segments = key.split('.').map(|segment| if segment == "*" { name } else { segment });
        self.find(segments).filter(|node| node.value != Value::Null)
    }

    fn find<'s>(&self, segments: impl Iterator<Item = &'s str>) -> Option<&Node> {
        let mut node = &self.root;
        for segment in segments {
            let Value::Map(pairs) = &node.value else { return None };
            node = pairs.iter().find(|(key, _)| key.name == segment).map(|(_, node)| node)?;
        }
        Some(node)
    }

    fn at(&self, line: usize) -> Origin {
        Origin::File { name: self.input.name.to_owned(), line: Some(line) }
    }
}

/// A key's path with the user's name in it.
pub(crate) fn path(key: &str, name: &str) -> String {
    key.replace('*', name)
}

/// The first of each value, and a mistake for every further one.
pub(crate) fn distinct<T: Ord + Clone + std::fmt::Display>(
    list: Vec<Said<T>>,
    path: &str,
    reader: &mut Reader<'_>,
) -> Vec<Said<T>> {
    let mut first: BTreeMap<T, Origin> = BTreeMap::new();
    let mut kept = Vec::with_capacity(list.len());
    for said in list {
        if let Some(origin) = first.get(&said.value) {
            let problem = format!("{} is listed twice, first at {origin}", said.value);
            reader.wrong(said.origin, path, Wrong::new(problem, "list it once"));
        } else {
            first.insert(said.value.clone(), said.origin.clone());
            kept.push(said);
        }
    }
    kept
}
