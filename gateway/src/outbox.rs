//! Answers that are made in one round of the worker leave together.
//!
//! Whoever waits for answers on the same machine, a proxy before this one most often, falls asleep between two that come
//! one by one, and to wake it costs the sender as much as a small function does. So a short answer waits until the
//! requests that came with its own are answered too. It is not kept waiting by what takes longer: it leaves when it was
//! held for [`HELD_FOR`], and before a function goes on that waited or was interrupted.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// More bytes than this are written at once: what they cost themselves is more than what waking costs.
const HELD_BYTES: usize = 4 << 10;

/// How long an answer is held at most when the next request is looked at.
const HELD_FOR: Duration = Duration::from_micros(100);

/// The answers of one worker that have not left yet.
#[derive(Default, Debug)]
pub(crate) struct Outbox {
    lines: RefCell<Vec<Rc<RefCell<Line>>>>,
    /// When the first of them was made.
    since: Cell<Option<Instant>>,
    /// Of the task that ends the round.
    closer: RefCell<Option<Waker>>,
}

/// A connection, and what it is to send.
#[derive(Debug)]
struct Line {
    stream: TcpStream,
    held: Vec<u8>,
    is_listed: bool,
    /// The client does not take what is held: it is for the connection's own task to send, which learns of errors too.
    is_stuck: bool,
    /// Of the connection's task.
    waker: Option<Waker>,
}

/// A connection's socket, whose short answers go by way of the outbox.
#[derive(Debug)]
pub(crate) struct Socket {
    line: Rc<RefCell<Line>>,
    outbox: Rc<Outbox>,
}

impl Outbox {
    /// Ends rounds: woken by the first answer of one, it comes behind all that was to be done when that was made.
    pub(crate) async fn close_rounds(self: Rc<Self>) {
        poll_fn(|cx| {
            self.send();
            *self.closer.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Sends all answers.
    pub(crate) fn send(&self) {
        // nothing is polled here, so nothing is added meanwhile
        for line in self.lines.borrow_mut().drain(..) {
            line.borrow_mut().send();
        }
    }

    /// Sends all answers if the first one was made too long before `now`.
    pub(crate) fn send_late(&self, now: Instant) {
        let is_late = self.since.get().is_some_and(|since| now.saturating_duration_since(since) >= HELD_FOR);
        if is_late && !self.lines.borrow().is_empty() {
            self.send();
        }
    }

    fn add(&self, line: Rc<RefCell<Line>>) {
        let mut lines = self.lines.borrow_mut();
        if lines.is_empty() {
            self.since.set(Some(Instant::now()));
            if let Some(closer) = self.closer.borrow_mut().take() {
                closer.wake();
            }
        }
        lines.push(line);
    }
}

impl Line {
    /// Sends what is held as far as the client takes it. What is left is sent by the connection's task.
    fn send(&mut self) {
        self.is_listed = false;
        if let Ok(sent) = self.stream.try_write(&self.held) {
            self.held.drain(..sent);
        }
        if !self.held.is_empty() {
            self.is_stuck = true;
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(self.held.drain(..sent)),
            }
        }
        self.is_stuck = false;
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, outbox: Rc<Outbox>) -> Self {
        let line = Line { stream, held: Vec::new(), is_listed: false, is_stuck: false, waker: None };
        Self { line: Rc::new(RefCell::new(line)), outbox }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line.borrow_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut line = self.line.borrow_mut();
        let bytes: usize = pieces.iter().map(|piece| piece.len()).sum();
        if line.is_stuck || line.held.len() + bytes > HELD_BYTES {
            ready!(line.poll_send(cx))?;
            return Pin::new(&mut line.stream).poll_write_vectored(cx, pieces);
        }
        pieces.iter().for_each(|piece| line.held.extend_from_slice(piece));
        if !line.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            line.waker = Some(cx.waker().clone());
        }
        if !std::mem::replace(&mut line.is_listed, true) {
            self.outbox.add(self.line.clone());
        }
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is held counts as sent: the end of the round sees to it.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line.borrow_mut();
        if line.is_stuck { line.poll_send(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut line = self.line.borrow_mut();
        ready!(line.poll_send(cx))?;
        Pin::new(&mut line.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    /// A client, and the socket that answers it.
    async fn connect(outbox: &Rc<Outbox>) -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("it listens");
        let (stream, _) = listener.accept().await.expect("a client");
        (client, Socket::new(stream, outbox.clone()))
    }

    fn has_come(client: &TcpStream) -> bool {
        client.try_read(&mut [0]).is_ok()
    }

    #[tokio::test]
    async fn the_answers_of_a_round_leave_when_it_ends() {
        let here = LocalSet::new();
        here.run_until(async {
            let outbox = Rc::new(Outbox::default());
            tokio::task::spawn_local(outbox.clone().close_rounds());
            tokio::task::yield_now().await;
            let mut pairs = Vec::new();
            for _ in 0..3 {
                pairs.push(connect(&outbox).await);
            }
            for (_, socket) in &mut pairs {
                socket.write_all(b"answer").await.expect("held");
                socket.flush().await.expect("held");
            }
            assert_eq!(outbox.lines.borrow().len(), 3);
            for (client, _) in &mut pairs {
                client.read_exact(&mut [0; 6]).await.expect("it has left");
            }
            assert_eq!(outbox.lines.borrow().len(), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn an_answer_leaves_before_the_round_ends_if_others_take_long() {
        let outbox = Rc::new(Outbox::default());
        let (mut client, mut socket) = connect(&outbox).await;
        socket.write_all(b"answer").await.expect("held");
        let made = outbox.since.get().expect("an answer was made");
        outbox.send_late(made);
        assert!(!has_come(&client), "it is not late");
        outbox.send_late(made + HELD_FOR);
        client.read_exact(&mut [0; 6]).await.expect("it has left");
    }

    #[tokio::test]
    async fn a_long_answer_follows_at_once_what_was_held() {
        let outbox = Rc::new(Outbox::default());
        let (mut client, mut socket) = connect(&outbox).await;
        socket.write_all(b"first").await.expect("held");
        socket.write_all(&[b'x'; HELD_BYTES]).await.expect("written");
        let mut answers = [0; 5 + HELD_BYTES];
        client.read_exact(&mut answers).await.expect("both have left");
        assert_eq!(&answers[..6], b"firstx");
    }

    #[tokio::test]
    async fn what_the_client_does_not_take_is_sent_by_the_connections_task() {
        let outbox = Rc::new(Outbox::default());
        let (mut client, mut socket) = connect(&outbox).await;
        let filler = vec![b'.'; HELD_BYTES];
        let mut filled = 0;
        // until the system holds no more
        loop {
            let line = socket.line.borrow();
            match line.stream.try_write(&filler) {
                Ok(bytes) => filled += bytes,
                Err(_) => break,
            }
        }
        socket.write_all(b"answer").await.expect("held");
        outbox.send();
        assert!(socket.line.borrow().is_stuck);
        let read = async {
            let mut all = vec![0; filled + 6];
            client.read_exact(&mut all).await.expect("it is sent");
            all.split_off(filled)
        };
        let (flushed, answer) = tokio::join!(socket.flush(), read);
        flushed.expect("the client takes it now");
        assert_eq!(answer, b"answer");
    }

    #[tokio::test]
    async fn what_is_held_leaves_before_the_connection_is_closed() {
        let outbox = Rc::new(Outbox::default());
        let (mut client, mut socket) = connect(&outbox).await;
        socket.write_all(b"answer").await.expect("held");
        socket.shutdown().await.expect("the client is there");
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("closed");
        assert_eq!(all, b"answer");
    }
}
