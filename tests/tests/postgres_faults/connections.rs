//! Connections are ended, cut, held up and refused.

use super::proxy::{Fault, Proxy};
use std::time::Duration;
use tokio_postgres::error::SqlState;
use weir_log::conformance::server::{Server, folder};
use weir_tests::LogPlace;
use weir_tests::faults::{Postgres, Run, last, seconds, times};

/// Between two times that every connection is ended.
const RHYTHM: Duration = Duration::from_secs(1);

async fn ended(nodes: usize) {
    let mut run = Run::start(Postgres::start(), "every connection ended, once a second", nodes).await;
    let mut rhythm = tokio::time::interval(RHYTHM);
    let strikes = times(4, 30);
    for _ in 0..strikes {
        rhythm.tick().await;
        run.ground.end_connections().await;
    }
    run.recover_from(strikes).await;
    run.finish().await;
}

async fn cut(nodes: usize) {
    let postgres = Postgres::start();
    let proxy = Proxy::new(&postgres.folder).await;
    let conn = proxy.conn();
    let mut run =
        Run::on(postgres, &LogPlace::Postgres(conn), "commits cut, held up or left half-open", nodes).await;
    for strike in 0..times(16, 240) {
        proxy.strike(Fault::ALL[strike % Fault::ALL.len()]).await;
        run.recover().await;
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_are_made_again() {
    ended(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_are_made_again_by_three_nodes() {
    ended(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_cut_anywhere_is_applied_once() {
    cut(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_cut_anywhere_is_applied_once_by_three_nodes() {
    cut(3).await;
}

/// Strangers take every connection that the server gives; then the nodes lose theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_connection_is_waited_for() {
    let postgres = Postgres::start_in(folder().expect("a folder is made"), "-c max_connections=40");
    let roles = "CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN; GRANT CREATE ON DATABASE postgres TO app";
    postgres.administrator().await.batch_execute(roles).await.expect("an administrator may");
    let as_role = |role: &str| postgres.conn().replace("user=weir", &format!("user={role}"));
    let (app, stranger) = (as_role("app"), as_role("stranger").replace("application_name=app", ""));
    let mut run =
        Run::on(postgres, &LogPlace::Postgres(app), "no connection free, and those there were ended", 1)
            .await;
    for _ in 0..times(1, 5) {
        let mut strangers = Vec::new();
        take_all(&stranger, &mut strangers).await;
        run.ground.end_connections().await;
        take_all(&stranger, &mut strangers).await;
        last(seconds(3, 15)).await;
        drop(strangers);
        run.recover().await;
    }
    run.finish().await;
}

/// Connects until there is no connection left.
async fn take_all(conn: &str, taken: &mut Vec<tokio_postgres::Client>) {
    loop {
        match Server::connect_to(conn).await {
            Ok(client) => taken.push(client),
            Err(error) => return assert_eq!(error.code(), Some(&SqlState::TOO_MANY_CONNECTIONS), "{error}"),
        }
    }
}
