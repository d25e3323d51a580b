//! Kill the server while it works, start it again: nothing that was acknowledged is missing, and nothing took effect
//! twice. `SOAK_KILLS` says how often to kill (`make soak`).

use std::time::Duration;
use weir_tests::{Found, Load, LogPlace, counting};

const CLIENTS: usize = 8;
const PACE: Duration = Duration::from_millis(1);

weir_tests::on_each_log!(a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice);
weir_tests::on_each_log!(@on kafka a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice);

async fn a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(log: LogPlace) {
    let kills = std::env::var_os("SOAK_KILLS")
        .map_or(6, |n| n.to_str().and_then(|n| n.parse::<usize>().ok()).expect("SOAK_KILLS is a number"));
    assert!(kills > 0, "SOAK_KILLS=0 would test nothing");
    let sandbox = counting(log);
    let mut server = sandbox.dev().await;
    let mut load = Load::start(CLIENTS, PACE, &[&server]);
    for round in 0..kills {
        // a different moment each time: right away, amid the first commits, amid the triggers' work
        load.until_acknowledged([1, 40, 150, 7, 300, 90][round % 6]).await;
        server.kill();
        server = sandbox.dev().await;
        load.serve_by(&[&server]);
        if kills > 6 {
            println_round(round, load.sent().acknowledged.len());
        }
    }
    load.until_acknowledged(1).await;
    let sent = load.stop().await;
    assert_eq!(sent.refused, 0, "a server that is killed refuses nothing while it lives");
    Found::of(&sandbox).await.check(&sent.acknowledged);
    assert!(server.stop().await.success());
}

#[expect(clippy::print_stdout, reason = "a soak is watched")]
fn println_round(round: usize, acknowledged: usize) {
    println!("kill {}: {acknowledged} acknowledged so far", round + 1);
}
