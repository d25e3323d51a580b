//! The Kafka broker of the tests: one of their own in a temporary folder, or those that `WEIR_TEST_KAFKA` names.

use super::server::folder_of;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What the broker is made of.
const POM: &str = include_str!("broker/pom.xml");
/// Its settings, but for its ports.
const SETTINGS: &str = include_str!("broker/server.properties");
/// The folder below the target folder that it is fetched into.
const PROGRAMS: &str = "kafka-4.1.1";
/// A file of it.
const MAIN: &str = "kafka_2.13-4.1.1.jar";
/// How long it may take to start on a machine that has other things to do.
const START: Duration = Duration::from_secs(90);
/// Ports can be taken between the look and the start.
const TRIES: u32 = 3;

const INSTALL: &str = "Install Java 17 and Maven (Debian: apt-get install default-jre-headless maven; Fedora: dnf install \
    java-21-openjdk-headless maven; macOS: brew install openjdk maven), or name brokers in WEIR_TEST_KAFKA, or leave these \
    tests out: cargo test -- --skip kafka";

/// Makes a cluster of one in the folder `$1` with the programs in `$2`, tells its process, waits until whoever asked for it
/// is gone, however it ended, and removes it.
const SCRIPT: &str = r#"
cd "$1" || exit 1
java -XX:TieredStopAtLevel=1 -cp "$2/*" kafka.tools.StorageTool format -t nqLTxqqvQOmD2WGiRPbmNw -c server.properties >log 2>&1 ||
  { cat log; rm -rf "$1"; exit 1; }
