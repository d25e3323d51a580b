//! YAML text → a tree that knows the line of every key and value.
//!
//! serde stops at the first mistake and forgets lines; we report all mistakes with theirs, so the tree is built from
//! the parser's events. Scalars stay text: what `12` or `yes` means is the business of the key that holds it.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::collections::HashMap;

/// How deep mappings and lists may nest: ours need six.
const MAX_DEPTH: usize = 64;
/// How many nodes a file may come to once its aliases are expanded: a few lines of aliases can ask for billions.
const MAX_NODES: usize = 100_000;

/// A value and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What a value is, before any key says what it should be.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    /// Nothing written, `~` or `null`.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping and where it stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Key {
    pub(crate) line: usize,
    pub(crate) name: String,
}

/// Text that is no YAML, or more than a configuration may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) problem: String,
    pub(crate) remedy: &'static str,
}

impl Node {
    /// How many nodes it is, itself included.
    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Scalar(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(pairs) => pairs.iter().map(|(_, node)| node.size()).sum(),
        }
    }
}

/// Reads one document. An empty text is `Null`.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| refused(text, &e))?;
        tree.take(event, span)?;
    }
    Ok(tree.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

fn refused(text: &str, error: &ScanError) -> SyntaxError {
    let line = error.marker().line();
    let is_reference = text.lines().nth(line.saturating_sub(1)).is_some_and(|l| l.contains("${"));
    SyntaxError {
        line,
        problem: format!("not YAML: {}", error.info()),
        remedy: if is_reference {
            "inside { } and [ ] put \"${…}\" in quotes"
        } else {
            "check the indentation (spaces, no tabs), the quotes and the brackets there"
        },
    }
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

/// A mapping or list whose end has not come yet.
struct Open {
    line: usize,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { pairs: Vec<(Key, Node)>, key: Option<Key> },
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Scalar(text.into_owned()) };
                self.close(Node { line, value }, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Parts::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.open(line, anchor, Parts::Map { pairs: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { line, anchor, parts }) = self.open.pop() else { return Ok(()) };
                let value = match parts {
                    Parts::List(items) => Value::List(items),
                    Parts::Map { pairs, .. } => Value::Map(merged(pairs)),
                };
                self.close(Node { line, value }, anchor, 1)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    let size = node.size();
                    self.close(Node { line, value: node.value }, 0, size)
                }
                None => Err(SyntaxError {
                    line,
                    problem: "an alias to what is not complete yet".to_owned(),
                    remedy: "write the value out",
                }),
            },
            Event::DocumentStart(_) if self.root.is_some() => Err(SyntaxError {
                line,
                problem: "a second document".to_owned(),
                remedy: "one file is one configuration: remove the --- and what follows",
            }),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, line: usize, anchor: usize, parts: Parts) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            let problem = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(SyntaxError { line, problem, remedy: "no key of weir goes below level 6" });
        }
        self.open.push(Open { line, anchor, parts });
        Ok(())
    }

    /// A node is complete: it goes where the innermost open one wants it.
    fn close(&mut self, node: Node, anchor: usize, new_nodes: usize) -> Result<(), SyntaxError> {
        self.nodes += new_nodes;
        if self.nodes > MAX_NODES {
            let problem = format!("more than {MAX_NODES} values, aliases counted where they are used");
            return Err(SyntaxError { line: node.line, problem, remedy: "use fewer aliases" });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map { pairs, key }) => match key.take() {
                Some(key) => pairs.push((key, node)),
                None => *key = Some(key_of(node)?),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<Key, SyntaxError> {
    match node.value {
        Value::Scalar(name) => Ok(Key { line: node.line, name }),
        Value::Null => Ok(Key { line: node.line, name: "null".to_owned() }),
        Value::List(_) | Value::Map(_) => Err(SyntaxError {
            line: node.line,
            problem: "a key that is a list or a mapping".to_owned(),
            remedy: "put a value that begins with { or [ in quotes: \"${NAME}\"",
        }),
    }
}

/// `<<: *defaults`: the mapping's own keys win over the merged ones.
fn merged(pairs: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    let (merges, mut own): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key.name == "<<");
    for (_, node) in merges {
        let sources = match node.value {
            Value::List(items) => items,
            value => vec![Node { line: node.line, value }],
        };
        for source in sources {
            let Value::Map(inherited) = source.value else { continue };
            let known: Vec<String> = own.iter().map(|(key, _)| key.name.clone()).collect();
            own.extend(inherited.into_iter().filter(|(key, _)| !known.contains(&key.name)));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, usize, Value)> {
        let Value::Map(pairs) = parse(text).expect("valid").value else { panic!("not a mapping: {text}") };
        pairs.into_iter().map(|(key, node)| (key.name, node.line, node.value)).collect()
    }

    #[test]
    fn values_know_their_lines_and_a_key_without_one_is_null() {
        let got = pairs("# a comment\na: 1\n\nb:\n  # nothing\nc: \"null\"\n");
        assert_eq!(got[0], ("a".to_owned(), 2, Value::Scalar("1".to_owned())));
        assert_eq!((got[1].0.as_str(), &got[1].2), ("b", &Value::Null));
        assert_eq!(got[2], ("c".to_owned(), 6, Value::Scalar("null".to_owned())));
    }

    #[test]
    fn merge_keys_fill_in_what_a_mapping_does_not_say() {
        let got = pairs("base: &b {driver: memory, x: 1}\ndev: {<<: *b, x: 2}\n");
        let Value::Map(dev) = &got[1].2 else { panic!("dev is no mapping") };
        let text = |i: usize| (dev[i].0.name.as_str(), dev[i].1.value.clone());
        assert_eq!(text(0), ("x", Value::Scalar("2".to_owned())));
        assert_eq!(text(1), ("driver", Value::Scalar("memory".to_owned())));
    }

    #[test]
    fn broken_text_is_refused_with_its_line() {
        assert_eq!(parse("a: 1\nb: [1, 2\nc: 3\n").expect_err("an open bracket").line, 3);
        assert_eq!(parse("a: 1\n---\nb: 2\n").expect_err("two documents").line, 2);
    }

    #[test]
    fn neither_depth_nor_aliases_can_exhaust_the_machine() {
        assert!(parse(&"- ".repeat(500)).is_err());
        assert!(parse(&"[".repeat(5000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let items = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb += &format!("a{i}: &a{i} [{items}]\n");
        }
        assert!(parse(&bomb).expect_err("a bomb").problem.starts_with("more than 100000"));
    }
}
