//! What must hold after a load on [`counting`](crate::counting), whatever happened meanwhile.

use crate::eventually::{PATIENCE, eventually};
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is in the log after a load.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Found {
    /// The id of each event.
    pub appended: Vec<String>,
    /// How often the trigger has counted each id.
    pub seen: BTreeMap<String, u64>,
    /// What else counts the events: by the request, by the trigger, and by its reading and writing.
    pub counts: [u64; 3],
    /// Of how many keys events were handled out of their order.
    pub disorder: usize,
    /// How many events lie before the trigger.
    pub lag: u64,
    /// How many it has parked.
    pub parked: usize,
}

/// What does not hold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Ids that were acknowledged, and took no effect.
    pub lost: BTreeSet<String>,
    /// Ids that took effect more than once.
    pub doubled: BTreeSet<String>,
    /// What else is not as it should be.
    pub other: Vec<String>,
}

impl Found {
    /// Waits until the trigger has handled everything, and looks.
    pub async fn of(sandbox: &Sandbox) -> Self {
        sandbox.weir(&["triggers", "wait", "--timeout", "60s"]).await.succeeded();
        redrive_suspects(sandbox).await;
        let events = sandbox.weir(&["events", "hits", "--json"]).await.succeeded().lines();
        let rows = sandbox.weir(&["state", "list", "seen", "--json"]).await.succeeded().lines();
        let triggers = sandbox.weir(&["triggers", "--json"]).await.succeeded().lines();
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a number, not {value}"));
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned();
        Self {
            appended: events.iter().map(|event| text(&event["value"]["id"])).collect(),
            seen: rows.iter().map(|row| (text(&row["key"]), number(&row["value"]))).collect(),
            counts: [
                number(&row(sandbox, "sums", "requests").await),
                number(&row(sandbox, "sums", "seen").await),
                number(&row(sandbox, "last", "id").await["n"]),
            ],
            disorder: sandbox.weir(&["state", "list", "disorder", "--json"]).await.succeeded().lines().len(),
            lag: triggers.iter().map(|trigger| number(&trigger["lag"])).sum(),
            parked: sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines().len(),
        }
    }

    /// Holds it against what was acknowledged.
    #[must_use]
    pub fn wrong(&self, acknowledged: &BTreeSet<String>) -> Wrong {
        let mut appended: BTreeMap<&String, u64> = BTreeMap::new();
        for id in &self.appended {
            *appended.entry(id).or_default() += 1;
        }
        let seen = |id: &String| self.seen.get(id).copied().unwrap_or(0);
        let lost = acknowledged.iter().filter(|id| !appended.contains_key(id) || seen(id) == 0);
        let twice = appended.iter().filter(|(id, n)| **n > 1 || seen(id) > 1).map(|(id, _)| *id);
        let more_seen = self.seen.iter().filter(|(id, n)| **n > 1 || !appended.contains_key(id));
        let doubled = twice.chain(more_seen.map(|(id, _)| id));
        let mut wrong =
            Wrong { lost: lost.cloned().collect(), doubled: doubled.cloned().collect(), other: Vec::new() };
        let unseen = appended.keys().filter(|id| seen(id) == 0).count();
        let total = self.appended.len() as u64;
        let mut hold = |is_so: bool, otherwise: String| {
            if !is_so {
                wrong.other.push(otherwise);
            }
        };
        hold(unseen == 0, format!("{unseen} events were never handled"));
        hold(self.counts == [total; 3], format!("{total} events, and the counts are {:?}", self.counts));
        hold(self.disorder == 0, format!("events of {} keys were handled out of order", self.disorder));
        hold(self.lag == 0, format!("the trigger is {} events behind", self.lag));
        hold(self.parked == 0, format!("{} events are parked", self.parked));
        wrong
    }

