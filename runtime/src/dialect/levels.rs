//! Whether a source counts levels of the stack. The compiler puts small functions into those that call them, so that a
//! level is gone: not where it would be missed.

use super::lexer::{Token, tokens};

/// Functions that look at the stack, or at a level of it.
const LOOKERS: [&str; 4] = ["traceback", "getinfo", "getfenv", "setfenv"];

/// Whether a source has `error(text, 2)`, `debug.traceback()` or their like.
pub(crate) fn counts_levels(source: &[u8]) -> bool {
    let tokens = tokens(source);
    (0..tokens.len()).any(|i| {
        let token = &tokens[i];
        LOOKERS.iter().any(|name| token.is_word(name))
            || (token.is_word("error") && has_two_values(&tokens[i + 1..]))
    })
}

/// Whether these tokens begin with a call's values, more than one.
fn has_two_values(tokens: &[Token<'_>]) -> bool {
    let mut depth = 0_usize;
    for token in tokens {
        match token.text {
            b"(" | b"{" | b"[" => depth += 1,
            b")" | b"}" | b"]" if depth > 1 => depth -= 1,
            b"," if depth == 1 => return true,
            _ if depth > 1 => {}
            b")" => return false,
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_the_second_value_of_error() {
        for (source, expected) in [
            ("error('x', 2)", true),
            ("error(f(a, b), 2)", true),
            ("error({1, 2})", false),
            ("error(f(a, b)) g(1, 2)", false),
            ("error 'x'", false),
            ("local error = error f(1, 2)", false),
            ("return debug.traceback()", true),
            ("-- error('x', 2)", false),
            ("error(", false),
        ] {
            assert_eq!(counts_levels(source.as_bytes()), expected, "{source}");
        }
    }
}
