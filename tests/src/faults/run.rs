//! A case: nodes on ground that gives way, clients that load them, and what must hold in the end.

use super::postgres::Postgres;
use super::table;
use crate::counting::{Load, counting};
use crate::eventually::{PATIENCE, eventually};
use crate::found::{Found, Wrong};
use crate::place::LogPlace;
use crate::sandbox::Sandbox;
use crate::server::{Server, ServerOptions};
use http::Method;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
/// All of them together 80 requests a second: a debug build beside other tests keeps up with that.
const PACE: Duration = Duration::from_millis(100);
/// Between two strikes so many requests must go through.
const BETWEEN: usize = 20;

/// What nodes stand on, as a case hurts it.
pub trait Ground: std::fmt::Debug {
    /// Where their log is.
    fn log(&self) -> LogPlace;

    /// The server in which they share the partitions out, if several can.
    fn database(&self) -> Option<&Postgres>;

    /// Waits until what was acknowledged is all that can be there: nothing is on its way any more.
    fn settled(&self) -> impl Future<Output = ()> {
        async {}
    }
}

/// A case under way.
#[derive(Debug)]
pub struct Run<G> {
    // dropped first: it is on the ground
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// What they stand on.
    pub ground: G,
    load: Load,
    fault: &'static str,
    strikes: usize,
    recoveries: Vec<Duration>,
}

/// A node, with a folder of its own, as on a machine of its own.
#[derive(Debug)]
pub struct Node {
    /// None: it was killed.
    server: Option<Server>,
    sandbox: Sandbox,
}

impl Node {
    async fn start(log: LogPlace) -> Self {
        let sandbox = counting(log);
        let mut node = Self { server: None, sandbox };
        node.serve().await;
        node
    }

    async fn serve(&mut self) {
        // without a line for each request
        let args = ["--log-level", "info,access=off"].map(str::to_owned).to_vec();
        let options = ServerOptions { command: "start", args, ..ServerOptions::default() };
        self.server = Some(self.sandbox.serve(&options).await);
    }

    /// Its process, which lives.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it is not asked for while it is killed")
    }
}

impl<G: Ground> Run<G> {
    /// Starts `nodes` nodes and the load; each node holds a partition when there are three.
    pub async fn start(ground: G, fault: &'static str, nodes: usize) -> Self {
        let log = ground.log();
        Self::on(ground, &log, fault, nodes).await
    }

    /// Likewise, where the nodes reach their log by another way.
    pub async fn on(ground: G, log: &LogPlace, fault: &'static str, nodes: usize) -> Self {
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(Node::start(log.clone()).await);
        }
        let servers: Vec<_> = started.iter().map(Node::server).collect();
        let load = Load::start(CLIENTS, PACE, &servers);
        let run = Self { nodes: started, ground, load, fault, strikes: 0, recoveries: Vec::new() };
        run.until_shared().await;
        run.load.until_acknowledged(BETWEEN).await;
        run
    }

    /// Kills a node.
    pub fn kill(&mut self, node: usize) {
        let server = self.nodes[node].server.take();
        server.expect("it lives").kill();
        self.tell_clients();
    }

    /// Starts it again, and waits until it holds a partition.
    pub async fn revive(&mut self, node: usize) {
        self.nodes[node].serve().await;
        self.tell_clients();
        self.until_shared().await;
    }

    fn tell_clients(&mut self) {
        let servers: Vec<_> = self.nodes.iter().filter_map(|node| node.server.as_ref()).collect();
        self.load.serve_by(&servers);
    }

    /// Waits until each node has a partition.
    pub async fn until_shared(&self) {
        let nodes = self.nodes.len();
        if nodes == 1 {
            let is_live = |triggers: &Value| triggers[0]["state"] == "live";
            return eventually(PATIENCE, || self.told("/v1/triggers", is_live)).await;
        }
        let shared = format!(
            "SELECT count(DISTINCT node) = {nodes} FROM positions WHERE owned AND name = 'hits/on_hit'"
        );
        self.until(&shared).await;
    }

    /// Waits until the database says true to `sql`.
    pub async fn until(&self, sql: &str) {
        let database = self.ground.database().expect("nodes that share have a database");
        let administrator = database.administrator().await;
        eventually(PATIENCE, || async {
            let row = administrator.query_one(sql, &[]).await.expect("it is SQL");
            if row.get(0) { Ok(()) } else { Err(sql) }
        })
        .await;
    }

    /// Asks a node that lives whether what it tells is so.
    async fn told(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Result<(), String> {
        let told = self.ask(path).await?;
        if is_so(&told) { Ok(()) } else { Err(told.to_string()) }
    }

    async fn ask(&self, path: &str) -> Result<Value, String> {
        let server = self.nodes.iter().find_map(|node| node.server.as_ref()).expect("a node lives");
        let answer = server.admin(Method::GET, path).send().await.map_err(|e| e.to_string())?;
        answer.json().await.map_err(|e| e.to_string())
    }

    /// The ids of the requests that have been acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<String> {
        self.load.sent().acknowledged
    }

    /// How many requests were not acknowledged, of those that were answered or broke off.
    #[must_use]
    pub fn failed(&self) -> usize {
        let sent = self.load.sent();
        sent.refused + sent.unanswered
    }

    /// As [`Self::recover_from`], after one strike.
    pub async fn recover(&mut self) {
        self.recover_from(1).await;
    }

    /// The fault has struck so often and is over: notes how long it takes until each node that lives acknowledges a request that was made since,
    /// and the trigger has handled what was in the log by now. Then lets the load go on for a while.
    pub async fn recover_from(&mut self, strikes: usize) {
        self.strikes += strikes;
        let begun = Instant::now();
        let tails = eventually(PATIENCE, || async {
            let topic = self.ask("/v1/topics/hits").await?;
            topic["tail"].as_array().cloned().ok_or_else(|| topic.to_string())
        })
        .await;
        for server in self.nodes.iter().filter_map(|node| node.server.as_ref()) {
            self.load.acknowledged_by(server).await;
        }
        let reached = |triggers: &Value| {
            let positions = triggers[0]["positions"].as_array().into_iter().flatten();
            positions.clone().count() == tails.len()
                && positions.zip(&tails).all(|(position, tail)| position.as_u64() >= tail.as_u64())
        };
        eventually(PATIENCE, || self.told("/v1/triggers", reached)).await;
        self.recoveries.push(begun.elapsed());
        self.load.until_acknowledged(BETWEEN).await;
    }

    /// Ends the load, and checks that nothing is lost and nothing doubled.
    pub async fn finish(self) {
        self.finish_without(&BTreeSet::new()).await;
    }

    /// Likewise; what has `gone` may be there or not.
    pub async fn finish_without(self, gone: &BTreeSet<String>) {
        let Self { nodes, ground, mut load, fault, strikes, recoveries } = self;
        load.end().await;
        // whatever was begun before is there when this is
        for node in &nodes {
            load.acknowledged_by(node.server()).await;
        }
        ground.settled().await;
        let mut sent = load.sent();
        sent.acknowledged.retain(|id| !gone.contains(id));
        let found = Found::of(&nodes[0].sandbox).await;
        let wrong = found.wrong(&sent.acknowledged);
        table::add(&table::Row {
            fault,
            nodes: nodes.len(),
            strikes,
            recoveries,
            sent: &sent,
            wrong: &wrong,
        });
        assert_eq!(wrong, Wrong::default(), "{fault} on {} nodes", nodes.len());
        for node in nodes {
            let server = node.server.expect("whoever kills a node revives it");
            assert!(server.stop().await.success(), "a node did not stop cleanly");
        }
        drop(ground);
    }
}
