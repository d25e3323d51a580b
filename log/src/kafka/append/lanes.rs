//! One batch of a partition at a time: what comes while it is on its way waits, and goes together when it has arrived.
//!
//! Kafka's client sends what it has at once, and once it may send no more it does nothing but look whether it may again. So
//! many small requests cost the brokers, and that look a whole processor.

use foldhash::HashMap;
use weir_schema::At;

/// What is on its way to each partition, and what waits for it.
pub(super) struct Lanes<T> {
    lanes: HashMap<At, Lane<T>>,
    waiting: usize,
}

struct Lane<T> {
    on_its_way: usize,
    waiting: Vec<T>,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: HashMap::default(), waiting: 0 }
    }
}

impl<T> Lanes<T> {
    /// Whether what goes to `at` now has to wait for what is on its way.
    pub(super) fn is_busy(&self, at: At) -> bool {
        self.lanes.get(&at).is_some_and(|lane| lane.on_its_way > 0)
    }

    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Waits behind what is on its way.
    pub(super) fn wait(&mut self, at: At, item: T) {
        self.lane(at).waiting.push(item);
        self.waiting += 1;
    }

    /// Something has set out.
    pub(super) fn set_out(&mut self, at: At) {
        self.lane(at).on_its_way += 1;
    }

    /// It has come to something: returns what may follow, if it was the last one that is on its way.
    pub(super) fn arrive(&mut self, at: At) -> Vec<T> {
        let lane = self.lane(at);
        lane.on_its_way = lane.on_its_way.saturating_sub(1);
        let follows = if lane.on_its_way == 0 { std::mem::take(&mut lane.waiting) } else { Vec::new() };
        self.waiting -= follows.len();
        follows
    }

    /// Everything that waits.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.lanes.into_values().flat_map(|lane| lane.waiting)
    }

    fn lane(&mut self, at: At) -> &mut Lane<T> {
        self.lanes.entry(at).or_insert_with(|| Lane { on_its_way: 0, waiting: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::TopicId;

    const AT: At = At { topic: TopicId(1), partition: 0 };

    #[test]
    fn what_comes_meanwhile_follows_together_when_the_last_has_arrived() {
        let (mut lanes, other) = (Lanes::default(), At { partition: 1, ..AT });
        assert!(!lanes.is_busy(AT));
        lanes.set_out(AT);
        lanes.set_out(AT);
        assert!(lanes.is_busy(AT) && !lanes.is_busy(other));
        lanes.wait(AT, "a");
        lanes.wait(AT, "b");
        assert!(lanes.arrive(AT).is_empty());
        assert_eq!(lanes.waiting(), 2);
        assert_eq!(lanes.arrive(AT), ["a", "b"]);
        assert_eq!(lanes.waiting(), 0);
        assert!(!lanes.is_busy(AT) && lanes.arrive(AT).is_empty());
    }
}
