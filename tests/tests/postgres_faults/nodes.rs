//! One of three nodes goes away, or stands still for longer than its lease.

use weir_tests::faults::{Postgres, node_killed, node_sleeps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_held_is_taken_over() {
    node_killed(Postgres::start(), "node killed (kill -9) and started again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sleeps_past_its_lease_commits_nothing_for_what_was_taken_over() {
    node_sleeps(Postgres::start(), "node stopped (SIGSTOP) past its lease and woken").await;
}
