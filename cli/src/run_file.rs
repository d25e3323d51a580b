//! `.weir/run.json`: where the project's running server is.

use crate::listeners::Addresses;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file while the server runs.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

/// What it says.
#[derive(serde::Serialize, serde::Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    pub(crate) gateway: String,
    pub(crate) admin: String,
    pub(crate) write_proxy: String,
}

impl RunFile {
    /// Writes it, whole or not at all.
    pub(crate) fn write(data: &Path, addresses: &Addresses) -> anyhow::Result<Self> {
        let running = Running {
            pid: std::process::id(),
            gateway: url(addresses.gateway),
            admin: url(addresses.admin),
            write_proxy: url(addresses.write_proxy),
        };
        let (file, draft) = (data.join("run.json"), data.join(format!("run.json.{}", running.pid)));
        std::fs::create_dir_all(data).with_context(|| format!("make the folder {}", data.display()))?;
        std::fs::write(&draft, serde_json::to_vec_pretty(&running)?)
            .and_then(|()| std::fs::rename(&draft, &file))
            .with_context(|| format!("write {}", file.display()))?;
        Ok(Self(file))
    }

    /// Removes it, if it is still this process's.
    pub(crate) fn remove(self) {
        if Running::read(&self.0).is_some_and(|r| r.pid == std::process::id()) {
            drop(std::fs::remove_file(&self.0)); // a file that stays is told from a living server by its pid
        }
    }
}

impl Running {
    /// The project's server, if it lives.
    pub(crate) fn find(data: &Path) -> Option<Self> {
        Self::read(&data.join("run.json"))
            .filter(|r| Path::new(&format!("/proc/{}", r.pid)).exists() || !cfg!(target_os = "linux"))
    }

    fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(file).ok()?).ok()
    }
}

/// An address as a browser takes it: one that stands for all interfaces is shown as loopback.
pub(crate) fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("http://{address}")
}
