//! Replays on the live tables.

use crate::node::{Node, asked, at, live, per_second, until};
use serde_json::json;
use std::sync::Arc;
use weir_log::ManualClock;
use weir_schema::Millis;
use weir_triggers::AskError;
use weir_triggers::replay::{NewReplay, ReplayError, ReplayState};

const ORDERS: [(u32, Option<&str>, &str); 6] = [
    (0, Some("a"), "{}"),
    (0, Some("b"), "{}"),
    (0, Some("a"), "{}"),
    (0, Some("b"), "{}"),
    (0, Some("a"), "{}"),
    (0, None, "{}"),
];

async fn node_with(events: &[(u32, Option<&str>, &str)]) -> (tempfile::TempDir, Node) {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), 1).await;
    node.append(events).await;
    node.caught_up().await;
    (folder, node)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_runs_again_in_the_order_of_each_key_and_nothing_outside_it_does() {
    let (_folder, node) = node_with(&ORDERS).await;
    let range = NewReplay { from: at(1), to: at(5), ..asked("fix") };
    let begun = node.replays.create(&range).await.unwrap();
    assert_eq!((begun.total, begun.state), (4, ReplayState::Running));
    let ended = node.ended("fix").await;
    assert_eq!((ended.state, ended.done, ended.lag, ended.parked), (ReplayState::Done, 4, 0, 0));
    assert_eq!(node.row("seen", "a").await, json!([0, 2, 4, 2, 4]));
    assert_eq!(node.row("seen", "b").await, json!([1, 3, 1, 3]));
    assert_eq!(node.row("seen", "-").await, json!([5]));
    assert_eq!(node.row("counters", "runs").await, json!(10), "counters apply again");
    assert_eq!(node.row("modes", "fix").await, json!("in-place"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_other_keys_nothing_runs_and_all_counts_as_done() {
    let (_folder, node) = node_with(&ORDERS).await;
    node.replays.create(&NewReplay { key: Some("b".into()), ..asked("b-only") }).await.unwrap();
    let ended = node.ended("b-only").await;
    assert_eq!((ended.done, ended.total), (6, 6));
    assert_eq!(node.row("seen", "b").await, json!([1, 3, 1, 3]));
    assert_eq!(node.row("counters", "runs").await, json!(8));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_other_partitions_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(folder.path(), 3).await;
    node.append(&[(0, Some("a"), "{}"), (1, Some("b"), "{}"), (1, Some("b"), "{}"), (2, Some("c"), "{}")])
        .await;
    node.caught_up().await;
    node.replays.create(&NewReplay { partition: Some(1), ..asked("one") }).await.unwrap();
    let ended = node.ended("one").await;
    assert_eq!((ended.done, ended.total), (2, 2));
    assert_eq!(node.row("seen", "b").await, json!([0, 1, 0, 1]));
    assert_eq!(node.row("counters", "runs").await, json!(6));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_are_suppressed_unless_they_are_asked_for() {
    let (_folder, node) = node_with(&ORDERS[..2]).await;
    assert_eq!(node.emails().await, ["0", "1"]);
    node.replays.create(&asked("quiet")).await.unwrap();
    let quiet = node.ended("quiet").await;
    assert_eq!(node.emails().await, ["0", "1"]);
    assert_eq!((quiet.appended, quiet.done), (0, 2));
    node.replays.create(&NewReplay { emit: true, ..asked("loud") }).await.unwrap();
    let loud = node.ended("loud").await;
    assert_eq!(node.emails().await, ["0", "1", "0", "1"]);
    assert_eq!(loud.appended, 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_trigger_stands_still_meanwhile_and_goes_on_after() {
    let (_folder, node) = node_with(&ORDERS[..3]).await;
    node.replays.create(&NewReplay { rate: per_second(1), ..asked("slow") }).await.unwrap();
    until("the live trigger stands still", async || node.live_state().await == "replaying").await;
    node.append(&[(0, Some("new"), "{}")]).await;
    let refused = node.triggers.resume(&live()).await.unwrap_err();
    assert!(matches!(refused, AskError::Held { replay, .. } if replay == "slow"));
    assert_eq!(node.lag().await, 1);
    node.replays.cancel("slow").await.unwrap();
    node.caught_up().await;
    assert_eq!(node.row("seen", "new").await, json!([3]));
    assert_eq!(node.live_state().await, "live");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_was_paused_by_hand_stays_paused_after_the_replay() {
    let (_folder, node) = node_with(&ORDERS[..3]).await;
    node.triggers.pause(&live()).await.unwrap();
    node.replays.create(&asked("again")).await.unwrap();
    node.ended("again").await;
    until("the replay has let the trigger go", async || node.live_state().await == "paused").await;
    node.append(&[(0, Some("new"), "{}")]).await;
    node.replays.create(&asked("once-more")).await.unwrap();
    node.ended("once-more").await;
    assert_eq!(node.row("seen", "new").await, json!(null));
    node.triggers.resume(&live()).await.unwrap();
    node.caught_up().await;
    assert_eq!(node.row("seen", "new").await, json!([3]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_live_trigger_has_not_handled_is_no_part_of_a_replay() {
    let (_folder, node) = node_with(&ORDERS[..2]).await;
    node.triggers.pause(&live()).await.unwrap();
    node.append(&ORDERS[..4]).await;
    let plan = node.replays.plan(&asked("x")).await.unwrap();
    assert_eq!((plan.events, plan.events_in_place), (6, 2));
    let tables: Vec<_> = plan.tables.iter().map(ToString::to_string).collect();
    assert_eq!(tables, ["counters", "seen"]);
    assert_eq!(node.replays.create(&asked("x")).await.unwrap().total, 2);
    node.ended("x").await;
    let nothing = NewReplay { from: at(2), ..asked("y") };
    assert!(matches!(node.replays.create(&nothing).await, Err(ReplayError::Invalid(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paced_replay_runs_one_second_of_events_for_each_second_of_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Millis(1_000_000)));
    let node = Node::start_at(folder.path(), 1, clock.clone()).await;
    node.append(&[(0, None, "{}"); 10]).await;
    node.caught_up().await;
    let runs = async || node.row("counters", "runs").await.as_u64().unwrap() - 10;
    node.replays.create(&NewReplay { rate: per_second(3), ..asked("paced") }).await.unwrap();
    for second in 1..=3 {
        until("a second's events have run", async || runs().await == second * 3).await;
        let now = node.replays.show("paced").await.unwrap();
        assert_eq!((now.state, now.done, now.rate_limit), (ReplayState::Running, second * 3, Some(3)));
        clock.set(Millis(1_000_000 + second as i64 * 1000));
    }
    assert_eq!(node.ended("paced").await.done, 10);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_replay_survives_a_restart_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Millis(1_000_000)));
    let node = Node::start_at(folder.path(), 1, clock.clone()).await;
    node.append(&[(0, Some("a"), "{}"); 9]).await;
    node.caught_up().await;
    node.replays.create(&NewReplay { rate: per_second(4), ..asked("long") }).await.unwrap();
    until("four have run", async || node.replays.show("long").await.unwrap().done == 4).await;
    node.replays.pause("long").await.unwrap();
    node.stop().await;

    let node = Node::start_at(folder.path(), 1, clock.clone()).await;
    until("the live trigger stands still again", async || node.live_state().await == "replaying").await;
    clock.set(Millis(2_000_000));
    let paused = node.replays.show("long").await.unwrap();
    assert_eq!((paused.state, paused.done, paused.lag), (ReplayState::Paused, 4, 5));
    assert_eq!(paused.eta_seconds, None, "it does not move");
    node.stop().await;

    let node = Node::start_at(folder.path(), 1, clock.clone()).await;
    node.replays.resume("long").await.unwrap();
    until("four more have run", async || node.replays.show("long").await.unwrap().done == 8).await;
    clock.set(Millis(3_000_000));
    let ended = node.ended("long").await;
    assert_eq!((ended.state, ended.done), (ReplayState::Done, 9));
    let twice: Vec<u64> = (0..9).chain(0..9).collect();
    assert_eq!(node.row("seen", "a").await, json!(twice), "nothing lost, nothing twice");
    node.append(&[(0, Some("new"), "{}")]).await;
    node.caught_up().await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_replay_goes_on_by_itself_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(Millis(1_000_000)));
    let node = Node::start_at(folder.path(), 1, clock.clone()).await;
    node.append(&[(0, Some("a"), "{}"); 7]).await;
    node.caught_up().await;
    node.replays.create(&NewReplay { rate: per_second(4), ..asked("long") }).await.unwrap();
    until("four have run", async || node.replays.show("long").await.unwrap().done == 4).await;
    node.stop().await;

    let node = Node::start_at(folder.path(), 1, clock).await;
    assert_eq!(node.ended("long").await.state, ReplayState::Done);
    let twice: Vec<u64> = (0..7).chain(0..7).collect();
    assert_eq!(node.row("seen", "a").await, json!(twice));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_shown_with_the_replay_and_nothing_else_is_left_of_its_group() {
    let events = [(0, Some("a"), r#"{"fails": true}"#), (0, Some("a"), "{}"), (0, Some("b"), "{}")];
    let (_folder, node) = node_with(&events).await;
    node.replays.create(&asked("fails")).await.unwrap();
    let ended = node.ended("fails").await;
    assert_eq!((ended.state, ended.done, ended.parked), (ReplayState::Done, 3, 2));
    let error = ended.failures[0].error.as_deref().unwrap();
    assert!(error.contains("no such order"), "{error}");
    let behind = &ended.failures[1];
    assert_eq!((behind.offset.0, &behind.error), (1, &None), "it waited behind the first");
    assert_eq!(node.row("seen", "b").await, json!([2, 2]));
    assert_eq!(node.row("seen", "a").await, json!([0, 1]));
    until("its group is forgotten", async || node.groups().await == ["orders/tally"]).await;
    let parked = weir_triggers::parked_list::list(&node.session, None).await.unwrap();
    assert!(parked.is_empty(), "{parked:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_replay_leaves_what_it_has_done_and_no_group() {
    let (_folder, node) = node_with(&ORDERS).await;
    node.replays.create(&NewReplay { rate: per_second(2), ..asked("stop") }).await.unwrap();
    until("two have run", async || node.replays.show("stop").await.unwrap().done >= 2).await;
    let cancelled = node.replays.cancel("stop").await.unwrap();
    assert_eq!(cancelled.state, ReplayState::Cancelled);
    until("its group is forgotten", async || node.groups().await == ["orders/tally"]).await;
    let shown = node.replays.show("stop").await.unwrap();
    let runs = node.row("counters", "runs").await.as_u64().unwrap();
    assert_eq!(shown.done, runs - 6);
    let again = node.replays.resume("stop").await.unwrap_err();
    assert!(matches!(again, ReplayError::Over { state: "cancelled", .. }));
    assert!(matches!(node.replays.create(&asked("stop")).await, Err(ReplayError::Taken(_))));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trigger_stands_still_for_one_replay_at_a_time() {
    let (_folder, node) = node_with(&ORDERS).await;
    node.replays.create(&NewReplay { rate: per_second(1), ..asked("first") }).await.unwrap();
    let refused = node.replays.create(&asked("second")).await.unwrap_err();
    assert!(matches!(refused, ReplayError::Busy { other, .. } if other == "first"));
    let names: Vec<_> = node.replays.list().await.unwrap().into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["first"]);
    node.replays.cancel("first").await.unwrap();
    until("the trigger goes on", async || node.live_state().await == "live").await;
    node.replays.create(&asked("second")).await.unwrap();
    assert_eq!(node.ended("second").await.state, ReplayState::Done);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_the_one_that_has_the_log_runs_a_replay_and_it_runs_once() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Node::start(folder.path(), 1).await;
    owner.append(&ORDERS).await;
    owner.caught_up().await;
    let other = Node::start(folder.path(), 1).await;
    other.replays.create(&asked("asked-there")).await.unwrap();
    assert_eq!(other.ended("asked-there").await.done, 6);
    until("its group is forgotten", async || owner.groups().await == ["orders/tally"]).await;
    owner.stop().await;

    until("the other has the log", async || other.live_state().await == "live").await;
    other.append(&[(0, Some("new"), "{}")]).await;
    other.caught_up().await;
    assert_eq!(other.row("counters", "runs").await, json!(13));
    assert_eq!(other.row("seen", "a").await, json!([0, 2, 4, 0, 2, 4]));
    other.stop().await;
}
