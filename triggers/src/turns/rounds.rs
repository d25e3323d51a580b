//! Deficit round robin: in each round everyone who waits may use time according to its weight.
//!
//! What a piece of work takes is known only when it is done. So whoever has something left may begin one more, and what
//! it uses too much is taken from its next rounds.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

/// What weight 1 may use in a round, in ns: a few functions, so that those of one home run back to back.
const QUANTUM: i64 = 50_000;

/// The most that anyone pays back, in ns: about ten slices of a function that computes.
const MOST_DEBT: i64 = 10_000_000;

/// Those who share, and what each has left.
#[derive(Debug)]
pub(super) struct Rounds<K> {
    /// Who wants a turn; the first has it.
    waiting: VecDeque<K>,
    /// Whether the first has been given what it may use in this round.
    has_begun: bool,
    accounts: foldhash::HashMap<K, Account>,
}

#[derive(Debug)]
struct Account {
    /// What may be used in this round, in ns; below zero: what was used too much.
    left: i64,
    weight: i64,
    is_waiting: bool,
}

impl<K> Default for Rounds<K> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), has_begun: false, accounts: foldhash::HashMap::default() }
    }
}

impl<K: Copy + Eq + Hash> Rounds<K> {
    /// Someone wants turns, until it rests.
    pub(super) fn wants(&mut self, who: K, weight: i64) {
        let account = self.accounts.entry(who).or_insert(Account { left: 0, weight, is_waiting: false });
        if !account.is_waiting {
            account.is_waiting = true;
            self.waiting.push_back(who);
        }
    }

    /// Whose turn it is: the same one's until it has used up what it may, or rests.
    pub(super) fn next(&mut self) -> Option<K> {
        loop {
            let who = *self.waiting.front()?;
            let account = self.accounts.get_mut(&who).expect("who waits has an account");
            if !std::mem::replace(&mut self.has_begun, true) {
                account.left += QUANTUM * account.weight;
            }
            if account.left > 0 {
                return Some(who);
            }
            self.waiting.rotate_left(1);
            self.has_begun = false;
        }
    }

    /// Someone has used this much.
    pub(super) fn spent(&mut self, who: K, time: Duration) {
        if let Some(account) = self.accounts.get_mut(&who) {
            let used = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
            account.left = account.left.saturating_sub(used).max(-MOST_DEBT);
        }
    }

    /// Someone wants nothing now. What it has left goes to the others; what it owes it pays when it is back.
    pub(super) fn rests(&mut self, who: K) {
        let Some(account) = self.accounts.get_mut(&who).filter(|a| a.is_waiting) else { return };
        account.is_waiting = false;
        account.left = account.left.min(0);
        if let Some(place) = self.waiting.iter().position(|w| *w == who) {
            self.waiting.remove(place);
            self.has_begun &= place > 0;
        }
    }

    /// Someone is gone for good.
    pub(super) fn forget(&mut self, who: K) {
        self.rests(who);
        self.accounts.remove(&who);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
