//! One request at the gateway: find the route, run its function, answer.

use crate::error_code::ErrorCode;
use crate::idempotency::Idempotency;
use crate::project::{Live, Project};
use crate::request::{self, BodyError};
use crate::respond::{self, Answer, PlatformError};
use crate::settings::Settings;
use crate::transact::{Done, Transactor};
use crate::{cors, metrics, stamp};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use hyper::body::Body;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::SemaphorePermit;
use weir_runtime::{Args, HttpContext, Invocation, Origin, SpanKind};
use weir_schema::{FunctionName, InvocationId, TraceContext};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The gateway of one worker.
#[derive(Clone, Debug)]
pub struct Gateway {
    transactor: Transactor,
    live: Live,
    in_flight: Rc<Cell<usize>>,
}

/// What a request turned out to be.
struct Target {
    function: FunctionName,
    args: Args,
    context: HttpContext,
}

/// A request that is under way; given back when it ends, however it ends.
struct Permit(Rc<Cell<usize>>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Gateway {
    /// A gateway that runs the functions of `live` on `transactor`'s worker.
    #[must_use]
    pub fn new(transactor: Transactor, live: Live) -> Self {
        Self { transactor, live, in_flight: Rc::default() }
    }

    /// What the gateway is told now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.live.borrow().settings.clone()
    }

    /// Answers one request. An invocation that has begun goes on if the client hangs up, so its caller spawns this.
    pub async fn answer<B>(self: Rc<Self>, request: Request<B>, peer: SocketAddr) -> Answer
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let project = self.live.borrow().clone();
        let (trace, parent) = request::trace(&head.headers, project.settings.sample);
        let started = Instant::now();
        let mut function = None;
        let mut answer = if cors::is_preflight(&head.method, &head.headers) {
            preflight(&project, &head)
        } else {
            let answer = self.route(&project, &head, body, peer, trace, &mut function).await;
            let mut answer = answer.unwrap_or_else(|refused| *refused);
            cors::allow(&project.settings, &head.headers, answer.headers_mut());
            answer
        };
        stamp::trace(answer.headers_mut(), &trace);
        let (status, took) = (answer.status().as_u16(), started.elapsed());
        metrics::request(function.as_ref(), status, took);
        self.transactor.session.record("request", trace, parent, started, |span| {
            span.kind = SpanKind::Server;
            span.attributes = vec![
                ("http.request.method", head.method.to_string()),
                ("url.path", head.uri.path().to_owned()),
                ("http.response.status_code", status.to_string()),
                ("weir.function", function.as_ref().map(ToString::to_string).unwrap_or_default()),
            ];
            span.error = (status >= 500).then(|| format!("status {status}"));
        });
        log_access(&head, status, took, function.as_ref(), &trace);
        answer
    }

    async fn route<B>(
        &self,
        project: &Project,
        head: &http::request::Parts,
        body: B,
        peer: SocketAddr,
        trace: TraceContext,
        function: &mut Option<FunctionName>,
    ) -> Result<Answer, Box<Answer>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _permit = self.admit(&project.settings)?;
        let target = target(project, head, body, peer, function).await?;
        let idempotency = head.headers.get(IDEMPOTENCY_KEY).and_then(|v| v.to_str().ok()).map(|key| {
            let what = [head.method.as_str(), head.uri.path(), head.uri.query().unwrap_or_default()];
            let what = [what[0].as_bytes(), what[1].as_bytes(), what[2].as_bytes(), &target.context.body];
            Idempotency::new(&target.function, key, &what)
        });
        let limits = project.settings.limits_of(&target.function);
        let _slot = enter(&project.settings, &target.function, limits.wall).await?;
        let invocation = Rc::new(Invocation {
            id: InvocationId(fastrand::u128(..)),
            limits,
            function: target.function,
            args: target.args,
            hops: 0,
            attempt: 1,
            trace: trace.child(fastrand::u64(..)),
            origin: Origin::Http(Box::new(target.context)),
            replay: None,
        });
        let done = self.transactor.run(&project.code, &invocation, idempotency.as_ref(), trace, false).await;
        Ok(finish(done, &invocation, project.settings.is_dev))
    }

    fn admit(&self, settings: &Settings) -> Result<Permit, Box<Answer>> {
        if self.in_flight.get() >= settings.max_in_flight {
            return Err(full("this node has as many requests under way as it takes"));
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok(Permit(self.in_flight.clone()))
    }
}

/// A place among those that run `function`, where only so many may.
async fn enter<'s>(
    settings: &'s Settings,
    function: &FunctionName,
    patience: Duration,
) -> Result<Option<SemaphorePermit<'s>>, Box<Answer>> {
    let Some(slots) = settings.slots.get(function) else { return Ok(None) };
    match slots.enter(patience).await {
        Some(place) => Ok(Some(place)),
        None => Err(full(format!(
            "{function} has as many requests under way and waiting as it takes (weir.functions.{function}.maxConcurrent and maxQueued)"
        ))),
    }
}

