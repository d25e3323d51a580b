//! One batch of a partition at a time: what comes while it is on its way waits, and goes together when it has arrived.
//!
//! Many small requests cost the brokers. And of what has to wait inside Kafka's client while five events are on their way, it looks
//! all the time whether it may go, which costs a processor.

use foldhash::HashMap;
use weir_schema::At;

/// What is on its way to each partition, and what waits for it.
pub(super) struct Lanes<T> {
    lanes: HashMap<At, Lane<T>>,
    /// Those where something waits and nothing is on its way.
    ready: Vec<At>,
    waiting: usize,
}

struct Lane<T> {
    on_its_way: usize,
    waiting: Vec<T>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { on_its_way: 0, waiting: Vec::new() }
    }
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self { lanes: HashMap::default(), ready: Vec::new(), waiting: 0 }
    }
}

impl<T> Lanes<T> {
    /// How much waits.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether something may set out.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Waits behind what is on its way.
    pub(super) fn wait(&mut self, at: At, item: T) {
        let lane = self.lanes.entry(at).or_default();
        if lane.on_its_way == 0 && lane.waiting.is_empty() {
            self.ready.push(at);
        }
        lane.waiting.push(item);
        self.waiting += 1;
    }

    /// Everything that may set out does.
    pub(super) fn set_out(&mut self) -> Vec<T> {
        let mut all = Vec::new();
        for at in self.ready.drain(..) {
            let Some(lane) = self.lanes.get_mut(&at).filter(|lane| lane.on_its_way == 0) else { continue };
            lane.on_its_way = lane.waiting.len();
            all.append(&mut lane.waiting);
        }
        self.waiting -= all.len();
        all
    }

    /// Something that has not waited here has set out.
    pub(super) fn join(&mut self, at: At) {
        self.lanes.entry(at).or_default().on_its_way += 1;
    }

    /// Something that has set out has come to something.
    pub(super) fn arrive(&mut self, at: At) {
        let Some(lane) = self.lanes.get_mut(&at) else { return };
        lane.on_its_way = lane.on_its_way.saturating_sub(1);
        if lane.on_its_way == 0 && !lane.waiting.is_empty() {
            self.ready.push(at);
        }
    }

    /// Everything that waits.
    pub(super) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.lanes.into_values().flat_map(|lane| lane.waiting)
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
        lanes.wait(AT, "a");
        lanes.wait(AT, "b");
        assert_eq!(lanes.set_out(), ["a", "b"]);
        lanes.wait(AT, "c");
        lanes.wait(other, "z");
        lanes.wait(AT, "d");
        assert_eq!(lanes.waiting(), 3);
        assert_eq!(lanes.set_out(), ["z"], "another partition's do not wait");
        lanes.arrive(AT);
        assert!(!lanes.is_ready());
        lanes.arrive(AT);
        assert_eq!(lanes.set_out(), ["c", "d"]);
        assert!(lanes.waiting() == 0 && !lanes.is_ready());
    }

    #[test]
    fn what_others_have_sent_is_waited_for_too() {
        let mut lanes = Lanes::default();
        lanes.wait(AT, "a");
        lanes.join(AT);
        assert!(lanes.set_out().is_empty());
        lanes.arrive(AT);
        assert_eq!(lanes.set_out(), ["a"]);
    }
}
