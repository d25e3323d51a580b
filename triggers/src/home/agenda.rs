//! What a home has to do, in order; attempts at parked events apart, for they have turns of their own.

use crate::dispatcher::Action;
use crate::turns::Class;
use std::collections::VecDeque;
use weir_schema::TxnId;

/// One thing to be done.
pub(super) enum Work {
    /// Ask the dispatcher what is to be done.
    Ask,
    Do(Action),
    /// Let an attempt go on that has waited.
    GoOn(TxnId),
}

/// See the module's docs.
#[derive(Default)]
pub(super) struct Agenda {
    main: VecDeque<Work>,
    parked: VecDeque<Work>,
    is_asking: bool,
}

impl Agenda {
    /// The dispatcher is to be asked once what is here already is done: so what functions that return at once have done
    /// commits as one chunk.
    pub(super) fn ask(&mut self) {
        if !self.is_asking {
            self.is_asking = true;
            self.main.push_back(Work::Ask);
        }
    }

    pub(super) fn add(&mut self, class: Class, work: Work) {
        self.lane(class).push_back(work);
    }

    pub(super) fn take(&mut self, class: Class) -> Option<Work> {
        let work = self.lane(class).pop_front();
        self.is_asking &= !matches!(work, Some(Work::Ask));
        work
    }

    pub(super) fn has(&self, class: Class) -> bool {
        match class {
            Class::Parked => !self.parked.is_empty(),
            Class::Live | Class::Replay => !self.main.is_empty(),
        }
    }

    /// An attempt that waits for its turn must not begin any more.
    pub(super) fn cancel(&mut self, run: TxnId) {
        let begins = |work: &Work| matches!(work, Work::Do(Action::Start(start)) if start.run == run);
        self.parked.retain(|work| !begins(work));
    }

    fn lane(&mut self, class: Class) -> &mut VecDeque<Work> {
        match class {
            Class::Parked => &mut self.parked,
            Class::Live | Class::Replay => &mut self.main,
        }
    }
}
