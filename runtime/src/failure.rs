//! How a failure is told: its place, the source around it, the stack in the project's own terms.

use crate::code::CodeError;
use crate::{Code, Failure, FailureKind};
use bytes::Bytes;
use weir_schema::write_json_string;

/// One level of a Lua stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Level {
    /// `app/on_order.lua`, as the chunk is called.
    pub(crate) file: String,
    pub(crate) line: usize,
    /// What the function is called, where that is known.
    pub(crate) name: Option<String>,
}

impl Failure {
    /// A failure of this kind with a text as its payload, at a place not known yet.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let message = message.into();
        let payload = json_text(&message);
        Self { kind, message, payload, place: None, frame: String::new(), stack: Vec::new() }
    }

    /// Adds where it happened: the place in the message if the message begins with one, else the innermost level
    /// of the stack that is the project's.
    pub(crate) fn locate(mut self, code: &Code, levels: &[Level]) -> Self {
        let own = || levels.iter().filter(|l| code.file(&l.file).is_some());
        let place = place_in(&self.message).filter(|(file, _)| code.file(file).is_some());
        let place = place.or_else(|| own().next().map(|l| (l.file.clone(), l.line)));
        if let Some((file, line)) = place {
            self.frame = code.frame(&file, line);
            self.place = Some(format!("{file}:{line}"));
        }
        self.stack = own().map(ToString::to_string).collect();
        self
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " in {name}"))
    }
}

/// The failure of whoever needs a file that does not compile.
pub(crate) fn load_failure(error: &CodeError) -> Failure {
    let mut failure = Failure::new(FailureKind::Load, error.to_string());
    failure.place = Some(error.line.map_or_else(|| error.file.clone(), |l| format!("{}:{l}", error.file)));
    failure.frame.clone_from(&error.frame);
    failure
}

/// A text as a JSON string.
pub(crate) fn json_text(text: &str) -> Bytes {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_json_string(text, &mut out);
    out.into()
}

/// Three lines of source around `line` (from 1), numbered, the line marked with `>`. Empty if there is no such line.
pub(crate) fn code_frame(source: &[u8], line: usize) -> String {
    let text = String::from_utf8_lossy(source);
    let first = line.saturating_sub(1).max(1);
    let width = (line + 1).to_string().len();
    let mut frame = String::new();
    let mut is_there = false;
    for (number, content) in (1..).zip(text.lines()).skip(first - 1).take(line + 2 - first) {
        is_there |= number == line;
        let mark = if number == line { '>' } else { ' ' };
        let content = content.get(..200).unwrap_or(content);
        frame.push_str(format!("{mark} {number:width$} | {content}").trim_end());
        frame.push('\n');
    }
    if is_there { frame } else { String::new() }
}

/// `app/x.lua:12: text` begins with a place.
fn place_in(message: &str) -> Option<(String, usize)> {
    let end = message.find(".lua:")? + 4;
    let line = message[end + 1..].split(':').next()?.parse().ok()?;
    Some((message[..end].to_owned(), line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_marks_the_line_and_stops_at_the_ends_of_the_file() {
        assert_eq!(code_frame(b"a\nb\nc\nd", 2), "  1 | a\n> 2 | b\n  3 | c\n");
        assert_eq!(code_frame(b"a\nb", 1), "> 1 | a\n  2 | b\n");
        assert_eq!(code_frame(b"a\nb", 2), "  1 | a\n> 2 | b\n");
        assert_eq!(code_frame(b"a\nb", 9), "");
        assert_eq!(code_frame(b"", 0), "");
    }

    #[test]
    fn the_place_is_the_one_that_the_message_names_if_it_is_the_projects() {
        let code = Code::from_sources([("app/a.lua", "return 1\nreturn 2"), ("lib/b.lua", "")]);
        let levels = [
            Level { file: "weir".into(), line: 3, name: None },
            Level { file: "app/a.lua".into(), line: 2, name: Some("f".into()) },
        ];
        let failure = Failure::new(FailureKind::Raised, "lib/b.lua:7: boom").locate(&code, &levels);
        assert_eq!(failure.place.as_deref(), Some("lib/b.lua:7"));
        assert_eq!(failure.stack, ["app/a.lua:2 in f"]);
        let failure = Failure::new(FailureKind::Raised, "boom").locate(&code, &levels);
        assert_eq!(failure.place.as_deref(), Some("app/a.lua:2"));
    }
}
