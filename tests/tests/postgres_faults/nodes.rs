//! One of three nodes goes away, or stands still for longer than its lease.

use super::extent::times;
use super::run::Run;
use rustix::process::Signal;

const NODES: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_held_is_taken_over() {
    let mut run = Run::start("node killed (kill -9) and started again", NODES).await;
    for round in 0..times(2, 20) {
        let node = round % NODES;
        run.kill(node);
        run.recover().await;
        run.revive(node).await;
    }
    run.finish().await;
}

/// The sleeper has events in hand when it wakes, and believes that their partition is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sleeps_past_its_lease_commits_nothing_for_what_was_taken_over() {
    let mut run = Run::start("node stopped (SIGSTOP) past its lease and woken", NODES).await;
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
