//! The gateway's hello against nginx with Lua: one worker each, CPU per request, isolation and limits on.

use crate::load::{Load, wrk};
use crate::measure::{in_turns, median};
use crate::process::{Server, free_port, wait_for};
use crate::report::{Row, Target};
use crate::weir::Weir;
use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const SECONDS: u32 = 3;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let ours = start_weir(&folder.path().join("hello"))?;
    let theirs_port = free_port()?;
    let theirs = start_nginx(folder.path(), theirs_port)?;
    let (ours, theirs) =
        in_turns(|| Hello::measure(&ours.server, ours.port), || Hello::measure(&theirs, theirs_port))?;
    let (ours, theirs) = (Hello::median(&ours), Hello::median(&theirs));
    Ok(vec![Row {
        path: "gateway, hello function, isolation and limits on".into(),
        against: "nginx + Lua, CPU per request".into(),
        ours: ours.shown(),
        reference: theirs.shown(),
        value: theirs.cpu_us / ours.cpu_us,
        target: Target::AtLeast(1.0),
    }])
}

/// One server's figures.
#[derive(Debug)]
struct Hello {
    /// CPU of the server for each request.
    cpu_us: f64,
    load: Load,
}

impl Hello {
    fn measure(server: &Server, port: u16) -> anyhow::Result<Self> {
        let before = server.cpu()?;
        let load = wrk(&format!("http://127.0.0.1:{port}/hello"), 64, SECONDS, None)?;
        Ok(Self { cpu_us: (server.cpu()? - before) / load.requests * 1e6, load })
    }

    fn median(rounds: &[Self]) -> Self {
        let loads: Vec<Load> = rounds.iter().map(|r| r.load.clone()).collect();
        let cpu_us = median(&mut rounds.iter().map(|r| r.cpu_us).collect::<Vec<_>>());
        Self { cpu_us, load: Load::median(&loads) }
    }

    fn shown(&self) -> String {
        format!("{:.1} µs ({:.0}/s, p99 {:.2} ms)", self.cpu_us, self.load.per_second, self.load.p99_ms)
    }
}

fn start_weir(folder: &Path) -> anyhow::Result<Weir> {
    let files = [
        ("app/gateway.lua", "return {{'GET', '/hello', 'hello'}}"),
        ("app/hello.lua", "return function() return 'hello' end"),
        ("config/application.yml", "appName: hello\n"),
    ];
    Weir::start(folder, &files, &["--workers", "1", "--log", "memory"], ("GET", "/hello"), None)
}

fn start_nginx(folder: &Path, port: u16) -> anyhow::Result<Server> {
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
         load_module /usr/lib/nginx/modules/ndk_http_module.so;
         load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
         events {{ worker_connections 1024; }}
         http {{ access_log off; keepalive_requests 100000000;
           init_by_lua_block {{ cjson = require \"cjson\" }}
           server {{ listen 127.0.0.1:{port};
             location /hello {{ default_type application/json;
               content_by_lua_block {{ ngx.print(cjson.encode({{data = \"hello\"}})) }} }} }} }}",
        dir = folder.display()
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let server = Server::start(Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(folder));
    let server = server
        .context("nginx with Lua (Debian: apt-get install nginx-light libnginx-mod-http-lua lua-cjson)")?;
    wait_for(port)?;
    Ok(server)
}
