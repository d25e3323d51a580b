//! Results on stdout: tables for people, one JSON object per line for machines.

use serde_json::Value;
use std::io::Write as _;

/// Writes one line. A reader that has gone (`| head`) ends the process quietly.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_err()
    {
        std::process::exit(0);
    }
}

/// Writes a list: as it is, or as a table of these fields.
pub(crate) fn list(rows: &[Value], json: bool, columns: &[&str]) {
    if json {
        rows.iter().for_each(|row| line(&row.to_string()));
        return;
    }
    let cells = |row: &Value| -> Vec<String> { columns.iter().map(|c| text(&row[*c])).collect() };
    let mut table: Vec<Vec<String>> =
        vec![columns.iter().map(|c| c.replace('_', " ").to_uppercase()).collect()];
    table.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| table.iter().map(|row| row[i].chars().count()).max().unwrap_or(0))
        .collect();
    for row in table {
        let padded: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(padded.join("  ").trim_end());
    }
}

/// Writes one thing: as it is, or field by field.
pub(crate) fn thing(value: &Value, json: bool) {
    match value.as_object() {
        Some(fields) if !json => {
            let width = fields.keys().map(|k| k.chars().count()).max().unwrap_or(0);
            for (name, value) in fields {
                line(&format!("{:<width$}  {}", name.replace('_', " "), text(value)));
            }
        }
        _ => line(&value.to_string()),
    }
}

/// A value as a cell of a table.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.lines().next().unwrap_or_default().to_owned(),
        Value::Number(n) if n.is_f64() => format!("{:.1}", n.as_f64().unwrap_or_default()),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
