//! Brokers of a cluster of three, of which two have what is acknowledged.

use weir_log::conformance::broker::Broker;
use weir_tests::faults::{Kafka, Run, last, seconds, times};

const BROKERS: usize = 3;
const ALL: [usize; BROKERS] = [0, 1, 2];

/// One broker at a time goes away by `end`, and comes back when the others have gone on without it.
async fn each_in_turn(fault: &'static str, rounds: usize, end: fn(&mut Broker, usize) -> Result<(), String>) {
    let mut run = Run::start(Kafka::cluster(), fault, 1).await;
    for round in 0..rounds {
        let broker = round % BROKERS;
        end(&mut run.ground.broker, broker).expect("it runs");
        run.recover().await;
        run.ground.broker.start(&[broker]).expect("it starts again");
    }
    run.finish().await;
}

/// As in an upgrade: its partitions get other leaders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaders_that_change_one_after_the_other_lose_and_double_nothing() {
    let fault = "Kafka, 3 brokers: each stopped in turn, leaders change";
    each_in_turn(fault, times(BROKERS, 12), Broker::stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_lost_is_done_without() {
    each_in_turn("Kafka, 3 brokers: one lost (kill -9)", times(1, 12), Broker::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_brokers_that_are_lost_at_once_are_waited_for() {
    let mut run = Run::start(Kafka::cluster(), "Kafka, 3 brokers: all lost (kill -9) for a while", 1).await;
    for _ in 0..times(1, 3) {
        for broker in ALL {
            run.ground.broker.kill(broker).expect("it runs");
        }
        last(seconds(3, 60)).await;
        run.ground.broker.start(&ALL).expect("they start again");
        run.recover().await;
    }
    run.finish().await;
}
