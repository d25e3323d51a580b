//! The gateway's hello against nginx with Lua: one worker each, CPU per request, isolation and limits on.

use crate::measure::{ROUNDS, median};
use crate::process::{Server, free_port, wait_for, weir, wrk};
use crate::report::{Row, Target};
use anyhow::Context as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const SECONDS: u32 = 3;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (ours_port, theirs_port) = (free_port()?, free_port()?);
    let ours = start_weir(&folder.path().join("hello"), ours_port)?;
    let theirs = start_nginx(folder.path(), theirs_port)?;
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let (mut rates, mut tails) = ((Vec::new(), Vec::new()), (String::new(), String::new()));
    for _ in 0..ROUNDS {
        for (server, port, path, cpu, rate, tail) in [
            (&ours, ours_port, "/hello", &mut a, &mut rates.0, &mut tails.0),
            (&theirs, theirs_port, "/hello", &mut b, &mut rates.1, &mut tails.1),
        ] {
            let before = server.cpu()?;
            let load = wrk(&format!("http://127.0.0.1:{port}{path}"), SECONDS)?;
            cpu.push((server.cpu()? - before) / load.requests * 1e6);
            rate.push(load.per_second);
            *tail = load.p99;
        }
    }
    let (ours_cpu, theirs_cpu) = (median(&mut a), median(&mut b));
    Ok(vec![Row {
        path: "gateway, hello function, isolation and limits on".into(),
        against: "nginx + Lua, CPU per request".into(),
        ours: format!("{ours_cpu:.1} µs ({:.0}/s, p99 {})", median(&mut rates.0), tails.0),
        reference: format!("{theirs_cpu:.1} µs ({:.0}/s, p99 {})", median(&mut rates.1), tails.1),
        value: theirs_cpu / ours_cpu,
        target: Target::AtLeast(1.0),
    }])
}

fn start_weir(folder: &Path, port: u16) -> anyhow::Result<Server> {
    for part in ["app", "config"] {
        fs::create_dir_all(folder.join(part))?;
    }
    fs::write(folder.join("app/gateway.lua"), "return {{\"GET\", \"/hello\", \"hello\"}}\n")?;
    fs::write(folder.join("app/hello.lua"), "return function() return \"hello\" end\n")?;
    fs::write(folder.join("config/application.yml"), "appName: hello\n")?;
    let admin = free_port()?;
    let proxy = free_port()?;
    let server = Server::start(
        Command::new(weir()?)
            .args(["start", "--workers", "1", "--log", "memory"])
            .args([
                "--listen".to_owned(),
                format!("127.0.0.1:{port}"),
                "--admin".to_owned(),
                format!("127.0.0.1:{admin}"),
                "--write-proxy".to_owned(),
                format!("127.0.0.1:{proxy}"),
                "--log-level".to_owned(),
                "warn".to_owned(),
            ])
            .arg(folder),
    )?;
    wait_for(port)?;
    Ok(server)
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
