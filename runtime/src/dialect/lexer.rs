//! Splits Lua source into tokens: of Lua 5.1 to 5.4, LuaJIT and Luau alike, so that what the engine does not take can be
//! found and named. Any bytes have tokens; what is malformed is for the compiler to say.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A name or a keyword.
    Word,
    Number,
    /// A string, or a piece of an interpolated one.
    Text,
    Symbol,
}

/// A token, where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s [u8],
    /// Its first byte in the source.
    pub(crate) at: usize,
    /// From 1.
    pub(crate) line: usize,
}

/// Longest first.
const SYMBOLS: [&[u8]; 22] = [
    b"...", b"..=", b"//=", b"..", b"==", b"~=", b"<=", b">=", b"::", b"//", b"<<", b">>", b"->", b"+=",
    b"-=", b"*=", b"/=", b"%=", b"^=", b"!=", b"&&", b"||",
];

const KEYWORDS: [&str; 21] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
];

impl Token<'_> {
    pub(crate) fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Whether it is this keyword or name.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text == word.as_bytes()
    }

    pub(crate) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol.as_bytes()
    }

    pub(crate) fn is_keyword(&self) -> bool {
        self.kind == Kind::Word && KEYWORDS.iter().any(|k| k.as_bytes() == self.text)
    }

    /// Whether it is a name, and so no keyword.
    pub(crate) fn is_name(&self) -> bool {
        self.kind == Kind::Word && !self.is_keyword()
    }

    /// Its text, for people.
    pub(crate) fn show(&self) -> String {
        String::from_utf8_lossy(self.text).into_owned()
    }

    /// The value of a string without escapes.
    pub(crate) fn plain_text(&self) -> Option<&str> {
        let ([b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] | [b'[', b'[', inner @ .., b']', b']']) =
            self.text
        else {
            return None;
        };
        std::str::from_utf8(inner).ok().filter(|text| !text.contains('\\'))
    }
}

/// All tokens, in order; comments are none.
pub(crate) fn tokens(source: &[u8]) -> Vec<Token<'_>> {
    let mut lexer = Lexer { source, at: 0, line: 1, braces: Vec::new() };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'s> {
    source: &'s [u8],
    at: usize,
    line: usize,
    /// The braces that are open: whether each stands in an interpolated string.
    braces: Vec<bool>,
}

