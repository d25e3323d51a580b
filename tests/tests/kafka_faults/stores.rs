//! The store goes away, alone or with the broker.

use weir_tests::faults::{Ground as _, Kafka, Run, times};
use weir_tests::{PATIENCE, ServerOptions, counting, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_crashes_is_met_again() {
    let mut run = Run::start(Kafka::shared(), "Kafka: store crashed (immediate)", 1).await;
    for _ in 0..times(1, 10) {
        run.ground.store().restart("immediate");
        run.recover().await;
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_and_a_broker_that_are_lost_at_once_are_met_again_by_three_nodes() {
    let mut run =
        Run::start(Kafka::shared(), "Kafka: store crashed, the only broker killed (kill -9)", 3).await;
    for _ in 0..times(1, 10) {
        run.ground.broker.kill(0).expect("it runs");
        run.ground.store().restart("immediate");
        run.ground.broker.start(&[0]).expect("it starts again");
        run.recover().await;
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_starts_while_kafka_is_away_says_so_and_serves_when_it_comes() {
    let mut ground = Kafka::start();
    ground.broker.kill(0).expect("it runs");
    let sandbox = counting(ground.log());
    let args = ["--wait", "60s"].map(str::to_owned).to_vec();
    let options = ServerOptions { command: "start", args, ..ServerOptions::default() };
    let come = async {
        eventually(PATIENCE, || async {
            let said = sandbox.said_by(0);
            if said.contains("the log cannot be reached; trying for up to 60s") { Ok(()) } else { Err(said) }
        })
        .await;
        ground.broker.start(&[0]).expect("it starts");
    };
    let (server, ()) = tokio::join!(sandbox.serve(&options), come);
    assert_eq!(server.request(http::Method::POST, "/hits/a").send().await.expect("it serves").status(), 200);
    assert!(server.stop().await.success());
    drop(ground);
}
