//! What functions cost behind HTTP, against the same in nginx with Lua: one worker each, CPU per request, isolation and
//! limits on.

use crate::http::request;
use crate::load::{Load, wrk};
use crate::measure::{in_turns, median};
use crate::process::{Server, free_port, wait_for};
use crate::report::{Row, Target};
use crate::weir::Weir;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECONDS: u32 = 3;
const CONNECTIONS: u32 = 64;

/// The same work in both.
struct Case {
    path: &'static str,
    against: &'static str,
    url: &'static str,
    /// Bytes of the JSON that is sent; 0: nothing, by `GET`.
    sends: usize,
    target: Target,
}

const HELLO: Case = Case {
    path: "gateway, hello function, isolation and limits on",
    against: "nginx + Lua, CPU per request",
    url: "/hello",
    sends: 0,
    target: Target::AtLeast(1.0),
};

const fn echo(path: &'static str, sends: usize) -> Case {
    Case {
        path,
        against: "nginx + Lua (cjson), CPU per request",
        url: "/echo",
        sends,
        target: Target::AtLeast(1.0),
    }
}

const CASES: [Case; 7] = [
    HELLO,
    echo("gateway, JSON echo of 1 KB", 1_000),
    echo("gateway, JSON echo of 10 KB", 10_000),
    echo("gateway, JSON echo of 100 KB", 100_000),
    Case {
        path: "gateway, state get and set in one transaction, log in memory",
        against: "nginx + Lua, get and set of a shared dictionary, no transaction, CPU per request",
        url: "/state",
        sends: 0,
        target: Target::None,
    },
    Case {
        path: "gateway, 10 `flow.call`s one after the other",
        against: "nginx + Lua, 10 `ngx.location.capture`s, CPU per request",
        url: "/calls",
        sends: 0,
        target: Target::None,
    },
    Case {
        path: "gateway, a request to another server on this machine",
        against: "nginx + Lua, `ngx.location.capture` of a proxied location, CPU per request",
        url: "/out",
        sends: 0,
        target: Target::None,
    },
];

const FILES: [(&str, &str); 6] = [
    (
        "app/gateway.lua",
        "return {
           {'GET', '/hello', 'hello'}, {'POST', '/echo', 'echo'}, {'GET', '/state', 'state'}, {'GET', '/calls', 'calls'},
           {'GET', '/out', 'out'},
         }",
    ),
    ("app/hello.lua", "return function() return 'hello' end"),
    ("app/echo.lua", "return function(args) return args end"),
    (
        "app/state.lua",
        "local state = require 'weir/state'
         return function()
           local seen = (state.get('counters', 'k') or {n = 0}).n + 1
           state.set('counters', 'k', {n = seen})
           return seen
         end",
    ),
    (
        "app/calls.lua",
        "local flow = require 'flow'
         return function()
           local sum = 0
           for i = 1, 10 do sum = sum + flow.call('callee', {n = i}).n end
           return sum
         end",
    ),
    ("app/callee.lua", "return function(args) return {n = args.n} end"),
];

/// What `FILES` do, for nginx.
const LOCATIONS: &str = r#"
location /hello { content_by_lua_block { ngx.print(cjson.encode({data = "hello"})) } }
location /echo { content_by_lua_block {
  ngx.req.read_body()
  ngx.print(cjson.encode({data = cjson.decode(ngx.req.get_body_data())})) } }
location /state { content_by_lua_block {
  local kept = ngx.shared.counters:get("k")
  local seen = (kept and cjson.decode(kept) or {n = 0}).n + 1
  ngx.shared.counters:set("k", cjson.encode({n = seen}))
  ngx.print(cjson.encode({data = seen})) } }
location /calls { content_by_lua_block {
  local sum = 0
  for i = 1, 10 do
    local answer = ngx.location.capture("/callee", {method = ngx.HTTP_POST, body = cjson.encode({n = i})})
    sum = sum + cjson.decode(answer.body).n
  end
  ngx.print(cjson.encode({data = sum})) } }
location /callee { content_by_lua_block {
  ngx.req.read_body()
  ngx.print(cjson.encode({n = cjson.decode(ngx.req.get_body_data()).n})) } }
location /out { content_by_lua_block {
  ngx.print(cjson.encode({data = ngx.location.capture("/proxied").body})) } }
location /proxied { proxy_pass http://other/; proxy_http_version 1.1; proxy_set_header Connection ""; }
"#;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    measure(&CASES)
}

/// The first row alone.
pub(crate) fn hello() -> anyhow::Result<Vec<Row>> {
    measure(&[HELLO])
}