java -Xmx512m -Xms128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$2/*" kafka.Kafka server.properties >>log 2>&1 </dev/null &
echo "ready $!"
cat >/dev/null
kill -9 $!
wait $!
cd / && rm -rf "$1"
"#;

/// Brokers that take tests.
#[derive(Debug)]
pub struct Broker {
    brokers: String,
    /// Of the broker, if it is the tests' own.
    process: Option<u32>,
    /// The broker is stopped when this process's end of it is closed.
    _lifeline: Option<ChildStdin>,
}

impl Broker {
    /// The broker of this process; started when it is first asked for.
    ///
    /// # Panics
    /// If there is none: tests that need one must not pass without.
    pub fn shared() -> &'static Self {
        static BROKER: OnceLock<Result<Broker, String>> = OnceLock::new();
        match BROKER.get_or_init(Self::find) {
            Ok(broker) => broker,
            Err(why) => panic!("{why}"),
        }
    }

    /// Where it is: `host:port`, of several separated by commas.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Sends the broker a signal, by its name.
    ///
    /// # Errors
    /// It is not the tests' own, or there is no such signal.
    pub fn signal(&self, name: &str) -> Result<(), String> {
        let process = self.process.ok_or("the broker is not ours to hurt")?.to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().map_err(|e| e.to_string())?;
        if sent.success() { Ok(()) } else { Err(format!("signal {name} was not sent")) }
    }

    fn find() -> Result<Self, String> {
        if let Some(brokers) = std::env::var_os("WEIR_TEST_KAFKA") {
            let brokers = brokers.into_string().map_err(|_| "WEIR_TEST_KAFKA is no text")?;
            return Ok(Self { brokers, process: None, _lifeline: None });
        }
        Self::own()
    }

    /// Starts a broker of the caller's own, to be hurt.
    ///
    /// # Errors
    /// There is no Java or no Maven here, or it does not start.
    pub fn own() -> Result<Self, String> {
        let programs = programs()?;
        let mut last = Err(String::new());
        for _ in 0..TRIES {
            last = Self::start(&programs);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn start(programs: &Path) -> Result<Self, String> {
        let folder = folder_of("weir-kafka")?;
        let (port, controller) = (free_port()?, free_port()?);
        let settings = SETTINGS
            .replace("{port}", &port.to_string())
            .replace("{controller}", &controller.to_string())
            .replace("{folder}", &folder.display().to_string());
        fs::write(folder.join("server.properties"), settings).map_err(|e| e.to_string())?;
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(&folder)
            .arg(programs)
            // signals of a terminal are for the tests; the broker ends when they have
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // at the end the shell tells that the broker was killed
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("cannot start a shell: {e}"))?;
        let process = process_of(&mut child)?;
        let (brokers, lifeline) = (format!("127.0.0.1:{port}"), child.stdin.take());
        let broker = Self { brokers, process: Some(process), _lifeline: lifeline };
        broker.await_answer(process, &folder)?;
        Ok(broker)
    }

    /// Waits until it answers: a port is open earlier.
    fn await_answer(&self, process: u32, folder: &Path) -> Result<(), String> {
        let (admin, patience) = (self.admin()?, Instant::now() + START);
        loop {
            if admin.inner().fetch_metadata(None, Duration::from_millis(500)).is_ok() {
                return Ok(());
            }
            let is_there = Path::new(&format!("/proc/{process}")).exists() || !Path::new("/proc").exists();
            if !is_there || Instant::now() > patience {
                let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("the broker did not start:\n{said}"));
            }
        }
    }

    /// Removes every topic whose name begins with `prefix`.
    ///
    /// # Errors
    /// What the broker said.
    pub async fn remove(&self, prefix: &str) -> Result<(), String> {
        let admin = self.admin()?;
        let metadata = admin.inner().fetch_metadata(None, START).map_err(|e| e.to_string())?;
        let names: Vec<_> =
            metadata.topics().iter().map(|t| t.name()).filter(|n| n.starts_with(prefix)).collect();
        admin.delete_topics(&names, &AdminOptions::new()).await.map(drop).map_err(|e| e.to_string())
    }

    /// Makes the brokers forget a group, with all the offsets that it has committed.
    ///
    /// # Errors
    /// What the broker said.
    pub async fn forget(&self, group: &str) -> Result<(), String> {
        let forgotten = self.admin()?.delete_groups(&[group], &AdminOptions::new()).await;
        match forgotten.map_err(|e| e.to_string())?.into_iter().next() {
            Some(Err((_, code))) => Err(code.to_string()),
            _ => Ok(()),
        }
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("reconnect.backoff.max.ms", "200");
        config.create().map_err(|e| e.to_string())
    }
}

/// A name for topics that nobody else has, removed at the end with what bears it.
#[derive(Debug)]
pub struct Prefix {
    broker: &'static Broker,
    name: String,
}

impl Prefix {
    /// A name that nobody else has.
    pub fn fresh() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::SeqCst);
        Self { broker: Broker::shared(), name: format!("case-{}-{number}", std::process::id()) }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its topics are.
    #[must_use]
    pub fn brokers(&self) -> &str {
        self.broker.brokers()
    }
}

impl Drop for Prefix {
    fn drop(&mut self) {
        let (broker, name) = (self.broker, format!("{}_", self.name));
        // a runtime must not be blocked on inside of another one
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|e| e.to_string())?.block_on(broker.remove(&name))
        });
        if let Ok(Err(error)) = removed.join() {
            tracing::warn!(error, prefix = self.name, "topics stay behind");
        }
    }
}

/// The process that the script tells of.
fn process_of(child: &mut Child) -> Result<u32, String> {
    let stdout = child.stdout.take().ok_or("the shell has no output")?;
    let mut said = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|e| e.to_string())?;
        if let Some(process) = line.strip_prefix("ready ").and_then(|process| process.parse().ok()) {
            return Ok(process);
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(format!("the broker could not be set up:\n{said}"))
}

/// The folder with what the broker is made of; fetched if it is not there.
fn programs() -> Result<PathBuf, String> {
    let runs = |program: &str| Command::new(program).arg("-version").output().is_ok();
    if !runs("java") {
        return Err(format!("there is no Java here. {INSTALL}"));
    }
    let test = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = test.ancestors().nth(3).ok_or("the test binary is in no target folder")?;
    let folder = target.join(PROGRAMS);
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
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", fetched.display()))
        .output()
        .map_err(|e| format!("mvn does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("Maven could not fetch a broker:\n{}", String::from_utf8_lossy(&output.stdout)));
    }
    match fs::rename(&fetched, folder) {
        Err(error) if !folder.join(MAIN).is_file() => Err(error.to_string()),
        // another was faster
        _ => Ok(()),
    }
}

/// A port that nobody uses now.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|e| e.to_string())
}
