//! The admin API as commands use it: of a server, or of a node in this process, on the log alone.

use crate::args::Global;
use crate::log;
use crate::node::{Node, NodeOptions, RunTriggers};
use crate::project::Project;
use crate::run_file::Running;
use crate::terminal;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt as _;
use weir_config::Flags;

/// The end by which a command reaches a log.
#[derive(Debug)]
pub(crate) struct Api(Kind);

#[derive(Debug)]
enum Kind {
    Remote { base: String, token: Option<String>, client: reqwest::Client },
    Local { router: axum::Router, node: Box<Node> },
}

/// Whether a command needs the partitions of the triggers: only where no server has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Needs {
    /// It reads, or writes the log alone.
    Log,
    /// It moves triggers or works on what is parked.
    Triggers,
}

/// What the API answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Api {
    /// The server that the command line names, else the project's running one, else the log itself.
    pub(crate) async fn open(global: &Global, needs: Needs) -> anyhow::Result<Self> {
        let token = token();
        if let Some(url) = &global.url {
            terminal::which_log(&format!("server {url}"));
            return Self::remote(url, token);
        }
        let project = Project::of_command(global, None, &Flags::default())?;
        let env = project.config().environment.as_str();
        if let Some(running) = Running::find(&project.data_dir()) {
            terminal::which_log(&format!("server {} (pid {})", running.admin, running.pid));
            let own = project.config().admin.token.as_ref().map(|t| t.reveal().to_owned());
            return Self::remote(&running.admin, token.or(own));
        }
        terminal::which_log(&format!("{env} · {}", log::place(&project)));
        let triggers = if needs == Needs::Triggers { RunTriggers::Hold } else { RunTriggers::No };
        let node =
            Node::start(&project, NodeOptions { listeners: Vec::new(), triggers, wait: Duration::ZERO })
                .await?;
        // who may open the file needs no token
        let mut admin = node.admin.clone();
        let open = weir_gateway::AdminSettings { token: String::new(), ..(*admin.settings).clone() };
        admin.settings = std::sync::Arc::new(open);
        Ok(Self(Kind::Local { router: weir_gateway::admin_router(admin), node: Box::new(node) }))
    }

    fn remote(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        let client = client(url)?;
        Ok(Self(Kind::Remote { base: url.trim_end_matches('/').to_owned(), token, client }))
    }

    /// GET, as JSON.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Any method with a JSON body, as JSON; what is no success is an error with the server's words.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(|b| Bytes::from(b.to_string()));
        let reply = self.send(method, path, "application/json", body.unwrap_or_default()).await?;
        reply.json()
    }

    /// Any request.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> anyhow::Result<Reply> {
        match &self.0 {
            Kind::Remote { base, token, client } => {
                let mut request =
                    client.request(method, format!("{base}{path}")).header("content-type", kind).body(body);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let answer = request.send().await.with_context(|| format!("ask the server {base}"))?;
                let status = answer.status();
                Ok(Reply { status, body: answer.bytes().await.context("read the server's answer")? })
            }
            Kind::Local { router, .. } => {
                let request = Request::builder().method(method).uri(path).header("content-type", kind);
                let request = request.body(axum::body::Body::from(body)).context("make a request")?;
                let answer = router.clone().oneshot(request).await.expect("a router's error is an answer");
                let status = answer.status();
                let body = answer.into_body().collect().await.context("read the answer")?.to_bytes();
                Ok(Reply { status, body })
            }
        }
    }

    /// A stream of server-sent events, as it comes.
    pub(crate) async fn follow(
        &self,
        path: &str,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Bytes>>> {
        self.stream(Method::GET, path, "text/event-stream", Bytes::new()).await
    }

    /// An answer that comes bit by bit, to a request with a JSON body or none.
    pub(crate) async fn stream(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> anyhow::Result<BoxStream<'static, anyhow::Result<Bytes>>> {
        let (status, stream): (StatusCode, BoxStream<'static, anyhow::Result<Bytes>>) = match &self.0 {
            Kind::Remote { base, token, client } => {
                let request = client.request(method, format!("{base}{path}")).header("accept", accept);
                let mut request = request.header("content-type", "application/json").body(body);
                if let Some(token) = token {
                    request = request.bearer_auth(token);
                }
                let answer = request.send().await.with_context(|| format!("ask the server {base}"))?;
                let status = answer.status();
                (status, answer.bytes_stream().map(|b| b.context("follow the server")).boxed())
            }
            Kind::Local { router, .. } => {
                let request = Request::builder().method(method).uri(path).header("accept", accept);
                let request = request.header("content-type", "application/json");
                let request = request.body(axum::body::Body::from(body)).context("make a request")?;
                let answer = router.clone().oneshot(request).await.expect("a router's error is an answer");
                let status = answer.status();
                let stream = answer.into_body().into_data_stream();
                (status, stream.map(|b| b.context("follow the log")).boxed())
            }
        };
        if !status.is_success() {
            let body: Vec<_> = stream.filter_map(|b| async { b.ok() }).collect().await;
            Reply { status, body: body.concat().into() }.json()?;
            bail!("the server answered {status}");
        }
        Ok(stream)
    }

    /// Closes the log, if this process opened it.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.0 {
            Kind::Remote { .. } => Ok(()),
            Kind::Local { node, .. } => node.stop().await,
        }
    }
}

/// A client for one server. The system's certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, are read
/// only where they are needed: a machine may have none.
fn client(url: &str) -> anyhow::Result<reqwest::Client> {
    // of two clients the second finds it there
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = reqwest::Client::builder().no_proxy();
    let builder = match url.split_once("://") {
        Some(("https", _)) => builder,
        Some(("http", _)) => builder.tls_certs_only([]),
        _ => bail!("{url}: write the admin API as http://HOST:PORT or https://HOST"),
    };
    builder.build().context("make an HTTP client")
}

impl Reply {
    /// The stable code of an error (docs/errors.md).
    pub(crate) fn has_code(&self, code: &str) -> bool {
        let value: Option<Value> = serde_json::from_slice(&self.body).ok();
        !self.status.is_success() && value.is_some_and(|v| v["code"] == code)
    }

    /// The body; what is no success is an error with the server's words.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        let value = if self.body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&self.body) };
        if self.status.is_success() {
            return value.context("the server's answer is not JSON");
        }
        let text = value.ok().and_then(|v| v["error"].as_str().map(str::to_owned));
        match text {
            Some(text) => bail!("{text}"),
            None => bail!("the server answered {}: {}", self.status, String::from_utf8_lossy(&self.body)),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the token is never a flag: others see command lines")]
fn token() -> Option<String> {
    std::env::var("WEIR_TOKEN").ok().filter(|t| !t.is_empty())
}

/// A path's segment or a query's value, percent-encoded.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
