//! One broker's process.

use crate::conformance::shell::{folder, shell, start};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs a broker in the folder `$1` with the programs in `$2` by Java with the options that follow, tells its process, and waits to be told how it is to end:
/// `stop` and `kill` leave the folder. When whoever asked for it is gone, however it ended, it is killed and removed.
const SCRIPT: &str = r#"
cd "$1" || exit 1
[ -d data ] || java -XX:TieredStopAtLevel=1 -cp "$2/*" kafka.tools.StorageTool format -t nqLTxqqvQOmD2WGiRPbmNw \
  -c server.properties >log 2>&1 || { cat log; rm -rf "$1"; exit 1; }
folder=$1 programs=$2
shift 2
java "$@" -cp "$programs/*" kafka.Kafka server.properties >>log 2>&1 </dev/null &
echo "ready $!"
read -r end
[ "$end" = stop ] && kill $! || kill -9 $!
wait $!
[ -n "$end" ] || { cd / && rm -rf "$folder"; }
"#;

/// A broker that runs, or did: its folder is there as long as this.
#[derive(Debug)]
pub(super) struct Node {
    folder: PathBuf,
    /// `host:port`.
    pub(super) address: String,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shell: Child,
    process: u32,
}

impl Node {
    /// A broker with these settings, which does not run yet.
    pub(super) fn new(port: u16, settings: &str) -> Result<Self, String> {
        let folder = folder("weir-kafka")?;
        let settings = settings.replace("{folder}", &folder.display().to_string());
        fs::write(folder.join("server.properties"), settings).map_err(|e| e.to_string())?;
        Ok(Self { folder, address: format!("127.0.0.1:{port}"), running: None })
    }

    /// Starts it; it answers only later.
    pub(super) fn start(&mut self, programs: &Path, java: &[&str]) -> Result<(), String> {
        let mut command = shell(SCRIPT);
        // at the end the shell tells that the broker was killed
        command.arg(&self.folder).arg(programs).args(java).stderr(Stdio::null());
        let (shell, told) = start(&mut command).map_err(|why| format!("a broker: {why}"))?;
        let process = told.parse().map_err(|_| format!("a broker's process is a number, not {told:?}"))?;
        self.running = Some(Running { shell, process });
        Ok(())
    }

    /// Ends it by `stop` or `kill` and waits for that; what it has written stays.
    pub(super) fn end(&mut self, how: &str) -> Result<(), String> {
        let mut running = self.running.take().ok_or("the broker does not run")?;
        let orders = running.shell.stdin.as_mut().ok_or("the shell listens to nobody")?;
        writeln!(orders, "{how}").map_err(|e| e.to_string())?;
        running.shell.wait().map(drop).map_err(|e| e.to_string())
    }

    /// Sends its process a signal, by its name.
    pub(super) fn signal(&self, name: &str) -> Result<(), String> {
        let process = self.running.as_ref().ok_or("the broker does not run")?.process.to_string();
        let sent = Command::new("kill").args(["-s", name, &process]).status().map_err(|e| e.to_string())?;
        if sent.success() { Ok(()) } else { Err(format!("signal {name} was not sent")) }
    }

    /// Whether its process is there.
    pub(super) fn lives(&self) -> bool {
        let is_there = |process: u32| Path::new(&format!("/proc/{process}")).exists();
        self.running.as_ref().is_some_and(|running| is_there(running.process) || !Path::new("/proc").exists())
    }

    /// What it has written down of itself.
    pub(super) fn said(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // while it runs, its shell removes the folder
        if self.running.is_none() {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}
