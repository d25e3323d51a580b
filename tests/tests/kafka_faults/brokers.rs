//! The only broker goes away, or stands still.

use weir_tests::faults::{Kafka, Run, last, seconds, times};

/// It is killed with transactions open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_amid_transactions_is_met_again() {
    let mut run =
        Run::start(Kafka::start(), "Kafka: the only broker killed (kill -9) and started again", 1).await;
    for _ in 0..times(1, 10) {
        run.ground.broker.kill(0).expect("it runs");
        run.ground.broker.start(&[0]).expect("it starts again");
        run.recover().await;
    }
    run.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_and_goes_on_is_waited_for() {
    let mut run = Run::start(Kafka::start(), "Kafka: the only broker stopped (SIGSTOP) and woken", 1).await;
    for _ in 0..times(1, 5) {
        run.ground.broker.signal(0, "STOP").expect("it stands still");
        last(seconds(4, 10)).await;
        run.ground.broker.signal(0, "CONT").expect("it goes on");
        run.recover().await;
    }
    run.finish().await;
}
