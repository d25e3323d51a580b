//! The client of the process.

use super::exchange::{HttpAnswer, HttpRequest, follow};
use super::resolve::{Guarded, Names, system};
use super::stand_in::StandIn;
use super::{HttpError, InvalidCertificates, Policy, tls};
use futures::future::{Either, ready};
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

/// How long an idle connection is kept. Servers close theirs after a minute or more.
const IDLE: Duration = Duration::from_secs(30);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// What holds for every request of the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboundSettings {
    /// What may be reached.
    pub policy: Policy,
    /// How long a request may take that says nothing of it, redirects and body included.
    pub timeout: Duration,
    /// Bytes of an answer's body, unpacked, where the request says nothing of it.
    pub max_body: usize,
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self { policy: Policy::default(), timeout: Duration::from_secs(30), max_body: 8 << 20 }
    }
}

/// Sends requests. Starts its thread with the first one; ends it, and what is under way, when it is dropped.
#[derive(Debug)]
pub struct Outbound {
    inner: Arc<Inner>,
    runtime: OnceLock<Result<Background, String>>,
    stand_in: Option<Arc<dyn StandIn>>,
}

struct Inner {
    settings: OutboundSettings,
    policy: Arc<Policy>,
    certificates: Vec<CertificateDer<'static>>,
    names: Names,
    client: OnceCell<reqwest::Client>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A runtime that may be dropped where one must not block.
#[derive(Debug)]
struct Background(Option<Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::with_names(OutboundSettings::default(), Vec::new(), system)
    }
}

impl Outbound {
    /// A client that believes, beside those whom the system trusts, the authorities of `ca`, a text in PEM.
    ///
    /// # Errors
    /// `ca` holds something that is no certificate, or none at all.
    pub fn new(settings: OutboundSettings, ca: Option<&[u8]>) -> Result<Self, InvalidCertificates> {
        let certificates = ca.map(tls::read_pem).transpose()?.unwrap_or_default();
        Ok(Self::with_names(settings, certificates, system))
    }

    pub(super) fn with_names(
        settings: OutboundSettings,
        certificates: Vec<CertificateDer<'static>>,
        names: Names,
    ) -> Self {
        let policy = Arc::new(settings.policy.clone());
        let client = OnceCell::new();
        let inner = Arc::new(Inner { settings, policy, certificates, names, client });
        Self { inner, runtime: OnceLock::new(), stand_in: None }
    }

    /// One whose requests are all answered by `stand_in`.
    #[must_use]
    pub fn answered_by(stand_in: Arc<dyn StandIn>) -> Self {
        Self { stand_in: Some(stand_in), ..Self::default() }
    }

    /// What holds for every request.
    #[must_use]
    pub fn settings(&self) -> &OutboundSettings {
        &self.inner.settings
    }

    /// Sends a request and waits for its whole answer. A future that is dropped ends the exchange.
    pub fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpAnswer, HttpError>> + 'static {
        match &self.stand_in {
            Some(stand_in) => Either::Left(ready(stand_in.answer(request))),
            None => Either::Right(self.send_out(request)),
        }
    }

    fn send_out(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<HttpAnswer, HttpError>> + 'static {
        let started = self.runtime.get_or_init(start).as_ref().map_err(Clone::clone);
        let task = started.map(|background| {
            let runtime = background.0.as_ref().expect("taken only when it is dropped");
            AbortOnDropHandle::new(runtime.spawn(self.inner.clone().exchange(request)))
        });
        async move {
            let task = task.map_err(HttpError::Unusable)?;
            // it ends by itself, or with the process
            task.await.unwrap_or_else(|e| Err(HttpError::Unusable(e.to_string())))
        }
    }
}

fn start() -> Result<Background, String> {
    // one thread: it moves bytes, and functions wait for it anyway
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("outbound").enable_all().build();
    runtime.map(|runtime| Background(Some(runtime))).map_err(|e| format!("start a reactor: {e}"))
}

impl Inner {
    async fn exchange(self: Arc<Self>, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let timeout = request.timeout;
        let work = async {
            let client = self.client.get_or_try_init(|| self.connectable()).await?;
            follow(client, &self.policy, request).await
        };
        tokio::time::timeout(timeout, work).await.unwrap_or(Err(HttpError::Timeout(timeout)))
    }

    /// The client itself. It knows no proxies: behind one the policy would look at the proxy's address.
    async fn connectable(self: &Arc<Self>) -> Result<reqwest::Client, HttpError> {
        let this = self.clone();
        // reading the system's certificates takes milliseconds
        let tls = tokio::task::spawn_blocking(move || tls::config(&this.certificates)).await;
        let tls = tls.map_err(|e| HttpError::Unusable(e.to_string()))??;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Guarded { policy: self.policy.clone(), names: self.names })
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build();
        client.map_err(|e| HttpError::Unusable(e.to_string()))
    }
}
