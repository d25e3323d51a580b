//! `cjson` with the texts of lua-cjson, which code matches on, and with what can be set of it: by each function for
//! itself, where the original sets it for all.

use crate::json::{Cjson, Flaw, Formless, MAX_DEPTH, ParseError, Style};
use crate::modules::Registry;
use crate::run::Run;
use mlua::Value;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("cjson_encode", |call, value: Value| {
        let style = Style::Cjson(call.run.frame(|f| f.cjson));
        match call.shared.json.to_vec(&call.lua, &value, style)? {
            Ok(json) => call.value(call.lua.create_string(json)?),
            Err(error) => call.raise(encode_error(&error.reason)),
        }
    })?;
    to.add("cjson_decode", |call, text: Value| {
        let Value::String(text) = text else {
            return call
                .raise(format!("bad argument #1 to 'decode' (string expected, got {})", text.type_name()));
        };
        let text = text.as_bytes();
        match call.shared.json.parse(&call.lua, &text)? {
            Ok(parsed) => call.value(parsed.value),
            Err(error) => call.raise(decode_error(&error, &text)),
        }
    })?;
    to.add("cjson_sparse", |call, (converts, ratio, safe): (Option<bool>, Option<u32>, Option<u32>)| {
        let cjson = set(&call.run, |c| {
            c.converts_sparse = converts.unwrap_or(c.converts_sparse);
            c.ratio = ratio.unwrap_or(c.ratio);
            c.safe = safe.unwrap_or(c.safe);
        });
        let settings = (cjson.converts_sparse, cjson.ratio, cjson.safe);
        Ok(crate::run::Answered::Values(mlua::IntoLuaMulti::into_lua_multi(settings, &call.lua)?))
    })?;
    to.add("cjson_precision", |call, digits: Option<f64>| match digits {
        Some(digits) if !(1.0..=16.0).contains(&digits) => {
            call.raise("bad argument #1 to 'encode_number_precision' (expected integer between 1 and 16)")
        }
        _ => call.value(set(&call.run, |c| c.digits = digits.map_or(c.digits, |d| d as u8)).digits),
    })?;
    to.add("cjson_empty_as_object", |call, is_object: Option<bool>| {
        let cjson = set(&call.run, |c| c.empty_is_list = is_object.map_or(c.empty_is_list, |is| !is));
        call.value(!cjson.empty_is_list)
    })?;
    to.put("cjson_depth", MAX_DEPTH)
}

/// Changes what the running function has set.
fn set(run: &Run, change: impl FnOnce(&mut Cjson)) -> Cjson {
    run.frame(|f| {
        change(&mut f.cjson);
        f.cjson
    })
}

/// The original's words.
fn encode_error(reason: &Formless) -> String {
    match reason {
        Formless::Type(kind) => format!("Cannot serialise {kind}: type not supported"),
        Formless::NotFinite => "Cannot serialise number: must not be NaN or Infinity".to_owned(),
        Formless::StrangeKey => format!("Cannot serialise table: {reason}"),
        Formless::TooDeep => format!("Cannot serialise, excessive depth ({})", MAX_DEPTH + 1),
        _ => reason.to_string(),
    }
}

/// `Expected value but found invalid token at character 1`.
fn decode_error(error: &ParseError, text: &[u8]) -> String {
    let expected = match error.reason {
        Flaw::NoKey => "object key string",
        Flaw::NoColon => "colon",
        Flaw::ListGoesOn => "comma or array end",
        Flaw::ObjectGoesOn => "comma or object end",
        Flaw::TextAfter => "the end",
        Flaw::TooDeep => {
            let (depth, character) = (MAX_DEPTH + 1, error.at + 1);
            return format!("Found too many nested data structures ({depth}) at character {character}");
        }
        _ => "value",
    };
    let found = match (error.reason, text.get(error.at)) {
        (Flaw::EndlessString | Flaw::ControlCharacter, _) => "unexpected end of string",
        (Flaw::NoEscape, _) => "invalid escape code",
        (Flaw::HalfPair | Flaw::NoHex, _) => "invalid unicode escape code",
        (Flaw::LeadingZero | Flaw::OutOfRange, _) => "invalid number",
        (_, None) => "T_END",
        (_, Some(b'{')) => "T_OBJ_BEGIN",
        (_, Some(b'}')) => "T_OBJ_END",
        (_, Some(b'[')) => "T_ARR_BEGIN",
        (_, Some(b']')) => "T_ARR_END",
        (_, Some(b':')) => "T_COLON",
        (_, Some(b',')) => "T_COMMA",
        (_, Some(b'"')) => "T_STRING",
        (_, Some(b'0'..=b'9' | b'-')) => "T_NUMBER",
        _ => "invalid token",
    };
    format!("Expected {expected} but found {found} at character {}", error.at + 1)
}
