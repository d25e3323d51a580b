//! For the tests of all crates.

use std::path::Path;

/// Compares with a golden file; `UPDATE=1` rewrites it.
///
/// # Panics
/// They differ.
pub fn assert_golden(path: &Path, actual: &str) {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, not a setting of Weir")]
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(path, actual).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        golden,
        actual,
        "{} is stale: run the tests with UPDATE=1 and look at the change",
        path.display()
    );
}
