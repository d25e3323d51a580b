//! `base64`: bytes as text of 64 characters, and back.

use crate::call::{Call, Done};
use crate::registry::Registry;
use data_encoding::{BASE64, BASE64_MIME_PERMISSIVE, BASE64URL_NOPAD, DecodeError, Encoding};
use mlua::LuaString;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("encode", |call, s| encode(call, s, BASE64))?;
    to.add_later("encode_url", |call, s| encode(call, s, BASE64URL_NOPAD))?;
    // line breaks are passed over, as in mail and in Go
    to.add_later("decode", |call, s| decode(call, s, |s| BASE64_MIME_PERMISSIVE.decode(s)))?;
    to.add_later("decode_url", |call, s| {
        decode(call, s, |s| {
            let end = s.iter().rposition(|b| *b != b'=').map_or(0, |last| last + 1);
            BASE64URL_NOPAD.decode(&s[..end])
        })
    })
}

/// The text that stands for these bytes.
pub(crate) async fn encode(call: Call, s: LuaString, encoding: Encoding) -> Done<LuaString> {
    let text = call.apart(&s, move |s| encoding.encode(s)).await?;
    call.text(text)
}

/// The bytes that a text stands for, or what is wrong with it.
pub(crate) async fn decode(
    call: Call,
    s: LuaString,
    decode: impl FnOnce(&[u8]) -> Result<Vec<u8>, DecodeError> + Send + 'static,
) -> Done<Result<LuaString, String>> {
    call.text_or(call.apart(&s, decode).await?)
}
