//! NATS JetStream: synced appends of 250 bytes, 256 in flight.

use super::{Beside, folder, output};
use crate::load::{Load, in_flight, wrk};
use crate::measure::in_turns;
use crate::process::{Server, free_port, wait_for};
use crate::report::{Row, Target};
use crate::store::Store;
use crate::syncs;
use crate::weir::Weir;
use anyhow::{Context as _, bail};
use async_nats::jetstream;
use bytes::Bytes;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::runtime::Runtime;
use weir_schema::{At, RecordsBuilder};

const IN_FLIGHT: u32 = 256;
const SECONDS: u32 = 4;
/// What is built where the system has no server that can sync each message.
const MODULE: &str = "github.com/nats-io/nats-server/v2@v2.15.2";

/// A string of JSON.
fn value() -> String {
    format!("\"{}\"", "7".repeat(248))
}

pub(crate) fn run() -> anyhow::Result<Beside> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let data = tempfile::tempdir_in(".")?;
    let ours = Topic::start(&data.path().join("ours"), None)?;
    let theirs = Stream::start(&runtime, &data.path().join("theirs"), None)?;
    let (network, stream) = in_turns(|| ours.append(IN_FLIGHT), || theirs.publish(&runtime, IN_FLIGHT))?;
    let process =
        (0..network.len()).map(|_| runtime.block_on(in_process())).collect::<Result<Vec<_>, _>>()?;
    let version = theirs.version.clone();
    drop((ours, theirs)); // what follows has the machine for itself
    let stream = Load::median(&stream);
    let row = |path: &str, ours: &Load, target| Row {
        path: path.into(),
        against: format!("{version}, JetStream, `sync_interval: always`, over the network"),
        ours: ours.shown(),
        reference: stream.shown(),
        value: ours.per_second / stream.per_second,
        target,
    };
    Ok(Beside {
        rows: vec![
            row(
                "synced appends, 250 B, 256 in flight, over the network (one HTTP request each)",
                &Load::median(&network),
                Target::AtLeast(1.0),
            ),
            row(
                "synced appends, 250 B, 256 in flight, ours in process",
                &Load::median(&process),
                Target::None,
            ),
        ],
        notes: vec![syncs(&runtime, data.path())?],
    })
}

/// What both sync when appends come one after the other.
fn syncs(runtime: &Runtime, data: &Path) -> anyhow::Result<String> {
    let (ours_trace, theirs_trace) = (data.join("ours.syncs"), data.join("theirs.syncs"));
    let ours = Topic::start(&data.join("ours traced"), Some(&ours_trace))?;
    let ours = syncs::per_request(&ours_trace, || Ok(ours.append(1)?.requests))?;
    let theirs = Stream::start(runtime, &data.join("theirs traced"), Some(&theirs_trace))?;
    let theirs = syncs::per_request(&theirs_trace, || Ok(theirs.publish(runtime, 1)?.requests))?;
    Ok(format!(
        "Appends: with one in flight Weir syncs {ours:.2} times an event, JetStream {theirs:.2} times a message (counted \
         by `strace` in a run of its own). As it comes, JetStream syncs every two minutes."
    ))
}

/// Ours: a topic behind the admin API.
#[derive(Debug)]
struct Topic {
    weir: Weir,
    script: PathBuf,
}

impl Topic {
    fn start(folder: &Path, traced: Option<&Path>) -> anyhow::Result<Self> {
        let files = [
            ("app/gateway.lua", "return {{'GET', '/', 'ready'}}"),
            ("app/ready.lua", "return function() return true end"),
            ("config/application.yml", "appName: appends\ntopics: [events]\n"),
        ];
        let weir = Weir::start(folder, &files, &["--log", "sqlite"], ("GET", "/"), traced)?;
        let script = folder.join("append.lua");
        let text = format!(
            "wrk.method = 'POST'
             wrk.headers['content-type'] = 'application/json'
             wrk.body = '{{\"value\":{}}}'",
            value()
        );
        fs::write(&script, text)?;
        Ok(Self { weir, script })
    }

