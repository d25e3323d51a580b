//! A way to the server that can be cut.

use super::nodes::Nodes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the statement of commits has in it.
const CALL: &[u8] = b"FROM weir_commit(";

/// Passes bytes on between clients and the server.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Faults>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Faults {
    /// The next answer to a commit is swallowed, and its connection cut.
    swallow: AtomicBool,
    /// So is every other connection then, and new ones are refused.
    then_close: AtomicBool,
    closed: watch::Sender<bool>,
    /// Nothing passes, and nothing is told of it.
    stalled: watch::Sender<bool>,
}

impl Proxy {
    /// A way to the server that `conn` leads to.
    pub(crate) async fn new(conn: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let faults = Arc::new(Faults::default());
        let (server, shared) = (Arc::new(Place::of(conn)), faults.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                if !*shared.closed.borrow() {
                    let server = server.connect().await.expect("the server is up");
                    connections.spawn(pass(client, server, shared.clone()));
                }
            }
        });
        Self { port, faults, _tasks: tasks }
    }

    /// How a log of `nodes` is connected to by this way.
    pub(crate) fn conn(&self, nodes: &Nodes) -> String {
        format!("{} host=127.0.0.1 port={} sslmode=disable", nodes.conn(), self.port)
    }

    /// Swallows the answer to the next commit, and cuts its connection.
    pub(crate) fn swallow_next_answer(&self) {
        self.faults.swallow.store(true, Ordering::SeqCst);
    }

    /// Likewise, and everything else is cut then too, until [`Self::open`].
    pub(crate) fn swallow_next_answer_and_close(&self) {
        self.faults.then_close.store(true, Ordering::SeqCst);
        self.swallow_next_answer();
    }

    /// Lets nothing pass, as a server that hangs; new connections are taken and stay silent.
    pub(crate) fn stall(&self) {
        self.faults.stalled.send_replace(true);
    }

    /// Passes on what has gathered, and all that comes: for connections that were given up meanwhile too.
    pub(crate) fn go_on(&self) {
        self.faults.stalled.send_replace(false);
    }

    /// Takes new connections again.
    pub(crate) fn open(&self) {
        self.faults.closed.send_replace(false);
    }
}

impl Faults {
    /// Whether an answer is to be swallowed.
    fn strike(&self) -> bool {
        let strikes = self.swallow.swap(false, Ordering::SeqCst);
        if strikes && self.then_close.swap(false, Ordering::SeqCst) {
            self.closed.send_replace(true);
        }
        strikes
    }

    async fn until_it_flows(&self) {
        // the sender is this one's own
        drop(self.stalled.subscribe().wait_for(|stalled| !stalled).await);
    }
}

/// Where a server listens.
struct Place {
    host: String,
    port: String,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Place {
    fn of(conn: &str) -> Self {
        let word = |name| conn.split(' ').find_map(|word| word.strip_prefix(name)).map(str::to_owned);
        Self {
            host: word("host=").expect("it has one"),
            port: word("port=").unwrap_or_else(|| "5432".into()),
        }
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let Self { host, port } = self;
        Ok(if host.starts_with('/') {
            Box::new(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?)
        } else {
            Box::new(TcpStream::connect(format!("{host}:{port}")).await?)
        })
    }
}

/// Passes bytes on both ways, until either end or a fault ends it.
async fn pass(mut client: TcpStream, mut server: Box<dyn Stream>, faults: Arc<Faults>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut commits = false;
    let mut closed = faults.closed.subscribe();
    loop {
        tokio::select! {
            () = async { drop(closed.wait_for(|closed| *closed).await) } => return,
            read = client.read(&mut asked) => match read {
                Ok(n) if n > 0 => {
                    // it makes commits if it has ever prepared their statement
                    commits |= asked[..n].windows(CALL.len()).any(|window| window == CALL);
                    faults.until_it_flows().await;
                    if server.write_all(&asked[..n]).await.is_err() { return }
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(n) if n > 0 => {
                    if commits && faults.strike() { return }
                    faults.until_it_flows().await;
                    if client.write_all(&answered[..n]).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}
