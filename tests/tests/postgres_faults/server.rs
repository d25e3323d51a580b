//! The server goes away, and comes back.

use weir_tests::faults::{Postgres, Run, last, seconds, times};

async fn restarted(fault: &'static str, mode: &str, nodes: usize) {
    let mut run = Run::start(Postgres::start(), fault, nodes).await;
    for _ in 0..times(2, 10) {
        run.ground.restart(mode);
        run.recover().await;
    }
    run.finish().await;
}

async fn frozen(nodes: usize) {
    let mut run = Run::start(Postgres::start(), "server stopped (SIGSTOP) and woken", nodes).await;
    for _ in 0..times(1, 3) {
        let frozen = run.ground.freeze().await;
        last(seconds(3, 10)).await;
        drop(frozen);
        run.recover().await;
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_is_met_again() {
    restarted("server restarted (fast)", "fast", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_restarted_is_met_again_by_three_nodes() {
    restarted("server restarted (fast)", "fast", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_is_met_again() {
    restarted("server crashed (immediate)", "immediate", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_is_met_again_by_three_nodes() {
    restarted("server crashed (immediate)", "immediate", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_and_goes_on_is_waited_for() {
    frozen(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_and_goes_on_is_waited_for_by_three_nodes() {
    frozen(3).await;
}
