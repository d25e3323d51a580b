//! A way to the server on which commits meet with accidents, each at a point of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_tests::faults::{APP, last};

/// What the statement of commits has in it.
const CALL: &[u8] = b"FROM weir_commit(";
/// How long a connection is half-open before it breaks.
const HALF_OPEN: Duration = Duration::from_secs(2);
/// The longest that bytes are held up.
const LONGEST_DELAY: u64 = 700;

/// Passes bytes on between nodes and the server.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    accidents: Arc<Accidents>,
    _tasks: JoinSet<()>,
}

/// What happens to a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Its connection is cut.
    Cut,
    /// Every connection is cut.
    CutAll,
    /// The rest of it comes late.
    Delay,
    /// The rest of it never comes, and its connection is cut only later.
    HalfOpen,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Cut, Self::CutAll, Self::Delay, Self::HalfOpen];
}

#[derive(Default, Debug)]
struct Accidents {
    /// What is to happen to the next commit.
    next: watch::Sender<Option<Accident>>,
    /// How often every connection was cut.
    cuts: watch::Sender<u64>,
}

/// A fault, amid the question or the answer.
#[derive(Clone, Copy, Debug)]
struct Accident {
    fault: Fault,
    is_in_answer: bool,
}

impl Proxy {
    /// A way to the server whose socket is in `folder`.
    pub(crate) async fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let accidents = Arc::new(Accidents::default());
        let (socket, shared) = (folder.join(".s.PGSQL.5432"), accidents.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.expect("the server is up");
                connections.spawn(pass(client, server, shared.clone()));
            }
        });
        Self { port, accidents, _tasks: tasks }
    }

    /// How nodes connect by it.
    pub(crate) fn conn(&self) -> String {
        format!("host=127.0.0.1 port={} user=weir dbname=postgres application_name={APP}", self.port)
    }

    /// Has the next commit meet with `fault`, and waits until it has.
    pub(crate) async fn strike(&self, fault: Fault) {
        self.accidents.next.send_replace(Some(Accident { fault, is_in_answer: fastrand::bool() }));
        let mut next = self.accidents.next.subscribe();
        next.wait_for(Option::is_none).await.expect("the proxy lives");
    }
}

/// Passes bytes on both ways, until either end or an accident ends it.
async fn pass(mut client: TcpStream, mut server: UnixStream, accidents: Arc<Accidents>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut commits, mut accident) = (false, None);
    let mut cuts = accidents.cuts.subscribe();
    loop {
        tokio::select! {
            _ = cuts.changed() => return,
            read = client.read(&mut asked) => {
                let Ok(n @ 1..) = read else { return };
                // it makes commits if it has ever prepared their statement
                commits |= asked[..n].windows(CALL.len()).any(|window| window == CALL);
                if commits && accident.is_none() {
                    accident = accidents.next.send_replace(None);
                }
                let now = accident.take_if(|accident| !accident.is_in_answer);
                if !accidents.hand_on(&asked[..n], &mut server, now).await { return }
            }
            read = server.read(&mut answered) => {
                let Ok(n @ 1..) = read else { return };
                if !accidents.hand_on(&answered[..n], &mut client, accident.take()).await { return }
            }
        }
    }
}

impl Accidents {
    /// Hands `bytes` on, up to where an accident happens; false: the connection is over.
    async fn hand_on(
        &self,
        bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
        accident: Option<Accident>,
    ) -> bool {
        let Some(Accident { fault, .. }) = accident else { return to.write_all(bytes).await.is_ok() };
        let (first, rest) = bytes.split_at(fastrand::usize(..=bytes.len()));
        // whether it arrives is no matter: the rest does not, or late
        to.write_all(first).await.ok();
        match fault {
            Fault::Cut => return false,
            Fault::CutAll => self.cuts.send_modify(|cuts| *cuts += 1),
            Fault::Delay => last(Duration::from_millis(fastrand::u64(50..LONGEST_DELAY))).await,
            Fault::HalfOpen => {
                last(HALF_OPEN).await;
                return false;
            }
        }
        to.write_all(rest).await.is_ok()
    }
}
