//! Whose turn it is on a worker's pump, by the time that each has used.
//!
//! The classes of work share the time of triggers by weight, and the homes of a class share what the class gets evenly.
//! Only those share that have something to do.

mod rounds;

use rounds::Rounds;
use std::time::Duration;

/// What kind of work it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Class {
    /// The events of a live trigger, and the commits of its parked ones.
    Live,
    /// Attempts at a live trigger's parked events.
    Parked,
    /// A replay, with its parked events.
    Replay,
}

impl Class {
    const COUNT: usize = 3;

    const fn weight(self) -> i64 {
        match self {
            Self::Live => 4,
            Self::Parked => 2,
            Self::Replay => 1,
        }
    }
}

/// See the module's docs.
#[derive(Default, Debug)]
pub(crate) struct Turns {
    classes: Rounds<Class>,
    /// By class, the ids of homes.
    homes: [Rounds<u64>; Class::COUNT],
}

impl Turns {
    /// A home has, or may have, something to do of a class.
    pub(crate) fn wants(&mut self, class: Class, home: u64) {
        self.classes.wants(class, class.weight());
        self.homes[class as usize].wants(home, 1);
    }

    /// Who may do one thing now, and of which class; none: nobody wants to.
    pub(crate) fn next(&mut self) -> Option<(Class, u64)> {
        let class = self.classes.next()?;
        let home = self.homes[class as usize].next().expect("a class waits for one of its homes");
        Some((class, home))
    }

    /// A home has used this much for work of a class.
    pub(crate) fn spent(&mut self, class: Class, home: u64, time: Duration) {
        self.classes.spent(class, time);
        self.homes[class as usize].spent(home, time);
    }

    /// A home has nothing more to do of a class.
    pub(crate) fn rests(&mut self, class: Class, home: u64) {
        self.homes[class as usize].rests(home);
        self.rest_if_idle(class);
    }

    /// A home is gone.
    pub(crate) fn forget(&mut self, home: u64) {
        for class in [Class::Live, Class::Parked, Class::Replay] {
            self.homes[class as usize].forget(home);
            self.rest_if_idle(class);
        }
    }

    fn rest_if_idle(&mut self, class: Class) {
        if self.homes[class as usize].is_empty() {
            self.classes.rests(class);
        }
    }
}

#[cfg(test)]
mod tests;