impl<'s> Lexer<'s> {
    fn next(&mut self) -> Option<Token<'s>> {
        self.skip_blanks();
        let (at, line) = (self.at, self.line);
        let kind = match *self.source.get(at)? {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => {
                self.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80);
                Kind::Word
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            quote @ (b'"' | b'\'') => {
                self.at += 1;
                self.quoted(quote);
                Kind::Text
            }
            b'[' if self.bracket(at).is_some() => {
                self.long();
                Kind::Text
            }
            b'`' => self.interpolated(),
            b'}' if self.braces.pop() == Some(true) => self.interpolated(),
            _ => self.symbol(),
        };
        Some(Token { kind, text: &self.source[at..self.at], at, line })
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.get(self.at + ahead).copied()
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&belongs) {
            self.step();
        }
    }

    fn step(&mut self) {
        if self.peek(0) == Some(b'\n') {
            self.line += 1;
        }
        self.at = (self.at + 1).min(self.source.len());
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(|b| b.is_ascii_whitespace() || b == 0x0b);
            if self.peek(0) != Some(b'-') || self.peek(1) != Some(b'-') {
                return;
            }
            self.at += 2;
            match self.bracket(self.at) {
                Some(_) => self.long(),
                None => self.take_while(|b| b != b'\n'),
            }
        }
    }

    fn number(&mut self) -> Kind {
        let is_hex = self.peek(0) == Some(b'0') && matches!(self.peek(1), Some(b'x' | b'X'));
        let exponent: &[u8] = if is_hex { b"pP" } else { b"eE" };
        while let Some(byte) = self.peek(0).filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
        {
            self.at += 1;
            if exponent.contains(&byte) && matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
        }
        Kind::Number
    }

    /// The rest of a string in quotes; without its end, the rest of its line.
    fn quoted(&mut self, quote: u8) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.escape(),
                b'\n' => return,
                _ => self.at += 1,
            }
            if byte == quote {
                return;
            }
        }
    }

    fn escape(&mut self) {
        self.at += 1;
        let skips_blanks = self.peek(0) == Some(b'z');
        if self.source[self.at..].starts_with(b"\r\n") {
            self.at += 1;
        }
        self.step();
        if skips_blanks {
            self.take_while(|b| b.is_ascii_whitespace());
        }
    }

    /// A string in backticks up to its end or its next brace.
    fn interpolated(&mut self) -> Kind {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.escape(),
                b'{' => {
                    self.at += 1;
                    self.braces.push(true);
                    break;
                }
                b'`' => {
                    self.at += 1;
                    break;
                }
                _ => self.step(),
            }
        }
        Kind::Text
    }

    /// The number of equals signs where `[[` or `[==[` stands.
    fn bracket(&self, at: usize) -> Option<usize> {
        let rest = self.source.get(at..)?.strip_prefix(b"[")?;
        let level = rest.iter().take_while(|b| **b == b'=').count();
        (rest.get(level) == Some(&b'[')).then_some(level)
    }

    /// A long string or the brackets of a long comment.
    fn long(&mut self) {
        let Some(level) = self.bracket(self.at) else { return };
        let close: Vec<u8> = [&b"]"[..], &vec![b'='; level], b"]"].concat();
        let length = memchr::memmem::find(&self.source[self.at..], &close);
        let end = length.map_or(self.source.len(), |length| self.at + length + close.len());
        self.line += memchr::memchr_iter(b'\n', &self.source[self.at..end]).count();
        self.at = end;
    }

    fn symbol(&mut self) -> Kind {
        let rest = &self.source[self.at..];
        let long = SYMBOLS.iter().find(|s| rest.starts_with(s));
        if rest[0] == b'{' {
            self.braces.push(false);
        }
        self.at += long.map_or(1, |s| s.len());
        Kind::Symbol
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(source: &str) -> Vec<String> {
        tokens(source.as_bytes()).iter().map(Token::show).collect()
    }

    #[test]
    fn strings_and_comments_are_one_piece_whatever_they_hold() {
        assert_eq!(shown("a --goto x\n--[==[ ]] goto ]==] b"), ["a", "b"]);
        assert_eq!(shown(r#"x = "a \" goto" .. 'it\'s'"#), ["x", "=", r#""a \" goto""#, "..", r"'it\'s'"]);
        assert_eq!(shown("[[a\n]=]]] [=[ ]] ]=]"), ["[[a\n]=]]", "]", "[=[ ]] ]=]"]);
        assert_eq!(shown("t[ [[k]] ] [1]"), ["t", "[", "[[k]]", "]", "[", "1", "]"]);
        assert_eq!(shown("\"a\\z  \n  b\" c"), ["\"a\\z  \n  b\"", "c"]);
    }

    #[test]
    fn numbers_keep_their_signs_and_fractions() {
        assert_eq!(shown("0x1p-4 1e+5 .5 3..x 0xA.8"), ["0x1p-4", "1e+5", ".5", "3..x", "0xA.8"]);
        assert_eq!(shown("a-1 a.b ..."), ["a", "-", "1", "a", ".", "b", "..."]);
    }

    #[test]
    fn what_an_interpolated_string_computes_has_tokens() {
        assert_eq!(shown("`a {f({1})} b` c"), ["`a {", "f", "(", "{", "1", "}", ")", "} b`", "c"]);
        assert_eq!(shown("`{`{x}`}`"), ["`{", "`{", "x", "}`", "}`"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let source = b"a\n--[[\n\n]]b [[\n]] c \"x\\\ny\" d";
        let lines: Vec<_> = tokens(source).iter().map(|t| (t.show(), t.line)).collect();
        let lines: Vec<_> = lines.iter().map(|(text, line)| (text.as_str(), *line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 4), ("[[\n]]", 4), ("c", 5), ("\"x\\\ny\"", 5), ("d", 6)]);
    }

    proptest! {
        #[test]
        fn any_bytes_have_tokens_in_order_that_do_not_overlap(source in "[\\[\\]=`{}'\"\\\\\n\\-a-c0-9xp.:<>~ ]{0,60}") {
            let mut end = 0;
            for token in tokens(source.as_bytes()) {
                prop_assert!(token.at >= end && !token.text.is_empty());
                prop_assert_eq!(token.line, 1 + source.as_bytes()[..token.at].iter().filter(|b| **b == b'\n').count());
                end = token.end();
            }
        }
    }
}
