//! How far a move is.

/// What a move tells whoever waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Events and rows that are done, those of earlier tries included; of a backup, pages of the file.
    pub done: u64,
    /// How many there are to do.
    pub total: u64,
}

/// What is being done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// They are written.
    Copying,
    /// What was written is read again, and compared.
    Comparing,
}

/// Is told of progress, some times a second.
pub type Watcher<'w> = dyn FnMut(Progress) + Send + 'w;

/// Counts, and tells.
pub(crate) struct Count<'a, 'w> {
    now: Progress,
    watcher: &'a mut Watcher<'w>,
}

impl<'a, 'w> Count<'a, 'w> {
    pub(crate) fn new(phase: Phase, total: u64, watcher: &'a mut Watcher<'w>) -> Self {
        let mut count = Self { now: Progress { phase, done: 0, total }, watcher };
        count.add(0);
        count
    }

    /// So many are done.
    pub(crate) fn reach(&mut self, done: u64) {
        self.add(done.saturating_sub(self.now.done));
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, done: u64) {
        self.now.done += done;
        (self.watcher)(self.now);
    }
}
