//! The world of one test: a log in memory that is its own, a clock that stands until it is moved, and the project's
//! functions and triggers on them, run as a server runs them.

use super::answers::Answers;
use crate::node;
use crate::project::Project;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use weir_gateway::{Admin, AdminSettings, Calls, Gateway, Live, Metrics, Refusal, Transactor};
use weir_library::Services;
use weir_log::{Clock as _, Driver, LogConfig, ManualClock, SystemClock};
use weir_runtime::{Args, Code, Invocation, Origin, Reply, Session, Worker};
use weir_schema::{FunctionName, InvocationId, Millis, Offset, Position, TraceContext};
use weir_triggers::parked::EntryState;
use weir_triggers::{Pump, Replays, Triggers, parked_list, pump_channel};

/// How long triggers may take to become idle.
const IDLE_WITHIN: Duration = Duration::from_secs(20);

/// What all tests of a run share.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) project: Project,
    pub(super) worker: Rc<Worker>,
    pub(super) served: Arc<weir_gateway::Project>,
    pub(super) services: Arc<Services>,
    /// What is answered to requests that the project's functions send.
    pub(super) answers: Arc<Answers>,
}

impl Ground {
    /// Forgets what a test has left.
    pub(super) fn forget(&self) {
        self.services.forget_values();
        self.answers.forget();
    }
}

/// See the module's docs.
#[derive(Debug)]
pub(super) struct World {
    ground: Rc<Ground>,
    clock: Arc<ManualClock>,
    session: Arc<Session>,
    transactor: Transactor,
    /// Kept: who serves the project looks at it.
    live: watch::Sender<Arc<weir_gateway::Project>>,
    code: watch::Sender<Arc<Code>>,
    admin: axum::Router,
}

