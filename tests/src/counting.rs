//! An application that counts, and clients that load it.
//!
//! Each POST carries an id of its own, appends an event and adds to a counter in one transaction; a trigger counts each
//! id, and all of them, also by reading and writing, and what it meets out of the order of its key. What must hold of them is in [`Found`](crate::Found).

use crate::answer::Answer;
use crate::eventually::{PATIENCE, eventually};
use crate::place::LogPlace;
use crate::sandbox::Sandbox;
use crate::server::Server;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The application.
#[must_use]
pub fn counting(log: LogPlace) -> Sandbox {
    Sandbox::builder()
        .log(log)
        .config(
            "appName: counting\ntopics: [hits]\nevents: {hits: {APPEND: [on_hit]}}\n\
             weir: {topics: {hits: {partitions: 3}}}\n",
        )
        .file("app/gateway.lua", r#"return {{"POST", "/hits/:id", "hit"}}"#)
        .file(
            "app/hit.lua",
            r#"local state, topics = require "state", require "topics"
            return function(args)
                -- a client's requests have one key
                topics.append("hits", {{key = args.id:match("^[^-]+"), value = {id = args.id}}})
                state.add("sums", "requests", 1)
            end"#,
        )
        .file(
            "app/on_hit.lua",
            r#"local state = require "state"
            return function(hit, ctx)
                if ctx.offset <= (state.get("order", ctx.key) or -1) then state.add("disorder", ctx.key, 1) end
                state.set("order", ctx.key, ctx.offset)
                state.add("seen", hit.id, 1)
                state.add("sums", "seen", 1)
                -- a read and a write as well: not only what commutes
                state.set("last", "id", {id = hit.id, n = (state.get("last", "id") or {n = 0}).n + 1})
            end"#,
        )
        .build()
}

/// Clients that send until they are told to stop, to any of the servers, whether these answer or not.
///
/// Every other request is sent once, whatever comes of it. The rest bear an `Idempotency-Key`, and are sent again until
/// they are acknowledged.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    /// How many requests were made beside those of the clients.
    probes: AtomicUsize,
}

/// What the clients have come to.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The ids of requests that were answered with 200.
    pub acknowledged: BTreeSet<String>,
    /// How many answers were none of that.
    pub refused: usize,
    /// How many requests were not answered.
    pub unanswered: usize,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    /// The gateways' addresses.
    gateways: RwLock<Vec<String>>,
    sent: watch::Sender<Sent>,
    is_stopping: watch::Sender<bool>,
}

impl Load {
    /// Starts `clients` clients, each of which begins a request every `pace` at most: a load that triggers keep up with
    /// tells when they have recovered.
    #[must_use]
    pub fn start(clients: usize, pace: Duration, servers: &[&Server]) -> Self {
        let shared = Arc::new(Shared {
            http: crate::server::http_client(),
            gateways: RwLock::default(),
            sent: watch::Sender::default(),
            is_stopping: watch::Sender::new(false),
        });
        let mut load = Self { shared, clients: JoinSet::new(), probes: AtomicUsize::new(0) };
        load.serve_by(servers);
        for client in 0..clients {
            load.clients.spawn(load.shared.clone().send_on(client, pace));
        }
        load
    }

    /// From now on these are the servers.
    pub fn serve_by(&mut self, servers: &[&Server]) {
        let gateways = servers.iter().map(|server| server.at.gateway.clone()).collect();
        *self.shared.gateways.write().expect("no client panics while it holds this") = gateways;
    }

    /// Waits until so many more requests are acknowledged.
    ///
    /// # Panics
    /// They are not within [`PATIENCE`].
    pub async fn until_acknowledged(&self, more: usize) {
        let mut sent = self.shared.sent.subscribe();
        let enough = sent.borrow().acknowledged.len() + more;
        let is_enough = sent.wait_for(|sent| sent.acknowledged.len() >= enough);
        let came = tokio::time::timeout(PATIENCE, is_enough).await.map(|sent| sent.is_ok());
        assert_eq!(came, Ok(true), "not {more} more requests were acknowledged within {PATIENCE:?}");
    }

    /// Sends a request to this server until it acknowledges it.
    ///
    /// # Panics
    /// It does not within [`PATIENCE`].
    pub async fn acknowledged_by(&self, server: &Server) {
        let id = format!("probe-{:06}", self.probes.fetch_add(1, Ordering::Relaxed));
        eventually(PATIENCE, || self.shared.send_to(&server.at.gateway, &id, Some(&id))).await;
    }

    /// What the clients have come to so far.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.shared.sent.borrow().clone()
    }

    /// As [`Self::end`]; returns what they have come to.
    ///
    /// # Panics
    /// A request that is sent again and again was not acknowledged within [`PATIENCE`].
    pub async fn stop(mut self) -> Sent {
        self.end().await;
        self.sent()
    }

    /// Lets every client end what it has begun.
    ///
    /// # Panics
    /// A request that is sent again and again was not acknowledged within [`PATIENCE`].
    pub async fn end(&mut self) {
        self.shared.is_stopping.send_replace(true);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("what is sent again and again is acknowledged");
        }
    }
}

impl Shared {
    async fn send_on(self: Arc<Self>, client: usize, pace: Duration) {
        let mut round = 0;
        let mut begins = tokio::time::interval(pace);
        begins.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*self.is_stopping.borrow() {
            begins.tick().await;
            let id = format!("{client:02}-{round:06}");
            if round % 2 == 0 {
                // refused or not answered: that is counted, and is all that is asked of it
                self.send(&id, client + round, None).await.unwrap_or(());
            } else {
                let mut tries = client + round;
                eventually(PATIENCE, || {
                    tries += 1;
                    self.send(&id, tries, Some(&id))
                })
                .await;
            }
            round += 1;
        }
    }

    /// Sends one request to the server whose turn it is.
    async fn send(&self, id: &str, turn: usize, key: Option<&str>) -> Result<(), String> {
        let gateway = {
            let gateways = self.gateways.read().expect("no writer panics while it holds this");
            gateways.get(turn % gateways.len().max(1)).cloned()
        };
        let gateway = gateway.ok_or("no server is up")?;
        self.send_to(&gateway, id, key).await
    }

    async fn send_to(&self, gateway: &str, id: &str, key: Option<&str>) -> Result<(), String> {
        let mut request = self.http.post(format!("{gateway}/hits/{id}"));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = Answer::of(request).await;
        self.sent.send_modify(|sent| match &answer {
            Ok(answer) if answer.status == 200 => drop(sent.acknowledged.insert(id.to_owned())),
            Ok(_) => sent.refused += 1,
            Err(_) => sent.unanswered += 1,
        });
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{}: {}", answer.status, answer.body)),
            Err(error) => Err(error.to_string()),
        }
    }
}
