//! `csv`: rows of fields, read and written (RFC 4180).

use crate::call::{Call, Done, misuse};
use crate::documents::{read, write};
use crate::registry::Registry;
use csv::{ReaderBuilder, StringRecord, Terminator, WriterBuilder};
use mlua::{LuaString, Table, Value};
use serde_json::{Map, Value as Json};

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("decode", |call, (text, options): (LuaString, Option<Table>)| async move {
        let options = Options::read(options.as_ref())?;
        read(call, text, move |text| rows(text, &options)).await
    })?;
    to.add_later("encode", |call: Call, (rows, options): (Table, Option<Table>)| async move {
        let options = Options::read(options.as_ref())?;
        write(call, Value::Table(rows), move |rows| written(&rows, &options)).await
    })
}

struct Options {
    separator: u8,
    has_header: bool,
    columns: Option<Vec<String>>,
}

impl Options {
    fn read(table: Option<&Table>) -> Done<Self> {
        let mut options = Self { separator: b',', has_header: false, columns: None };
        let Some(table) = table else { return Ok(options) };
        for pair in table.pairs::<String, Value>() {
            match pair? {
                (name, Value::Boolean(is)) if name == "header" => options.has_header = is,
                (name, Value::String(text)) if name == "separator" && text.as_bytes().len() == 1 => {
                    options.separator = text.as_bytes()[0];
                }
                (name, Value::Table(list)) if name == "columns" => {
                    options.columns = Some(list.sequence_values().collect::<mlua::Result<_>>()?);
                }
                (name, value) => {
                    let kind = value.type_name();
                    return misuse(format!(
                        "option {name} = a {kind}: there are header (true or false), separator (one byte) and columns (a list)"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// Lists of fields, or tables by the names of the columns.
fn rows(text: &str, options: &Options) -> Result<Json, String> {
    // a mark of the byte order is no part of the first field
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = ReaderBuilder::new();
    reader.has_headers(options.has_header).delimiter(options.separator);
    let mut reader = reader.from_reader(text.as_bytes());
    let names = match (&options.columns, options.has_header) {
        (Some(names), _) => Some(names.clone()),
        (None, true) => {
            let header = reader.headers().map_err(|error| error.to_string())?;
            Some(header.iter().map(str::to_owned).collect())
        }
        (None, false) => None,
    };
    let fields = |record: &StringRecord| match &names {
        None => Json::Array(record.iter().map(Json::from).collect()),
        Some(names) => {
            Json::Object(names.iter().cloned().zip(record.iter().map(Json::from)).collect::<Map<_, _>>())
        }
    };
    let rows = reader.records().map(|record| Ok(fields(&record.map_err(|error| error.to_string())?)));
    rows.collect::<Result<_, String>>().map(Json::Array)
}

fn written(rows: &Json, options: &Options) -> Result<String, String> {
    let rows = rows.as_array().ok_or("a list of rows expected")?;
    let mut writer = WriterBuilder::new();
    let writer = writer.delimiter(options.separator).terminator(Terminator::CRLF).flexible(true);
    let mut writer = writer.from_writer(Vec::new());
    // without columns, those of the first row in the order of their names
    let first = || rows.first().and_then(Json::as_object).map(|row| row.keys().cloned().collect());
    let columns = options.columns.clone().or_else(first);
    if let (true, Some(columns)) = (options.has_header, &columns) {
        writer.write_record(columns).map_err(|error| error.to_string())?;
    }
    for (n, row) in (1..).zip(rows) {
        let fields: Vec<_> = match (row, &columns) {
            (Json::Array(fields), _) => fields.iter().map(field).collect(),
            (Json::Object(row), Some(columns)) => {
                columns.iter().map(|name| field(row.get(name).unwrap_or(&Json::Null))).collect()
            }
            _ => return Err(format!("row {n} is no table")),
        };
        let fields: Result<Vec<_>, _> = fields.into_iter().collect();
        let fields = fields.map_err(|error| format!("row {n}: {error}"))?;
        writer.write_record(fields).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn field(value: &Json) -> Result<String, &'static str> {
    match value {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
        Json::Array(_) | Json::Object(_) => Err("a field is a table; text, a number or a boolean expected"),
    }
}
