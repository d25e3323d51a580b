//! The database is restored to what it was before, while nodes work that know of more.

use http::Method;
use weir_tests::faults::{Postgres, Run};
use weir_tests::{Answer, PATIENCE, eventually};

/// What is restored is what a copy of the server's folder holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_set_back_is_refused_until_every_node_starts_again() {
    let mut run = Run::start(Postgres::start(), "database restored to an older state", 1).await;
    let kept = run.acknowledged();
    run.ground.back_up();
    run.recover().await;
    run.ground.restore();
    let tails = tails_of(&run.ground).await;
    let answer = eventually(PATIENCE, || async {
        let request = run.nodes[0].server().request(Method::POST, "/hits/late");
        let answer = Answer::of(request).await.expect("the node lives");
        if answer.body.contains("it has been set back") { Ok(answer) } else { Err(answer) }
    })
    .await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(tails_of(&run.ground).await, tails, "nothing was written after it");
    // what was acknowledged since the copy was made went with what was restored, and nothing else did
    let gone = &run.acknowledged() - &kept;
    run.kill(0);
    run.revive(0).await;
    run.recover().await;
    run.finish_without(&gone).await;
}

/// Where each partition of the log ends.
async fn tails_of(postgres: &Postgres) -> Vec<i64> {
    let tails = "SELECT array_agg(tail ORDER BY topic, part) FROM partition_now";
    postgres.administrator().await.query_one(tails, &[]).await.expect("the server is well").get(0)
}
