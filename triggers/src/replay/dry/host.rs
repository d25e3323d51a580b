//! The world of a dry run's invocation: the live state with what the earlier events of the run would have written.

use super::overlay::{self, Overlay};
use crate::host::{chain, unavailable};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_runtime::{Answer, Host, HostError, HostPage, HostRow, LogLine, Session, TopicRef};
use weir_schema::{At, InvocationId, Millis, Offset, Records, Source, StateKey, StateRange};

/// The host of one attempt.
#[derive(Debug)]
pub(super) struct DryHost {
    pub(super) session: Arc<Session>,
    pub(super) overlay: Rc<RefCell<Overlay>>,
    pub(super) now: Millis,
    pub(super) invocation: InvocationId,
    pub(super) event: Source,
}

impl Host for DryHost {
    fn now(&self) -> Millis {
        self.now
    }

    fn wall(&self) -> Duration {
        self.session.clock().precise()
    }

    fn topic(&self, name: &str) -> Result<TopicRef, String> {
        self.session.topic(name)
    }

    fn generation(&self, _table: &str) -> u32 {
        0
    }

    fn get(&self, key: StateKey) -> Answer<Result<Option<HostRow>, HostError>> {
        if let Some(row) = self.overlay.borrow().get(&key, self.now) {
            return Answer::Now(Ok(row));
        }
        let (session, overlay, now) = (self.session.clone(), self.overlay.clone(), self.now);
        Answer::Later(Box::pin(async move {
            overlay::read(&overlay, &session, &key, now).await.map_err(unavailable)
        }))
    }

    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>> {
        let (session, overlay, now) = (self.session.clone(), self.overlay.clone(), self.now);
        Answer::Later(Box::pin(async move { scan(&session, &overlay, range, limit, now).await }))
    }

    fn append_now(&self, _n: u32, _records: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        Answer::Now(Ok(Vec::new()))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.session.env(name)
    }

    fn log(&self, line: LogLine<'_>) {
        line.emit(&self.event, self.invocation);
    }

    fn chain(&self) -> Answer<String> {
        let (session, event) = (self.session.clone(), self.event.clone());
        Answer::Later(Box::pin(async move { chain(&session, event).await }))
    }
}

/// Live rows, page by page of the store, each patched with the run's own rows of the same keys.
async fn scan(
    session: &Session,
    overlay: &RefCell<Overlay>,
    mut range: StateRange,
    limit: u32,
    now: Millis,
) -> Result<HostPage, HostError> {
    let limit = limit.max(1);
    let mut found = HostPage::default();
    loop {
        let page = session.log().scan(&range, limit).await.map_err(unavailable)?;
        let piece = StateRange { to: page.next.clone().or_else(|| range.to.clone()), ..range.clone() };
        let live = page.rows.into_iter().filter(|(_, row)| row.is_live(now));
        let mut rows: BTreeMap<_, _> = live.map(|(key, row)| (key, row.value)).collect();
        overlay.borrow().patch(&piece, &mut rows, now);
        found.rows.extend(rows);
        let is_full = found.rows.len() >= limit as usize;
        found.is_last = page.next.is_none() && found.rows.len() <= limit as usize;
        match page.next {
            Some(next) if !is_full => range.from = next,
            _ => break,
        }
    }
    found.rows.truncate(limit as usize);
    Ok(found)
}
