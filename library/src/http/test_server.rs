//! A server that answers as a test says.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

pub(crate) type Reply = Response<Full<Bytes>>;

/// A request with its body.
pub(crate) struct Asked {
    parts: Parts,
    body: Bytes,
}

impl Asked {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Deref for Asked {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

pub(crate) fn reply(status: StatusCode, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        reply.headers_mut().append(name, value.parse().expect("a value"));
    }
    reply
}

/// Ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Server {
    /// Answers each request with what `f` makes of it.
    pub(crate) async fn start(f: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(None, move |asked| std::future::ready(f(&asked))).await
    }

    pub(crate) async fn start_async<F>(f: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::serve(None, f).await
    }

    /// Answers over TLS, as `localhost`; with the certificate of who vouches for it.
    pub(crate) async fn start_tls(f: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions that there are")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("a pair");
        let server = Self::serve(Some(TlsAcceptor::from(Arc::new(config))), move |asked| {
            std::future::ready(f(&asked))
        });
        (server.await, made.cert.pem())
    }

    async fn serve<F>(tls: Option<TlsAcceptor>, f: impl Fn(Asked) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, f) = (connections.clone(), Arc::new(f));
        let serving = async move {
            let mut open = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (f, tls) = (f.clone(), tls.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let f = f.clone();
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
                        Ok::<_, Infallible>(f(Asked { parts, body }).await)
                    }
                });
                open.spawn(async move {
                    // a client that goes is no concern of the server's
                    match tls {
                        None => {
                            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await)
                        }
                        Some(tls) => {
                            let Ok(socket) = tls.accept(socket).await else { return };
                            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
                        }
                    }
                });
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the task ends with the server, which holds it")]
        let serving = AbortOnDropHandle::new(tokio::spawn(serving));
        Self { address, connections, _serving: serving }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many were opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
