//! The same work as an application of Kafka Streams.

use super::cluster::Kafka;
use super::flow::Flow;
use crate::peers::{folder, output};
use crate::process::Server;
use std::path::PathBuf;
use std::process::Command;
use tokio::runtime::Runtime;

const FILES: [(&str, &str); 2] = [
    ("pom.xml", include_str!("../../peers/kafka-streams/pom.xml")),
    ("src/main/java/Count.java", include_str!("../../peers/kafka-streams/src/main/java/Count.java")),
];

pub(crate) fn run(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Flow> {
    let (classes, state) = (build()?, tempfile::tempdir_in(".")?);
    let (flow, application) = Flow::measure(runtime, kafka, |prefix| {
        let mut command = Command::new("java");
        command.args(["-Xmx1g", "-cp"]).arg(&classes).arg("Count").arg(kafka.brokers()).arg(prefix);
        command.args([format!("{prefix}_events"), format!("{prefix}_out")]).arg(state.path());
        Server::start(&mut command)
    })?;
    drop(application);
    Ok(flow)
}

/// Builds it below what cargo builds into; returns its class path.
fn build() -> anyhow::Result<PathBuf> {
    let folder = folder("kafka-streams")?;
    for (name, text) in FILES {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap_or(&folder))?;
        std::fs::write(file, text)?;
    }
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "package", "dependency:copy-dependencies", "-DoutputDirectory=target"]);
    output(maven.current_dir(&folder))?;
    Ok(folder.join("target/*"))
}