fn full(text: impl Into<String>) -> Box<Answer> {
    Box::new(PlatformError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::FULL, text).answer())
}

fn preflight(project: &Project, head: &http::request::Parts) -> Answer {
    let allowed = project.router.allowed(head.uri.path());
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    cors::answer_preflight(&project.settings, &allowed, &head.headers, answer.headers_mut());
    answer
}

async fn target<B>(
    project: &Project,
    head: &http::request::Parts,
    body: B,
    peer: SocketAddr,
    function: &mut Option<FunctionName>,
) -> Result<Target, Box<Answer>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = head.uri.path();
    let settings = &*project.settings;
    let remote = request::remote(peer, &head.headers, settings);
    let matched = project.router.find(head.method.as_str(), path);
    let found = match (&matched, private_function(path)) {
        (Some(m), _) => m.route.function.clone(),
        (None, Some(_)) if !request::is_local(peer, &head.headers) => {
            return Err(Box::new(
                PlatformError::new(StatusCode::FORBIDDEN, ErrorCode::FORBIDDEN, "forbidden").answer(),
            ));
        }
        (None, Some(private)) => private,
        (None, None) => return Err(Box::new(respond::not_found(&project.router.allowed(path)))),
    };
    // what is no function gets no number of its own: their count must not grow with what is asked for
    if project.code.has_function(&found) {
        *function = Some(found.clone());
    }
    let body =
        request::read_body(&head.headers, body, settings).await.map_err(|e| refuse_body(&e, settings))?;
    let read = match &matched {
        Some(m) => request::of_route(&head.method, &head.uri, &head.headers, &body, m, remote),
        None => request::of_private(&head.method, &head.uri, &head.headers, &body, remote),
    };
    let (args, context) = read.map_err(|e| refuse_body(&e, settings))?;
    Ok(Target { function: found, args, context })
}

fn refuse_body(error: &BodyError, settings: &Settings) -> Box<Answer> {
    let error = match error {
        BodyError::TooLarge => {
            let text = format!("the body is larger than {} bytes (weir.limits.body)", settings.body);
            PlatformError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BODY_TOO_LARGE, text)
        }
        BodyError::Broken(why) => {
            PlatformError::new(StatusCode::BAD_REQUEST, ErrorCode::BODY_BROKEN, why.clone())
        }
        BodyError::NotJson(why) => {
            let text = format!("the body is not JSON, as its Content-Type says: {why}");
            PlatformError::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::BODY_NOT_JSON, text)
        }
    };
    let mut answer = error.answer();
    // what is left of the body is not read, so the connection cannot serve another request
    answer.headers_mut().insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    Box::new(answer)
}

fn finish(done: Done, invocation: &Invocation, is_dev: bool) -> Answer {
    let mut answer = match done.result {
        Ok(reply) => respond::reply(reply),
        Err(refusal) => {
            log_refusal(&refusal, invocation);
            respond::refusal(&refusal, is_dev)
        }
    };
    stamp::invocation(answer.headers_mut(), invocation, done.usage);
    if done.replayed {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

/// `/private/NAME` is `app/private/NAME.lua`.
fn private_function(path: &str) -> Option<FunctionName> {
    let name = path.trim_matches('/').strip_prefix("private/")?;
    FunctionName::new(&format!("private/{name}")).ok()
}

/// Whole microseconds: more digits say nothing, and hide those that do.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

fn log_refusal(refusal: &crate::transact::Refusal, invocation: &Invocation) {
    use crate::transact::Refusal;
    let (function, id) = (&invocation.function, invocation.id);
    match refusal {
        Refusal::Failed(f) if f.kind == weir_runtime::FailureKind::Refused => {
            tracing::debug!(%function, %id, "{}", f.message);
        }
        Refusal::Failed(f) => {
            let stack = f.stack.join("\n  ");
            tracing::warn!(%function, %id, code = f.kind.code(), "{}\n{}\n  {stack}", f.message, f.frame);
        }
        other => tracing::warn!(%function, %id, "{other}"),
    }
}

fn log_access(
    head: &http::request::Parts,
    status: u16,
    took: Duration,
    function: Option<&FunctionName>,
    trace: &TraceContext,
) {
    tracing::info!(
        target: "access",
        status,
        ms = ms(took),
        method = %head.method,
        path = head.uri.path(),
        function = function.map_or("-", FunctionName::as_str),
        trace_id = %trace.trace_id_hex(),
        span_id = %trace.span_id_hex(),
    );
}
