//! What others get done beside a function that takes all it can, in turns and pieces of work: so it holds however fast the
//! machine is.

use crate::{NEIGHBOUR, small};
use std::time::Duration;
use weir_runtime::test_support::{Bench, invocation, value};
use weir_runtime::{FailureKind, Limits};

#[tokio::test]
async fn a_neighbour_finishes_while_a_loop_is_still_running() {
    let loops = [
        "while true do end",
        "coroutine.wrap(function() while true do end end)()",
        "coroutine.wrap(function() pcall(coroutine.wrap(function() while true do end end)) end)()",
        "for _ in coroutine.wrap(function() while true do end end) do end",
        "while true do coroutine.resume(coroutine.create(function() for i = 1, 1e6 do end coroutine.yield() end)) end",
    ];
    for endless in loops {
        let main = format!("return function() {endless} end");
        let bench = Bench::new(&[("app/main.lua", &main), ("app/neighbour.lua", NEIGHBOUR)]);
        let mut hostile = invocation("main", "");
        // far more than the neighbours take, on a machine that has other work too
        hostile.limits = Limits { cpu: Duration::from_secs(30), ..small() };
        let neighbour = invocation("neighbour", "3");
        // the loop is polled first; it could only come second if it let the neighbours in
        let neighbours = async {
            for _ in 0..20 {
                assert_eq!(value(&bench.run(&neighbour).await), "200");
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _ = bench.run(&hostile) => panic!("the loop came first: {endless}"),
            () = neighbours => {}
        }
    }
}

#[tokio::test]
async fn what_is_past_the_memory_limit_is_collected_piece_by_piece_and_others_come_between() {
    let bench = Bench::new(&[(
        "app/main.lua",
        "return function() local t = {} while true do t[#t + 1] = {} end end",
    )]);
    let mut hungry = invocation("main", "");
    hungry.limits = Limits { cpu: Duration::from_secs(60), memory: 32 << 20, ..Limits::default() };
    let (mut collected, mut most_at_once) = (0, 0);
    let others = std::future::poll_fn(|cx| {
        let now = bench.worker.collected_pieces();
        most_at_once = most_at_once.max(now - collected);
        collected = now;
        cx.waker().wake_by_ref();
        std::task::Poll::<()>::Pending
    });
    let outcome = tokio::select! {
        biased;
        outcome = bench.run(&hungry) => outcome,
        () = others => unreachable!("they have no end"),
    };
    assert_eq!(outcome.result.expect_err("endless").kind, FailureKind::Memory);
    assert_eq!(most_at_once, 1, "one piece between two looks at the others");
    // 32 MiB in pieces of 256 KiB, as far as it is not collected while they are made
    assert!(collected > 20, "{collected} pieces");
}

/// As garbage it is collected when the limit is near, and nobody fails of it.
#[tokio::test]
async fn a_function_that_drops_what_it_makes_goes_on_past_its_memory_limit() {
    let body =
        "local kept = 0 for i = 1, 200000 do local t = {i, i, i, i} kept = kept + t[1] % 2 end return kept";
    let bodies = [body.to_owned(), format!("return coroutine.wrap(function() {body} end)()")];
    for body in bodies {
        let bench = Bench::new(&[("app/main.lua", &format!("return function() {body} end"))]);
        let mut wasteful = invocation("main", "");
        wasteful.limits = Limits { cpu: Duration::from_secs(60), memory: 1 << 20, ..Limits::default() };
        assert_eq!(value(&bench.run(&wasteful).await), "100000", "{body}");
    }
}
