//! Tables that stand for names and values: a query, a form, headers.

use crate::call::{Done, misuse};
use mlua::{Table, Value};
use std::fmt::Display;

/// A name and its value.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// The fields of a table, in the order of their names; a list repeats its name. Errors call the table `what`.
pub(crate) fn read(table: &Table, what: &str) -> Done<Vec<Field>> {
    let mut fields = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        let name = shown(format_args!("a name of {what}"), &name)?;
        let values = match value {
            Value::Table(list) => list.sequence_values().collect::<mlua::Result<Vec<_>>>()?,
            value => vec![value],
        };
        for value in values {
            fields.push((name.clone(), shown(format_args!("a value of {what}"), &value)?));
        }
    }
    // a stable sort: what repeats keeps its order
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(fields)
}

/// A value as it is written. Errors call it `what`.
pub(crate) fn shown(what: impl Display, value: &Value) -> Done<Vec<u8>> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => Ok(value.to_string()?.into_bytes()),
        other => misuse(format!("{what} is a {}; text expected", other.type_name())),
    }
}
