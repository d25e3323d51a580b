//! `docs/lua/compatibility.md` is so, row by row.

use weir_runtime::test_support::{Bench, value};

/// A row's code and what it gives.
struct Row {
    line: usize,
    code: String,
    gives: String,
}

fn rows() -> Vec<Row> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lua/compatibility.md");
    let text = std::fs::read_to_string(page).expect("read the page");
    let numbered = (1..).zip(text.lines());
    numbered.filter(|(_, line)| line.starts_with("| `")).map(|(number, line)| row(number, line)).collect()
}

/// `| code | gives | words |`; a bar in a cell has a backslash before it.
fn row(line: usize, text: &str) -> Row {
    let text = text.replace("\\|", "\u{0}");
    let cells: Vec<_> = text.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
    let unquoted = |cell: &str| {
        let inner = cell.strip_prefix('`').and_then(|c| c.strip_suffix('`'));
        inner.unwrap_or_else(|| panic!("line {line}: {cell:?} is no code")).to_owned()
    };
    assert_eq!(cells.len(), 5, "line {line}: a row has three cells");
    Row { line, code: unquoted(&cells[1]), gives: unquoted(&cells[2]) }
}

#[tokio::test]
async fn each_row_of_the_page_on_other_luas_is_so() {
    let mut wrong = Vec::new();
    let rows = rows();
    assert!(rows.len() > 30, "{} rows only: is the page read as it is meant?", rows.len());
    for Row { line, code, gives } in rows {
        let bench = Bench::new(&[("app/main.lua", &format!("return function() {code} end"))]);
        let outcome = bench.main("").await;
        let is_so = match gives.strip_prefix("refused: ") {
            None => outcome.result.is_ok() && value(&outcome) == gives,
            Some(words) => outcome.result.as_ref().is_err_and(|f| f.message.contains(words)),
        };
        if !is_so {
            wrong.push(format!("compatibility.md:{line}: {code}: {:?}", outcome.result));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