fn measure(cases: &[Case]) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (theirs_port, other_port) = (free_port()?, free_port()?);
    let _other = start_other(&folder.path().join("other"), other_port)?;
    let ours = start_weir(&folder.path().join("functions"), other_port)?;
    let theirs = start_nginx(folder.path(), theirs_port, other_port)?;
    let row = |case: &Case| {
        let body = body(case.sends);
        same_answer(case, &body, ours.port, theirs_port)?;
        let script = script(folder.path(), &body)?;
        let load = |server, port| {
            Cost::measure(server, &format!("http://127.0.0.1:{port}{}", case.url), script.as_deref())
        };
        let (ours, theirs) = in_turns(|| load(&ours.server, ours.port), || load(&theirs, theirs_port))?;
        let (ours, theirs) = (Cost::median(&ours), Cost::median(&theirs));
        Ok(Row {
            path: case.path.into(),
            against: case.against.into(),
            ours: ours.shown(),
            reference: theirs.shown(),
            value: theirs.cpu_us / ours.cpu_us,
            target: case.target,
        })
    };
    cases.iter().map(row).collect()
}

/// One server's figures.
#[derive(Debug)]
struct Cost {
    /// CPU of the server for each request.
    cpu_us: f64,
    load: Load,
}

impl Cost {
    fn measure(server: &Server, url: &str, script: Option<&Path>) -> anyhow::Result<Self> {
        let before = server.cpu()?;
        let load = wrk(url, CONNECTIONS, SECONDS, script)?;
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

/// What both answer is the same JSON, written as shortly.
fn same_answer(case: &Case, body: &str, ours: u16, theirs: u16) -> anyhow::Result<()> {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let ask = |port| {
        let text = request(method, port, case.url, body)?;
        let value: serde_json::Value = serde_json::from_str(&text)?;
        anyhow::Ok((value, text.trim_end().len()))
    };
    let (ours, theirs) = (ask(ours)?, ask(theirs)?);
    ensure!(ours == theirs, "{}: {ours:?} is answered, and by nginx {theirs:?}", case.path);
    Ok(())
}

/// About so many bytes of JSON.
fn body(bytes: usize) -> String {
    if bytes == 0 {
        return String::new();
    }
    let mut items = Vec::new();
    let mut size = 0;
    while size < bytes {
        let item = format!(r#"{{"id":{},"name":"item","price":9.75,"tags":["a","b"]}}"#, items.len());
        size += item.len() + 1;
        items.push(item);
    }
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

/// A script for `wrk` that sends `body`; none for nothing.
fn script(folder: &Path, body: &str) -> anyhow::Result<Option<PathBuf>> {
    if body.is_empty() {
        return Ok(None);
    }
    let file = folder.join(format!("send-{}.lua", body.len()));
    fs::write(
        &file,
        format!("wrk.method = 'POST' wrk.headers['Content-Type'] = 'application/json' wrk.body = '{body}'"),
    )?;
    Ok(Some(file))
}

fn start_weir(folder: &Path, other: u16) -> anyhow::Result<Weir> {
    let out = format!(
        "local http = require 'http' return function() return http.get('http://127.0.0.1:{other}/').body end"
    );
    let config = "appName: functions\nweir: {outbound: {private: [\"127.0.0.0/8\"]}}\n";
    let files = [&FILES[..], &[("app/out.lua", &out), ("config/application.yml", config)]].concat();
    Weir::start(folder, &files, &["--workers", "1", "--log", "memory"], ("GET", "/hello"), None)
}

/// The server that both ask.
fn start_other(folder: &Path, port: u16) -> anyhow::Result<Server> {
    fs::create_dir_all(folder)?;
    nginx(folder, port, "", "location / { return 200 \"pong\"; }")
}

fn start_nginx(folder: &Path, port: u16, other: u16) -> anyhow::Result<Server> {
    let upstream = format!("upstream other {{ server 127.0.0.1:{other}; keepalive 64; }}");
    nginx(folder, port, &upstream, LOCATIONS)
}

fn nginx(folder: &Path, port: u16, http: &str, locations: &str) -> anyhow::Result<Server> {
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log;
         load_module /usr/lib/nginx/modules/ndk_http_module.so;
         load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
         events {{ worker_connections 1024; }}
         http {{ access_log off; keepalive_requests 100000000; client_body_buffer_size 1m; client_body_temp_path {dir};
           default_type application/json; lua_shared_dict counters 1m;
           init_by_lua_block {{ cjson = require \"cjson\" }}
           {http}
           server {{ listen 127.0.0.1:{port}; {locations} }} }}",
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
