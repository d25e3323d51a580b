//! Invocations that write state and append, over HTTP.

use super::cluster::{Kafka, PARTITIONS, read_all};
use crate::load::{Load, wrk};
use crate::measure::ROUNDS;
use crate::report::{Row, Target};
use crate::weir::Weir;
use anyhow::ensure;
use std::path::Path;
use tokio::runtime::Runtime;
use weir_log::all_rows;
use weir_log::conformance::range;

const CONNECTIONS: u32 = 256;
const SECONDS: u32 = 4;

const HIT: &str = "local state, topics = require 'state', require 'topics'
return function(args)
  state.add('seen', args.key, 1)
  topics.append('hits', {{key = args.key, value = {key = args.key}}})
end";

pub(crate) fn run(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Vec<Row>> {
    let rounds = (0..ROUNDS).map(|_| round(runtime, kafka)).collect::<anyhow::Result<Vec<_>>>()?;
    let load = Load::median(&rounds);
    let path = format!("invocation with state and append over HTTP, Kafka, {CONNECTIONS} connections");
    Ok(vec![Row::alone(path, "—", load.shown(), load.per_second, Target::AtLeast(15_000.0))])
}

fn round(runtime: &Runtime, kafka: &Kafka) -> anyhow::Result<Load> {
    let (folder, prefix) = (tempfile::tempdir_in(".")?, runtime.block_on(kafka.topics(&[]))?);
    let config = format!(
        "appName: hits\ntopics: [hits]\nweir: {{topics: {{hits: {{partitions: {PARTITIONS}}}}}}}\nlogStorage:\n  \
         production: {{driver: kafka, brokers: [\"{}\"], topicPrefix: {prefix}}}\n",
        kafka.brokers()
    );
    let files = [
        ("app/gateway.lua", "return {{'POST', '/hit/:key', 'hit'}}"),
        ("app/hit.lua", HIT),
        ("config/application.yml", &config),
    ];
    let weir = Weir::start(folder.path(), &files, &[], ("POST", "/hit/first"), None)?;
    let script = folder.path().join("hit.lua");
    let text = "local calls = 0
        function request() calls = calls + 1 return wrk.format('POST', '/hit/key-' .. calls % 1000) end";
    std::fs::write(&script, text)?;
    let load = wrk(&format!("http://127.0.0.1:{}/", weir.port), CONNECTIONS, SECONDS, Some(&script))?;
    drop(weir);
    let (counted, events) = runtime.block_on(found(kafka, &prefix, &folder.path().join(".weir")))?;
    ensure!(counted == events, "{counted} hits were counted, and {events} appended");
    ensure!(events as f64 >= load.requests, "{} were answered, and {events} are there", load.requests);
    Ok(load)
}

/// How many hits the rows of the log have, and how many events it has.
async fn found(kafka: &Kafka, prefix: &str, folder: &Path) -> anyhow::Result<(u64, u64)> {
    let log = kafka.log(prefix, folder).await?;
    let (hits, marks) = (log.topic("hits", PARTITIONS).await?, log.topic("marks", 1).await?);
    // what the server had committed when it was killed reaches Kafka before these two do
    log.fill(&marks, 2, 1).await?;
    let mut counted = 0;
    for (_, row) in all_rows(&**log.session.log(), range("seen", "", None)).await? {
        counted += std::str::from_utf8(&row.value)?.parse::<u64>()?;
    }
    let events = read_all(&**log.session.log(), &hits).await?;
    log.session.log().close().await?;
    Ok((counted, events))
}
