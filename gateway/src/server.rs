//! The accept loop of one worker, on the worker's own thread: no channel between a socket and its function.

use crate::outbox::{Outbox, Socket};
use crate::respond::Answer;
use crate::service::Gateway;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A listener that shares its port with those of the other workers (`SO_REUSEPORT`).
///
/// # Errors
/// The address is in use or not ours.
pub fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// Serves until `shutdown`, then lets the requests that have begun end. Runs inside a `LocalSet`.
///
/// # Errors
/// The listener does not belong to a runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    gateway: Gateway,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let outbox = Rc::new(Outbox::default());
    let closer = tokio::task::spawn_local(outbox.clone().close_rounds());
    let mut served = pin!(serve_all(listener, gateway, shutdown, outbox.clone()));
    // whoever shares the task with this comes to work after it: a stretch of triggers is long
    std::future::poll_fn(|cx| {
        outbox.send();
        served.as_mut().poll(cx)
    })
    .await;
    outbox.send();
    closer.abort();
    Ok(())
}

async fn serve_all(listener: TcpListener, gateway: Gateway, shutdown: CancellationToken, outbox: Rc<Outbox>) {
    let (connections, gateway) = (TaskTracker::new(), Rc::new(gateway));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (gateway, tasks) = (gateway.clone(), connections.clone());
                connections.spawn_local(handle(
                    stream,
                    peer,
                    gateway,
                    tasks,
                    shutdown.clone(),
                    outbox.clone(),
                ));
            }
            Err(error) => {
                // out of file descriptors, mostly: the sockets that are open must go on
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn handle(
    stream: TcpStream,
    peer: SocketAddr,
    gateway: Rc<Gateway>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    outbox: Rc<Outbox>,
) {
    if stream.set_nodelay(true).is_err() {
        return; // the client is gone already
    }
    let head_timeout = gateway.settings().head_timeout;
    let socket = Socket::new(stream, outbox.clone());
    let service = service_fn(move |request| {
        let (tasks, outbox) = (tasks.clone(), outbox.clone());
        let answer: Pin<Box<dyn Future<Output = Answer>>> = Box::pin(gateway.clone().answer(request, peer));
        // made here and not in the block below, which hyper may drop before it has polled it once
        let outlive = Outlive { answer: Some(answer), has_begun: false, tasks, outbox };
        async move { Ok::<_, Infallible>(outlive.await) }
    });
    let mut http = http1::Builder::new();
    // a client that has closed its end has still sent its request
    http.half_close(true);
    http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_headers(128);
    let connection = http.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

/// Waits for an answer; dropped before it is there (the client hung up), it lets the invocation go on by itself.
struct Outlive {
    answer: Option<Pin<Box<dyn Future<Output = Answer>>>>,
    has_begun: bool,
    tasks: TaskTracker,
    outbox: Rc<Outbox>,
}

impl Future for Outlive {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        // one that goes on may take long
        match std::mem::replace(&mut self.has_begun, true) {
            true => self.outbox.send(),
            false => self.outbox.send_late(Instant::now()),
        }
        let answer = self.answer.as_mut().expect("polled after it was ready");
        let ready = std::task::ready!(answer.as_mut().poll(cx));
        self.answer = None;
        Poll::Ready(ready)
    }
}

impl Drop for Outlive {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.tasks.spawn_local(answer);
        }
    }
}
