//! Every example, as its README tells it, through the real binary.

use std::collections::BTreeSet;
use weir_tests::{Sandbox, repository, walk};

const EXAMPLES: [&str; 6] = ["api", "cron", "hello", "shop", "spacer-blog", "webhook"];

#[tokio::test]
async fn api_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("api").build()).await;
}

#[tokio::test]
async fn cron_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("cron").build()).await;
}

#[tokio::test]
async fn hello_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("hello").build()).await;
}

#[tokio::test]
async fn shop_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("shop").build()).await;
}

#[tokio::test]
async fn spacer_blog_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("spacer-blog").build()).await;
}

#[tokio::test]
async fn webhook_does_what_its_readme_says() {
    walk(&Sandbox::builder().example("webhook").build()).await;
}

#[test]
fn every_example_is_walked_through() {
    let entries = std::fs::read_dir(repository().join("examples")).expect("read examples/");
    let entries = entries.map(|entry| entry.expect("read examples/"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let found: BTreeSet<_> = folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    assert_eq!(found, EXAMPLES.map(str::to_owned).into());
}
