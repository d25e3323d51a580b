//! Changes to a source that leave every line where it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// What is to be put where, in any order; what is said twice is done once.
#[derive(Default, Debug)]
pub(crate) struct Edits(BTreeSet<Edit>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Edit {
    from: usize,
    to: usize,
    text: String,
}

impl Edits {
    /// Puts `text` in the place of what stands there; as long as that, where it is shorter, and with its line ends.
    pub(crate) fn replace(&mut self, source: &[u8], from: usize, to: usize, text: &str) {
        let old = &source[from..to];
        let lines = "\n".repeat(old.iter().filter(|b| **b == b'\n').count());
        let width = if lines.is_empty() { old.len() } else { 0 };
        self.0.insert(Edit { from, to, text: format!("{text:width$}{lines}") });
    }

    /// Leaves nothing there but line ends.
    pub(crate) fn blank(&mut self, source: &[u8], from: usize, to: usize) {
        if from < to {
            self.replace(source, from, to, " ");
        }
    }

    pub(crate) fn insert(&mut self, at: usize, text: &str) {
        self.0.insert(Edit { from: at, to: at, text: text.to_owned() });
    }

    /// The source with all of them made.
    pub(crate) fn apply(self, source: &[u8]) -> Cow<'_, [u8]> {
        if self.0.is_empty() {
            return Cow::Borrowed(source);
        }
        let (mut out, mut done) = (Vec::with_capacity(source.len() + 64), 0);
        for edit in self.0 {
            out.extend_from_slice(&source[done..edit.from]);
            out.extend_from_slice(edit.text.as_bytes());
            done = edit.to;
        }
        out.extend_from_slice(&source[done..]);
        Cow::Owned(out)
    }
}
