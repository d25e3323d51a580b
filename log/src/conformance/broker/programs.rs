//! What brokers are made of, and Kafka's own tools: Maven fetches them into the target folder, once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is fetched.
const POM: &str = include_str!("pom.xml");
/// The folder below the target folder that it is fetched into.
const FOLDER: &str = "kafka-and-tools-4.1.1";
/// A file of it.
const MAIN: &str = "kafka-tools-4.1.1.jar";

/// The network may stumble.
const TRIES: u32 = 3;

const INSTALL: &str = "Install a JDK 17 and Maven (Debian: apt-get install default-jdk-headless maven; Fedora: dnf install \
    java-21-openjdk-devel maven; macOS: brew install openjdk maven), or name brokers in WEIR_TEST_KAFKA, or leave these \
    tests out: cargo test -- --skip kafka";

/// One of Kafka's own programs, by the name of its class.
///
/// # Errors
/// There is no Java or no Maven here.
pub fn tool(class: &str) -> Result<Command, String> {
    let mut command = Command::new("java");
    let path = programs()?.join("*");
    command.arg("-cp").arg(path).arg(class);
    Ok(command)
}

/// The folder with what the broker is made of; fetched if it is not there.
pub(super) fn programs() -> Result<PathBuf, String> {
    let runs = |program: &str| Command::new(program).arg("-version").output().is_ok();
    if !runs("java") {
        return Err(format!("there is no Java here. {INSTALL}"));
    }
    let test = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut folders = test.ancestors();
    // cargo marks it
    let target = folders.find(|folder| folder.join("CACHEDIR.TAG").is_file());
    let target = target.ok_or("the test binary is in no target folder")?;
    let folder = target.join(FOLDER);
    if folder.join(MAIN).is_file() {
        return Ok(folder);
    }
    if !runs("mvn") {
        return Err(format!("there is no Maven here to fetch a broker with. {INSTALL}"));
    }
    fetch(target, &folder)?;
    Ok(folder)
}

/// Fetches it beside `folder` and moves it there as a whole: several may do so at once.
fn fetch(target: &Path, folder: &Path) -> Result<(), String> {
    let place = tempfile::Builder::new().prefix("kafka").tempdir_in(target).map_err(|e| e.to_string())?;
    let pom = place.path().join("pom.xml");
    fs::write(&pom, POM).map_err(|e| e.to_string())?;
    let fetched = place.path().join("jars");
    let mut outcome = run_maven(&pom, &fetched);
    for _ in 1..TRIES {
        // what has been fetched is kept, so another try has less to do
        outcome = outcome.or_else(|_| run_maven(&pom, &fetched));
    }
    outcome?;
    match fs::rename(&fetched, folder) {
        Err(error) if !folder.join(MAIN).is_file() => Err(error.to_string()),
        // another was faster
        _ => Ok(()),
    }
}

fn run_maven(pom: &Path, fetched: &Path) -> Result<(), String> {
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fetched.display()))
        .output()
        .map_err(|e| format!("mvn does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("Maven could not fetch a broker:\n{}", String::from_utf8_lossy(&output.stdout)));
    }
    Ok(())
}