    fn append(&self, connections: u32) -> anyhow::Result<Load> {
        let url = format!("http://127.0.0.1:{}/v1/topics/events/events", self.weir.admin);
        wrk(&url, connections, SECONDS, Some(&self.script))
    }
}

/// Ours without a network: the log in this process.
async fn in_process() -> anyhow::Result<Load> {
    let folder = tempfile::tempdir_in(".")?;
    let log = Store::Embedded.log(folder.path()).await?;
    let at = At { topic: log.topic("events", 1).await?.id, partition: 0 };
    let (appending, value) = (log.clone(), value());
    let load = in_flight(IN_FLIGHT, Duration::from_secs(SECONDS.into()), move || {
        let mut records = RecordsBuilder::default();
        records.push(at, None, Some(value.as_bytes()), []);
        let log = appending.clone();
        async move { log.append(records).await }
    })
    .await?;
    log.session.log().close().await?;
    Ok(load)
}

/// Theirs: a stream in files, each message synced before its acknowledgement.
#[derive(Debug)]
struct Stream {
    /// Ends when this is dropped.
    _server: Server,
    context: jetstream::Context,
    version: String,
}

impl Stream {
    fn start(runtime: &Runtime, folder: &Path, traced: Option<&Path>) -> anyhow::Result<Self> {
        let port = free_port()?;
        fs::create_dir(folder)?;
        let config = folder.join("nats.conf");
        let store = folder.join("store");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
        );
        fs::write(&config, text)?;
        let program = install(&config)?;
        let version = output(Command::new(&program).arg("--version"))?.replace(": v", " ");
        let mut command = Command::new(program);
        command.arg("-c").arg(config);
        let server = Server::start_traced(command, traced)?;
        wait_for(port)?;
        let context = runtime.block_on(stream(port))?;
        Ok(Self { _server: server, context, version })
    }

    fn publish(&self, runtime: &Runtime, tasks: u32) -> anyhow::Result<Load> {
        let (context, value) = (self.context.clone(), Bytes::from(value()));
        let publish = move || {
            let (context, value) = (context.clone(), value.clone());
            async move {
                let acknowledged = context.publish("events", value).await?;
                acknowledged.await?;
                Ok(())
            }
        };
        runtime.block_on(in_flight(tasks, Duration::from_secs(SECONDS.into()), publish))
    }
}

async fn stream(port: u16) -> anyhow::Result<jetstream::Context> {
    let client = async_nats::connect(format!("127.0.0.1:{port}")).await?;
    let context = jetstream::new(client);
    let config = jetstream::stream::Config {
        name: "events".to_owned(),
        subjects: vec!["events".to_owned()],
        storage: jetstream::stream::StorageType::File,
        ..Default::default()
    };
    context.create_stream(config).await?;
    Ok(context)
}

/// The system's server where it knows the configuration (from 2.10 on), else one that Go builds.
fn install(config: &Path) -> anyhow::Result<PathBuf> {
    let folder = folder("nats")?;
    let candidates = [PathBuf::from("nats-server"), folder.join("nats-server")];
    let knows = |program: &PathBuf| {
        let checked = output(Command::new(program).arg("-t").arg("-c").arg(config));
        checked.map(|_| program.clone()).map_err(|e| format!("{e:#}"))
    };
    let [system, built] = &candidates;
    let reason = match knows(system).or_else(|reason| knows(built).map_err(|_| reason)) {
        Ok(program) => return Ok(program),
        Err(reason) => reason,
    };
    let installed = output(Command::new("go").args(["install", MODULE]).env("GOBIN", &folder));
    if let Err(e) = installed {
        bail!(
            "nats-server from 2.10 on (or Go, to build it) is needed to sync each message: {reason}; {e:#}"
        );
    }
    knows(built).map_err(anyhow::Error::msg).context("the server that Go has built")
}
