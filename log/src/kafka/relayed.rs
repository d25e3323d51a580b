//! What the relay has brought to Kafka, for those who wait for it.

use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use weir_schema::{At, Offset};

/// Where the events of a transaction came to be, as in a receipt.
pub(super) type Bases = SmallVec<[(At, Offset, u32); 1]>;

/// How many transactions that nobody has asked for yet are kept.
const KEPT: usize = 1 << 16;

/// See the module's docs. Transactions are known by the number of their last row.
#[derive(Default, Debug)]
pub(super) struct Relayed(Mutex<State>);

#[derive(Default, Debug)]
struct State {
    /// Everything below is in Kafka.
    reached: u64,
    done: BTreeMap<u64, Bases>,
    waiting: HashMap<u64, oneshot::Sender<Bases>>,
    closed: bool,
}

impl Relayed {
    /// The rows below `reached` are in Kafka; of some it is known where.
    pub(super) fn arrive(&self, reached: u64, arrived: impl IntoIterator<Item = (u64, Bases)>) {
        let mut state = self.lock();
        state.reached = state.reached.max(reached);
        for (row, bases) in arrived {
            match state.waiting.remove(&row) {
                // whoever waits may have gone
                Some(waits) => drop(waits.send(bases)),
                None => drop(state.done.insert(row, bases)),
            }
        }
        let reached = state.reached;
        for (_, waits) in state.waiting.extract_if(|row, _| *row < reached) {
            drop(waits.send(Bases::new()));
        }
        while state.done.len() > KEPT {
            state.done.pop_first();
        }
    }

    /// Waits until `row` is in Kafka. Empty: it is, but where is not known any more. None: the log was closed before.
    pub(super) async fn of(&self, row: u64) -> Option<Bases> {
        let wait = {
            let mut state = self.lock();
            match state.done.remove(&row) {
                Some(bases) => return Some(bases),
                None if row < state.reached => return Some(Bases::new()),
                None if state.closed => return None,
                None => {}
            }
            let (tell, wait) = oneshot::channel();
            state.waiting.insert(row, tell);
            wait
        };
        wait.await.ok()
    }

    /// What is waited for, the first `many`.
    pub(super) fn missing(&self, many: usize) -> Vec<u64> {
        self.lock().waiting.keys().copied().take(many).collect()
    }

    /// Lets go of everyone who waits.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::TopicId;

    fn bases(offset: u64) -> Bases {
        let at = At { topic: TopicId(1), partition: 0 };
        [(at, Offset(offset), 1)].into_iter().collect()
    }

    #[tokio::test]
    async fn whoever_asks_later_or_earlier_is_told_where() {
        let relayed = Relayed::default();
        relayed.arrive(2, [(1, bases(7))]);
        assert_eq!(relayed.of(1).await, Some(bases(7)));
        let (told, ()) = tokio::join!(relayed.of(2), async { relayed.arrive(3, [(2, bases(9))]) });
        assert_eq!(told, Some(bases(9)));
    }

    #[tokio::test]
    async fn what_arrived_without_a_word_of_where_has_arrived() {
        let relayed = Relayed::default();
        let (told, ()) = tokio::join!(relayed.of(4), async { relayed.arrive(9, []) });
        assert_eq!((told, relayed.of(5).await), (Some(Bases::new()), Some(Bases::new())));
    }

    #[tokio::test]
    async fn nobody_waits_past_the_end() {
        let relayed = Relayed::default();
        let (told, ()) = tokio::join!(relayed.of(0), async { relayed.close() });
        assert_eq!((told, relayed.of(1).await), (None, None));
    }
}
