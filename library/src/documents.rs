//! Texts that are read into values and written of values, by way of JSON: what has a form there has one here.

use crate::call::{Call, Done, misuse};
use mlua::{LuaString, Value};
use serde_json::Value as Json;

/// Bytes that are read or written in well under a millisecond.
const FEW: usize = 16 << 10;

/// The value that a text stands for, or what is wrong with it.
pub(crate) async fn read(
    call: Call,
    text: LuaString,
    read: impl FnOnce(&str) -> Result<Json, String> + Send + 'static,
) -> Done<Result<Value, String>> {
    let json = call.apart_beyond(FEW, &text, move |bytes| {
        let text =
            std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()))?;
        serde_json::to_vec(&read(text)?).map_err(|error| error.to_string())
    });
    match json.await? {
        Ok(json) => {
            call.reserve(json.len())?;
            Ok(call.around.read_json(&json)?)
        }
        Err(error) => Ok(Err(error)),
    }
}

/// The text that stands for a value. What has no such text is misuse.
pub(crate) async fn write(
    call: Call,
    value: Value,
    write: impl FnOnce(Json) -> Result<String, String> + Send + 'static,
) -> Done<LuaString> {
    let json = call.around.write_json(&value)?.or_else(misuse)?;
    let is_long = json.len() > FEW;
    let work = move || serde_json::from_slice(&json).map_err(|error| error.to_string()).and_then(write);
    let text = call.apart_if(is_long, work).await?;
    text.map_or_else(misuse, |text| call.text(text))
}
