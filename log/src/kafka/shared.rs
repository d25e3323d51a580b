//! What the parts of the log share.

use super::limits::Limits;
use super::mirror::Mirror;
use super::pending::Pending;
use super::relayed::Relayed;
use super::tails::Tails;
use super::times::Times;

/// See the module's docs. Owns no client: the threads of clients hold on to it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) mirror: Mirror,
    pub(super) tails: Tails,
    pub(super) pending: Pending,
    pub(super) relayed: Relayed,
    pub(super) times: Times,
    pub(super) limits: Limits,
}

impl Shared {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            mirror: Mirror::new(prefix),
            tails: Tails::default(),
            pending: Pending::default(),
            relayed: Relayed::default(),
            times: Times::default(),
            limits: Limits::default(),
        }
    }

    /// Lets go of everyone who waits for something.
    pub(super) fn close(&self) {
        self.tails.close();
        self.relayed.close();
        self.pending.close();
    }
}
