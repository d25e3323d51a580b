//! Code written for other Luas: what the engine does not take is rewritten, or refused with what to write instead.

mod blocks;
mod edit;
mod explain;
mod jumps;
mod levels;
mod lexer;
mod uses;

pub(crate) use explain::explain;
pub(crate) use levels::counts_levels;
pub(crate) use uses::uses;

use edit::Edits;
use memchr::memmem;
use std::borrow::Cow;

/// Something in a source that cannot work, or will not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mistake {
    /// From 1.
    pub(crate) line: usize,
    /// What it is, and what to write instead.
    pub(crate) message: String,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The source as the engine's compiler takes it, each line where it was.
pub(crate) fn translate(source: &[u8]) -> Result<Cow<'_, [u8]>, Mistake> {
    let mut edits = Edits::default();
    let begin = if source.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    edits.blank(source, 0, begin);
    let code = match source[begin..].first() {
        // `#!/usr/bin/env lua`
        Some(b'#') => memchr::memchr(b'\n', source).unwrap_or(source.len()),
        _ => begin,
    };
    edits.blank(source, begin, code);
    if memmem::find(source, b"goto").is_some() || memmem::find(source, b"::").is_some() {
        // the tokens count lines and bytes from the file's begin
        let tokens = lexer::tokens(source);
        let first = tokens.partition_point(|t| t.at < code);
        jumps::rewrite(source, &tokens[first..], &mut edits)?;
    }
    Ok(edits.apply(source))
}

#[cfg(test)]
mod tests;
