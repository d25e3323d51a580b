//! The sockets of a server, bound before anything is started: an address in use is one clear line.

use anyhow::Context as _;
use std::net::{SocketAddr, TcpListener};
use weir_config::Config;
use weir_gateway::listen;

/// Bound, and not serving yet.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// One per worker, on one address.
    pub(crate) gateway: Vec<TcpListener>,
    pub(crate) admin: TcpListener,
    pub(crate) write_proxy: TcpListener,
    pub(crate) health: Option<TcpListener>,
}

/// Where a server is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Addresses {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) write_proxy: SocketAddr,
}

impl Listeners {
    pub(crate) fn bind(config: &Config, workers: usize) -> anyhow::Result<Self> {
        // SO_REUSEPORT lets the workers share the port; so that another server does not share it too, it is first
        // bound without
        probe(
            config.gateway,
            "gateway",
            "--listen ADDRESS or --port N, or functionInvoker in the configuration",
        )?;
        let first = listen(config.gateway).with_context(|| format!("listen on {}", config.gateway))?;
        let shared = first.local_addr()?;
        let mut gateway = vec![first];
        for _ in 1..workers {
            gateway.push(listen(shared).with_context(|| format!("listen on {shared}"))?);
        }
        let bind = |address, name, remedy| {
            probe(address, name, remedy)?;
            listen(address).with_context(|| format!("listen on {address}"))
        };
        Ok(Self {
            gateway,
            admin: bind(
                config.admin.listen,
                "admin API",
                "--admin ADDRESS or --port N, or weir.admin.listen",
            )?,
            write_proxy: bind(
                config.write_proxy.listen,
                "write proxy",
                "--write-proxy ADDRESS or --port N, or writeProxyListen",
            )?,
            health: config
                .health
                .map(|address| bind(address, "health listener", "weir.health.listen"))
                .transpose()?,
        })
    }

    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        let gateway = self.gateway.first().context("a server has at least one worker")?.local_addr()?;
        Ok(Addresses {
            gateway,
            admin: self.admin.local_addr()?,
            write_proxy: self.write_proxy.local_addr()?,
        })
    }
}

fn probe(address: SocketAddr, name: &str, remedy: &str) -> anyhow::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    TcpListener::bind(address)
        .map(drop)
        .with_context(|| format!("the {name} cannot listen on {address} (use {remedy})"))
}
