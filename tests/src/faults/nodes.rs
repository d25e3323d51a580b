//! Cases whose fault is a node's, on whatever ground.

use super::extent::times;
use super::run::{Ground, Run};
use rustix::process::Signal;

const NODES: usize = 3;

/// Kills one of three nodes after the other.
pub async fn node_killed(ground: impl Ground, fault: &'static str) {
    let mut run = Run::start(ground, fault, NODES).await;
    for round in 0..times(2, 20) {
        let node = round % NODES;
        run.kill(node);
        run.recover().await;
        run.revive(node).await;
    }
    run.finish().await;
}

/// Stops one of three nodes until what it held is taken over. The sleeper has events in hand when it wakes, and believes
/// that their partition is its own.
pub async fn node_sleeps(ground: impl Ground, fault: &'static str) {
    let mut run = Run::start(ground, fault, NODES).await;
    for round in 0..times(1, 5) {
        let server = run.nodes[round % NODES].server();
        server.signal(Signal::STOP);
        let is_taken_over = "SELECT count(*) = 2 AND (
              SELECT bool_and(node IN (SELECT node FROM nodes WHERE until > now())) FROM positions)
            FROM nodes WHERE until > now()";
        run.until(is_taken_over).await;
        server.signal(Signal::CONT);
        run.recover().await;
        run.until_shared().await;
    }
    run.finish().await;
}
