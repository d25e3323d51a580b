//! A case: nodes on a server, clients that load them, and what must hold in the end.

use super::postgres::Postgres;
use super::table;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use weir_tests::{
    Found, Load, LogPlace, PATIENCE, Sandbox, Server, ServerOptions, Wrong, counting, eventually,
};

const CLIENTS: usize = 8;
/// All of them together 80 requests a second: a debug build beside other tests keeps up with that.
const PACE: Duration = Duration::from_millis(100);
/// Between two strikes so many requests must go through.
const BETWEEN: usize = 20;

/// A case under way.
#[derive(Debug)]
pub(crate) struct Run {
    // dropped first: it is on the server
    pub(crate) nodes: Vec<Node>,
    pub(crate) postgres: Postgres,
    load: Load,
    fault: &'static str,
    strikes: usize,
    recoveries: Vec<Duration>,
}

/// A node, with a folder of its own, as on a machine of its own.
#[derive(Debug)]
pub(crate) struct Node {
    /// None: it was killed.
    server: Option<Server>,
    sandbox: Sandbox,
}

impl Node {
    async fn start(conn: &str) -> Self {
        let sandbox = counting(LogPlace::Postgres(conn.to_owned()));
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
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it is not asked for while it is killed")
    }
}

impl Run {
    /// Starts `nodes` nodes and the load; each node holds a partition when there are three.
    pub(crate) async fn start(fault: &'static str, nodes: usize) -> Self {
        let postgres = Postgres::start();
        let conn = postgres.conn();
        Self::on(postgres, &conn, fault, nodes).await
    }

    /// Likewise, on a server that is there, where the nodes connect as `conn` says.
    pub(crate) async fn on(postgres: Postgres, conn: &str, fault: &'static str, nodes: usize) -> Self {
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(Node::start(conn).await);
        }
        let servers: Vec<_> = started.iter().map(Node::server).collect();
        let load = Load::start(CLIENTS, PACE, &servers);
        let run = Self { nodes: started, postgres, load, fault, strikes: 0, recoveries: Vec::new() };
        run.until_shared().await;
        run.load.until_acknowledged(BETWEEN).await;
        run
    }

    /// Kills a node.
    pub(crate) fn kill(&mut self, node: usize) {
        let server = self.nodes[node].server.take();
        server.expect("it lives").kill();
        self.tell_clients();
    }

    /// Starts it again, and waits until it holds a partition.
    pub(crate) async fn revive(&mut self, node: usize) {
        self.nodes[node].serve().await;
        self.tell_clients();
        self.until_shared().await;
    }

    fn tell_clients(&mut self) {
        let servers: Vec<_> = self.nodes.iter().filter_map(|node| node.server.as_ref()).collect();
        self.load.serve_by(&servers);
    }

    /// Waits until each node has a partition.
    pub(crate) async fn until_shared(&self) {
        let nodes = self.nodes.len();
        self.until(&format!("SELECT count(DISTINCT node) = {nodes} FROM positions WHERE owned")).await;
    }

    /// Waits until `sql` says true.
    pub(crate) async fn until(&self, sql: &str) {
        let administrator = self.postgres.administrator().await;
        eventually(PATIENCE, || async {
            let row = administrator.query_one(sql, &[]).await.expect("it is SQL");
            if row.get(0) { Ok(()) } else { Err(sql) }
        })
        .await;
    }

    /// Where each partition of the log ends.
    pub(crate) async fn tails(&self) -> Vec<i64> {
        let tails = "SELECT array_agg(tail ORDER BY topic, part) FROM partition_now";
        let administrator = self.postgres.administrator().await;
        administrator.query_one(tails, &[]).await.expect("the server is well").get(0)
    }

    /// The ids of the requests that have been acknowledged.
    pub(crate) fn acknowledged(&self) -> BTreeSet<String> {
        self.load.sent().acknowledged
    }

    /// How many requests were not acknowledged, of those that were answered or broke off.
    pub(crate) fn failed(&self) -> usize {
        let sent = self.load.sent();
        sent.refused + sent.unanswered
    }

    /// As [`Self::recover_from`], after one strike.
    pub(crate) async fn recover(&mut self) {
        self.recover_from(1).await;
    }

    /// The fault has struck so often and is over: notes how long it takes until each node that lives acknowledges a request that was made since,
    /// and the trigger has handled what was in the log by now. Then lets the load go on for a while.
    pub(crate) async fn recover_from(&mut self, strikes: usize) {
        self.strikes += strikes;
        let begun = Instant::now();
        let (tails, administrator) = (self.tails().await, self.postgres.administrator().await);
        for server in self.nodes.iter().filter_map(|node| node.server.as_ref()) {
            self.load.acknowledged_by(server).await;
        }
        eventually(PATIENCE, || async {
            let positions = "SELECT array_agg(position ORDER BY topic, part) FROM positions";
            let row = administrator.query_one(positions, &[]).await.expect("the server is well");
            let positions: Vec<i64> = row.get(0);
            let is_behind = positions.iter().zip(&tails).any(|(position, tail)| position < tail);
            if is_behind { Err(format!("{positions:?} of {tails:?}")) } else { Ok(()) }
        })
        .await;
        self.recoveries.push(begun.elapsed());
        self.load.until_acknowledged(BETWEEN).await;
    }

    /// Ends the load, and checks that nothing is lost and nothing doubled.
    pub(crate) async fn finish(self) {
        self.finish_without(&BTreeSet::new()).await;
    }

    /// Likewise; what has `gone` may be there or not.
    pub(crate) async fn finish_without(self, gone: &BTreeSet<String>) {
        let Self { nodes, postgres, load, fault, strikes, recoveries } = self;
        let mut sent = load.stop().await;
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
        drop(postgres);
    }
}
