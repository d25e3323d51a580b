//! The tree against the table of keys: unknown keys, keys said twice, values where a mapping belongs. What is left
//! has the table's spelling.

use crate::keys;
use crate::mistake::{Mistake, is_a_letter_away, nearest};
use crate::yaml::{Key, Node, Value};
use crate::{Input, Origin};

/// What the check found.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) warnings: Vec<Mistake>,
}

/// Brings the keys to the table's spelling and takes out what the table does not know.
pub(crate) fn check(root: Node, input: &Input<'_>) -> (Node, Findings) {
    let mut shape = Shape { input, findings: Findings::default() };
    let root = shape.mapping(root, &Place::default());
    (root, shape.findings)
}

/// A place in the table (`*` for names) and in the file.
#[derive(Clone, Default)]
struct Place {
    pattern: String,
    path: String,
}

impl Place {
    fn below(&self, pattern: &str, name: &str) -> Self {
        Self { pattern: join(&self.pattern, pattern), path: join(&self.path, name) }
    }

    fn is_weirs_own(&self) -> bool {
        self.pattern == "weir" || self.pattern.starts_with("weir.")
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

struct Shape<'a> {
    input: &'a Input<'a>,
    findings: Findings,
}

impl Shape<'_> {
    fn mapping(&mut self, node: Node, place: &Place) -> Node {
        let pairs = match node.value {
            Value::Map(pairs) => pairs,
            Value::Null => Vec::new(),
            Value::Scalar(_) | Value::List(_) => {
                let children = keys::children(&place.pattern);
                let wanted = match children.as_slice() {
                    ["*"] => "write names, each with its settings below it".to_owned(),
                    _ => format!("write keys below it: {}", children.join(", ")),
                };
                self.mistake(node.line, &place.path, "a mapping is expected".to_owned(), wanted);
                Vec::new()
            }
        };
        let mut kept: Vec<(Key, Node)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = self.name_of(&key, place) else { continue };
            let below = place.below(&name.pattern, &name.name);
            if let Some((first, _)) = kept.iter().find(|(k, _)| k.name == name.name) {
                let problem = format!("said twice, first in line {}", first.line);
                self.mistake(key.line, &below.path, problem, "keep one of them".to_owned());
                continue;
            }
            let is_leaf = keys::children(&below.pattern).is_empty();
            let value = if is_leaf { value } else { self.mapping(value, &below) };
            kept.push((Key { line: key.line, name: name.name }, value));
        }
        Node { line: node.line, value: Value::Map(kept) }
    }

    /// The table's name for a key; none, and a mistake or a warning, if it has none.
    fn name_of(&mut self, key: &Key, place: &Place) -> Option<Name> {
        let children = keys::children(&place.pattern);
        let fixed = children.iter().copied().filter(|c| *c != "*");
        let own = place.is_weirs_own();
        let matches = |c: &&str| if own { **c == key.name } else { c.eq_ignore_ascii_case(&key.name) };
        if let Some(known) = fixed.clone().find(matches) {
            return Some(Name { pattern: known.to_owned(), name: known.to_owned() });
        }
        if children.contains(&"*") {
            return Some(Name { pattern: "*".to_owned(), name: key.name.clone() });
        }
        let path = join(&place.path, &key.name);
        let suggestion = nearest(&key.name, fixed.clone());
        let remedy = match suggestion {
            Some(name) => format!("did you mean {name}?"),
            None => format!("known here: {}", children.join(", ")),
        };
        let problem = "no such key".to_owned();
        if own || fixed.clone().any(|c| is_a_letter_away(&key.name, c)) {
            self.mistake(key.line, &path, problem, remedy);
        } else {
            let warning = self.at(key.line, &path, format!("{problem}: it does nothing"), remedy);
            self.findings.warnings.push(warning);
        }
        None
    }

    fn mistake(&mut self, line: usize, path: &str, problem: String, remedy: String) {
        let mistake = self.at(line, path, problem, remedy);
        self.findings.mistakes.push(mistake);
    }

    fn at(&self, line: usize, path: &str, problem: String, remedy: String) -> Mistake {
        let origin = Origin::File { name: self.input.name.to_owned(), line: Some(line) };
        Mistake { origin, path: path.to_owned(), problem, remedy }
    }
}

/// A key as the table spells it, and as the user does where the table leaves that open.
struct Name {
    pattern: String,
    name: String,
}
