//! Where the binary under test is.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of this repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the repository")
}

/// The `weir` binary: that of `WEIR_BIN` (`make test` builds it first), else one that is built now, so that a test
/// never meets an old one.
#[must_use]
pub fn weir() -> &'static Path {
    static WEIR: OnceLock<PathBuf> = OnceLock::new();
    WEIR.get_or_init(|| match std::env::var_os("WEIR_BIN") {
        Some(named) => {
            let named = PathBuf::from(named);
            assert!(named.is_file(), "WEIR_BIN names {}, which is no file", named.display());
            named
        }
        None => build(),
    })
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--package", "weir-cli", "--bin", "weir", "--message-format", "json"]);
    let built = cargo.current_dir(repository()).output().expect("run cargo");
    assert!(built.status.success(), "weir does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    let messages = String::from_utf8(built.stdout).expect("cargo writes UTF-8");
    let mut executables = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    executables.next_back().expect("cargo says where the binary is")
}
