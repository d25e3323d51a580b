//! Names what the compiler stumbled over where that is Lua, but not the engine's, and what to write instead.

use super::lexer::{Kind, Token, tokens};

/// What to write instead of what stands in a line that does not compile, if that is known.
pub(crate) fn explain(source: &[u8], line: usize) -> Option<String> {
    let tokens = tokens(source);
    let here = tokens.iter().enumerate().filter(|(_, token)| token.line == line);
    here.filter_map(|(index, _)| remedy(&tokens, index)).next()
}

fn remedy(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let token = &tokens[index];
    match token.kind {
        Kind::Number => number(token),
        Kind::Symbol => attribute(tokens, index).or_else(|| operator(token)),
        Kind::Word | Kind::Text => None,
    }
}

fn number(token: &Token<'_>) -> Option<String> {
    let text = token.show().to_ascii_lowercase();
    if let Some(digits) = text.strip_prefix("0x").filter(|d| d.contains(['.', 'p'])) {
        let value = hex_float(digits).map_or_else(|| "its decimal value".to_owned(), |v| v.to_string());
        return Some(format!(
            "{} is a hexadecimal float, which is not known here: write {value}",
            token.show()
        ));
    }
    let digits = text.strip_suffix("ull").or_else(|| text.strip_suffix("ll"))?;
    Some(format!(
        "{} is one of LuaJIT's 64-bit integers: write {digits} (numbers are doubles; keep what may pass 2^53 as text)",
        token.show()
    ))
}

/// The value of `1.8p-3`, digits in base 16 and an exponent of 2.
fn hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once('p').unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut value = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent = exponent.parse::<i32>().ok()?;
    Some(value * 2f64.powi(exponent.saturating_sub(4 * i32::try_from(fraction.len()).ok()?)))
}

/// `local x <const> = 5`.
fn attribute(tokens: &[Token<'_>], index: usize) -> Option<String> {
    let [open, name, close] = tokens.get(index..index + 3)? else { return None };
    let is_one =
        open.is_symbol("<") && close.is_symbol(">") && (name.is_word("const") || name.is_word("close"));
    let variable = index.checked_sub(1).map_or_else(String::new, |before| tokens[before].show());
    let remedy = match name.is_word("close") {
        true => "and close it yourself where the block ends",
        false => "which is as fast",
    };
    is_one.then(|| format!("<{}> is Lua 5.4's: write `local {variable} = …`, {remedy}", name.show()))
}

fn operator(token: &Token<'_>) -> Option<String> {
    let remedy = match token.text {
        b"&" => "bit.band(a, b)",
        b"|" => "bit.bor(a, b)",
        b"~" => "bit.bxor(a, b), or bit.bnot(a)",
        b"<<" => "bit.lshift(a, n)",
        b">>" => "bit.rshift(a, n)",
        b"!=" => return Some("`!=` is no operator of Lua: write `~=`".to_owned()),
        b"&&" => return Some("`&&` is no operator of Lua: write `and`".to_owned()),
        b"||" => return Some("`||` is no operator of Lua: write `or`".to_owned()),
        _ => return None,
    };
    Some(format!("the operator {} is Lua 5.3's: write {remedy} (local bit = require \"bit\")", token.show()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_floats_are_told_in_decimal() {
        assert_eq!(hex_float("1p4"), Some(16.0));
        assert_eq!(hex_float("a.8p-1"), Some(5.25));
        assert_eq!(hex_float(".8"), Some(0.5));
        assert_eq!(hex_float("xyz"), None);
    }

    #[test]
    fn a_line_without_anything_foreign_needs_no_explanation() {
        assert_eq!(explain(b"local x = = 2", 1), None);
        assert_eq!(explain(b"local a = 1 & 2", 9), None);
    }
}