impl World {
    /// An empty log with the project's topics.
    pub(super) async fn open(ground: Rc<Ground>) -> anyhow::Result<Self> {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let config = LogConfig { driver: Driver::Memory, app: None, clock: clock.clone() };
        let log = weir_log::open(config).await.context("open a log in memory")?;
        let session = Arc::new(Session::new(log, clock.clone(), ground.project.function_env()));
        node::declare_topics(&ground.project, &session).await?;
        let transactor = Transactor { worker: ground.worker.clone(), session: session.clone() };
        let (live, _) = watch::channel(ground.served.clone());
        let (code, _) = watch::channel(ground.served.code.clone());
        let admin = weir_gateway::admin_router(admin_parts(&ground, &session, live.subscribe()));
        Ok(Self { ground, clock, session, transactor, live, code, admin })
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Does what a test's helper asks for; see `lua/test.lua` for the questions.
    pub(super) async fn answer(&self, what: &str, args: &Value) -> anyhow::Result<Value> {
        match what {
            "call" => self.call(args).await,
            "request" => self.request(args).await,
            "admin" => self.admin(args).await,
            "run" => self.run_triggers().await,
            "http" => self.ground.answers.prepare(args).map(|()| Value::Null),
            "requests" => Ok(self.ground.answers.sent()),
            "now" => Ok(json!(self.clock.now().0)),
            "advance" => self.advance(args),
            other => bail!("there is no {other}"),
        }
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.session.log().close().await.context("close the log")
    }

    async fn call(&self, args: &Value) -> anyhow::Result<Value> {
        let function =
            FunctionName::new(args["name"].as_str().context("call: the function's name is a text")?)?;
        let code = &self.ground.served.code;
        if !code.has_function(&function) {
            bail!("call: there is no function {function}: app/{function}.lua is missing");
        }
        let trace = TraceContext::root(fastrand::u128(..), fastrand::u64(..), false);
        let args = args.get("args").map_or_else(|| "{}".to_owned(), Value::to_string);
        let invocation = Rc::new(Invocation {
            id: InvocationId(fastrand::u128(..)),
            limits: self.ground.project.limits_of(&function),
            function,
            args: Args::Json(args.into()),
            hops: 0,
            attempt: 1,
            trace,
            origin: Origin::Call,
            replay: None,
        });
        let done = self.transactor.run(code, &invocation, None, trace, false).await;
        Ok(match done.result {
            Ok(Reply::Value(value)) => json!({ "result": text_or_json(&value) }),
            Ok(Reply::Response(response)) => {
                let headers = response.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                json!({ "result": answer_json(response.status, headers, &response.body) })
            }
            Err(Refusal::Failed(failure)) => json!({ "failed": {
                "error": text_or_json(&failure.payload),
                "code": failure.kind.code(),
                "message": failure.message,
                "place": failure.place,
            } }),
            Err(other) => bail!("{other}"),
        })
    }

    async fn request(&self, args: &Value) -> anyhow::Result<Value> {
        let text = |name: &str| args[name].as_str().with_context(|| format!("request: {name} is a text"));
        let body = match &args["body"] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let method = Method::from_bytes(text("method")?.as_bytes()).context("request: the method")?;
        let mut request = Request::builder().method(method).uri(text("path")?);
        for (name, value) in args["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().context("request: a header is a text")?);
        }
        let request = request.body(Full::new(Bytes::from(body))).context("request")?;
        let gateway = Rc::new(Gateway::new(self.transactor.clone(), self.live.subscribe()));
        let answer = gateway.answer(request, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes)?;
        let headers = head.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap_or_default()));
        Ok(answer_json(head.status.as_u16(), headers, &body))
    }

    /// A request to the admin API.
    async fn admin(&self, args: &Value) -> anyhow::Result<Value> {
        let method = Method::from_bytes(args["method"].as_str().unwrap_or("GET").as_bytes())?;
        let body = args.get("body").map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(args["path"].as_str().unwrap_or_default());
        let request =
            request.header("content-type", "application/json").body(axum::body::Body::from(body))?;
        let answer = self.admin.clone().oneshot(request).await.expect("a router's error is an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        crate::api::Reply { status, body }.json()
    }

    fn advance(&self, duration: &Value) -> anyhow::Result<Value> {
        let by = duration.as_str().context("advance: a duration is a text, as \"30s\"")?;
        let by = weir_schema::parse_duration(by)?;
        let by = i64::try_from(by.as_millis()).context("advance: too far")?;
        self.clock.set(Millis(self.clock.now().0.saturating_add(by)));
        Ok(Value::Null)
    }

    /// Lets the triggers run until nothing is left that they could do now, then stops them: between two calls nothing
    /// happens behind a test's back.
    async fn run_triggers(&self) -> anyhow::Result<Value> {
        let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
        let (pump, inbox) = pump_channel();
        let triggers = Triggers::new(self.session.clone(), vec![pump], shutdown.clone(), false);
        let pump = Pump::new(self.session.clone(), self.ground.worker.clone(), self.code.subscribe(), inbox);
        let pump = tokio::task::spawn_local(pump.run(stop.clone()));
        for declared in self.ground.project.config().triggers.iter().filter(|t| t.enabled) {
            let trigger = node::trigger(&self.ground.project, declared, &self.ground.served);
            triggers.start(trigger, Some(Position::Earliest), true).await?;
        }
        let idle = tokio::time::timeout(IDLE_WITHIN, self.idle(&triggers)).await;
        shutdown.cancel();
        triggers.stopped().await;
        stop.cancel();
        pump.await.context("run the triggers")?;
        match idle {
            Ok(done) => done.map(|()| Value::Null),
            Err(_) => {
                bail!("the triggers have not become idle within {IDLE_WITHIN:?}: does one cause itself?")
            }
        }
    }

    async fn idle(&self, triggers: &Triggers) -> anyhow::Result<()> {
        loop {
            let before = self.tails().await?;
            let status = triggers.status().await?;
            // what is paused, or has stopped by itself, waits for someone
            let is_done = |t: &weir_triggers::TriggerStatus| match t.state {
                "live" => t.lag == 0,
                "stopped" | "draining" | "seeking" => false,
                _ => true,
            };
            if status.iter().all(is_done) && !self.is_retry_due().await? && self.tails().await? == before {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
    }

    async fn tails(&self) -> anyhow::Result<Vec<Vec<Offset>>> {
        Ok(self.session.log().topics().await?.into_iter().map(|t| t.tail).collect())
    }

    /// Whether a parked event, the first of its key, may run again now.
    async fn is_retry_due(&self) -> anyhow::Result<bool> {
        let (now, mut keys) = (self.clock.now(), HashSet::new());
        for event in parked_list::list(&self.session, None).await? {
            let (group, entry) = (event.group, event.entry);
            let is_first = entry.key.is_none() || keys.insert((group, entry.partition, entry.key));
            let may_run = match entry.state {
                EntryState::Waiting => entry.due <= now,
                EntryState::Running => true,
                EntryState::Held => false,
            };
            if is_first && may_run {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }
}

/// The admin API on the log alone: triggers are only known to it.
fn admin_parts(ground: &Ground, session: &Arc<Session>, live: Live) -> Admin {
    let triggers = Triggers::new(session.clone(), Vec::new(), CancellationToken::new(), false);
    for declared in &ground.project.config().triggers {
        triggers.declare(node::trigger(&ground.project, declared, &ground.served));
    }
    let settings = ground.served.settings.clone();
    let limits = Arc::new(move |function: &_| settings.limits_of(function));
    Admin {
        session: session.clone(),
        replays: Replays::new(triggers.clone(), limits, false),
        live,
        calls: Arc::new(Calls::new(Vec::new())),
        triggers,
        settings: Arc::new(AdminSettings { token: String::new(), ..node::admin_settings(&ground.project) }),
        shutdown: CancellationToken::new(),
        metrics: Metrics(Arc::new(String::new)),
    }
}

fn answer_json<'a>(status: u16, headers: impl Iterator<Item = (&'a str, &'a str)>, body: &[u8]) -> Value {
    let headers: serde_json::Map<_, _> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), json!(value))).collect();
    json!({
        "status": status,
        "headers": headers,
        "body": String::from_utf8_lossy(body),
        "json": serde_json::from_slice::<Value>(body).ok(),
    })
}

fn text_or_json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes)))
}
