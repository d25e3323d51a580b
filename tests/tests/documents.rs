//! What the documentation says is so: its pages can be followed, its links lead somewhere, the files that it names are
//! there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use weir_tests::{follow, repository};

/// Follows a page, and expects it to tell its reader to type so many commands at least.
async fn page(name: &str, at_least: usize) {
    let text = std::fs::read_to_string(repository().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let typed = follow(&text).await;
    assert!(typed >= at_least, "{name} has {typed} commands only: is it read as it is meant?");
}

#[tokio::test]
async fn the_readme_can_be_followed() {
    page("README.md", 4).await;
}

#[tokio::test]
async fn the_start_can_be_followed() {
    page("docs/guide/01-start.md", 10).await;
}

#[tokio::test]
async fn topics_and_triggers_can_be_followed() {
    page("docs/guide/02-topics-and-triggers.md", 12).await;
}

#[tokio::test]
async fn state_and_transactions_can_be_followed() {
    page("docs/guide/03-state-and-transactions.md", 12).await;
}

#[tokio::test]
async fn failures_can_be_followed() {
    page("docs/guide/04-failures.md", 10).await;
}

#[tokio::test]
async fn operations_can_be_followed() {
    page("docs/guide/05-operations.md", 5).await;
}

#[tokio::test]
async fn moving_and_keeping_can_be_followed() {
    page("docs/guide/06-moving-and-keeping.md", 3).await;
}

#[tokio::test]
async fn testing_can_be_followed() {
    page("docs/guide/07-testing.md", 2).await;
}

#[test]
fn links_between_pages_lead_to_files_that_are_there() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("read a page");
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let file = page.parent().expect("a page lies in a folder").join(target);
            assert!(file.exists(), "{} links to {target}, which is not there", page.display());
            links += 1;
        }
    }
    assert!(links > 20, "{links} links only: are they read as they are meant?");
}

#[test]
fn the_architecture_names_files_that_are_there() {
    let text = std::fs::read_to_string(repository().join("docs/ARCHITECTURE.md")).expect("read the page");
    let quoted = text.split('`').skip(1).step_by(2);
    let named: BTreeSet<_> = quoted.filter(|word| word.contains('/') && word.contains('.')).collect();
    let missing: Vec<_> = named.iter().filter(|name| !repository().join(name).exists()).collect();
    assert!(missing.is_empty(), "not there: {missing:?}");
    assert!(named.len() > 20, "{} files only: are they read as they are meant?", named.len());
}

/// Every page in the root, in `docs` and in `examples`.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    collect(repository(), false, &mut pages);
    collect(&repository().join("docs"), true, &mut pages);
    collect(&repository().join("examples"), true, &mut pages);
    pages
}

fn collect(folder: &Path, deep: bool, pages: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("read a folder") {
        let path = entry.expect("read a folder").path();
        if path.is_dir() && deep {
            collect(&path, deep, pages);
        } else if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
}
