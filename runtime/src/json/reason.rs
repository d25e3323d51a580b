//! Why a text is no JSON, and why a value has none.

use super::{MAX_BYTES, MAX_DEPTH};

/// What is wrong with a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not a value")]
    NoValue,
    #[error("text after the value")]
    TextAfter,
    #[error("nested too deeply")]
    TooDeep,
    #[error("a key is missing")]
    NoKey,
    #[error("a colon is missing")]
    NoColon,
    #[error("a comma or ] is missing")]
    ListGoesOn,
    #[error("a comma or }} is missing")]
    ObjectGoesOn,
    #[error("a number with a leading zero")]
    LeadingZero,
    #[error("a number out of range")]
    OutOfRange,
    #[error("a control character in a string")]
    ControlCharacter,
    #[error("a string without end")]
    EndlessString,
    #[error("not an escape")]
    NoEscape,
    #[error("not four hexadecimal digits")]
    NoHex,
    #[error("half a surrogate pair")]
    HalfPair,
    #[error("the stack is full")]
    StackFull,
}

/// What has no JSON form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Formless {
    /// A value of this type.
    #[error("a {0} has no JSON form")]
    Type(String),
    #[error("a number must not be NaN or infinite")]
    NotFinite,
    #[error("a string that is not UTF-8")]
    NotUtf8,
    #[error("nested deeper than {MAX_DEPTH} (or a table that holds itself)")]
    TooDeep,
    #[error("more than {MAX_BYTES} bytes of JSON")]
    TooLong,
    #[error("a list with holes: {items} of {length} items; use json.null")]
    Holes { items: usize, length: usize },
    #[error(
        "a table is a list (keys 1…n) or an object (keys that are text), not a mixture; write [tostring(id)]"
    )]
    Mixture,
    /// lua-cjson's word.
    #[error("table key must be a number or string")]
    StrangeKey,
    /// lua-cjson's word.
    #[error("Cannot serialise table: excessively sparse array")]
    TooSparse,
    #[error("the stack is full")]
    StackFull,
}