    /// Holds it against what was acknowledged.
    ///
    /// # Panics
    /// Something is wrong.
    pub fn check(&self, acknowledged: &BTreeSet<String>) {
        assert_eq!(self.wrong(acknowledged), Wrong::default());
    }
}

/// An event that ran at the moment of several kills is held as a suspect for having caused them. It did not, so it is
/// let go, as a human would. Nothing else may be parked.
async fn redrive_suspects(sandbox: &Sandbox) {
    let parked = sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines();
    let is_suspect =
        |event: &Value| event["last_error"].as_str().is_some_and(|e| e.contains("the process ended"));
    for event in &parked {
        // or it waits behind one of its key
        let is_behind = || parked.iter().any(|other| other["key"] == event["key"] && is_suspect(other));
        let is_held = is_suspect(event) || (event["last_error"].is_null() && is_behind());
        assert!(is_held, "parked for another reason than a kill: {event}");
    }
    if !parked.is_empty() {
        // those behind them follow by themselves
        for id in parked.iter().filter(|event| is_suspect(event)).filter_map(|event| event["id"].as_str()) {
            sandbox.weir(&["parked", "redrive", id]).await.succeeded();
        }
        eventually(PATIENCE, || async {
            let left = sandbox.weir(&["parked", "list", "--json"]).await.succeeded().lines();
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }
}

async fn row(sandbox: &Sandbox, table: &str, key: &str) -> Value {
    let row = sandbox.weir(&["state", "get", table, key]).await.succeeded();
    serde_json::from_str(&row.stdout).expect("a row is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes a sound log wrong.
    type Change = fn(&mut Found);

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    /// `a` and `b` were acknowledged; `c` was not, and is there all the same.
    fn sound() -> (Found, BTreeSet<String>) {
        let all = ["a", "b", "c"].map(str::to_owned);
        let seen = all.iter().map(|id| (id.clone(), 1)).collect();
        (
            Found { appended: all.to_vec(), seen, counts: [3; 3], disorder: 0, lag: 0, parked: 0 },
            ids(&["a", "b"]),
        )
    }

    #[test]
    fn what_was_answered_with_an_error_may_be_there_once() {
        let (found, acknowledged) = sound();
        assert_eq!(found.wrong(&acknowledged), Wrong::default());
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_or_not_handled_is_lost() {
        let (mut found, acknowledged) = sound();
        found.appended.retain(|id| id != "a");
        found.seen.remove("a");
        found.counts = [2; 3];
        assert_eq!(found.wrong(&acknowledged), Wrong { lost: ids(&["a"]), ..Wrong::default() });
        let (mut found, acknowledged) = sound();
        found.seen.remove("b");
        let wrong = found.wrong(&acknowledged);
        assert_eq!((wrong.lost, wrong.other.len()), (ids(&["b"]), 1));
    }

    #[test]
    fn what_is_appended_or_handled_twice_or_handled_without_an_event_is_doubled() {
        let changes: [(&str, Change); 3] = [
            ("b", |found| found.appended.push("b".to_owned())),
            ("c", |found| found.seen.extend([("c".to_owned(), 2)])),
            ("d", |found| found.seen.extend([("d".to_owned(), 1)])),
        ];
        for (id, change) in changes {
            let (mut found, acknowledged) = sound();
            change(&mut found);
            assert_eq!(found.wrong(&acknowledged).doubled, ids(&[id]));
        }
    }

    #[test]
    fn counts_that_differ_another_order_a_lag_and_parked_events_are_wrong() {
        let changes: [Change; 6] = [
            |found| found.disorder = 1,
            |found| found.counts[0] += 1,
            |found| found.counts[1] -= 1,
            |found| found.counts[2] += 1,
            |found| found.lag = 1,
            |found| found.parked = 1,
        ];
        for change in changes {
            let (mut found, acknowledged) = sound();
            change(&mut found);
            assert_eq!(found.wrong(&acknowledged).other.len(), 1, "{found:?}");
        }
    }
}
