//! The world of a trigger's invocation: it reads state through the pending writes of the earlier events of its
//! partition, by way of the partition's dispatcher.

use crate::Dispatcher;
use crate::dispatcher::{Seen, Stored, View, What};
use crate::immediate;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{LogError, all_rows};
use weir_runtime::{
    Answer, CalledFunction, Host, HostError, HostPage, HostRow, LogLine, Sent, Session, TopicRef,
};
use weir_schema::{
    At, Cause, InvocationId, Millis, Offset, Records, Source, StateKey, StateRange, TraceContext, TxnId,
};

/// Rows of the store's page that tells how far a scan reaches.
const PROBE: u32 = 1000;

/// The host of one attempt.
#[derive(Debug)]
pub(crate) struct TriggerHost {
    pub(crate) session: Arc<Session>,
    pub(crate) dispatcher: Rc<RefCell<Dispatcher>>,
    pub(crate) run: TxnId,
    pub(crate) now: Millis,
    pub(crate) invocation: InvocationId,
    pub(crate) event: Source,
    pub(crate) trace: TraceContext,
    pub(crate) suppress_appends: bool,
}

impl Host for TriggerHost {
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
        let what = What::Key(key);
        match self.dispatcher.borrow_mut().read(self.run, &what, None) {
            Seen::View(view) => return Answer::Now(Ok(row(view))),
            Seen::Gone => return Answer::Now(Err(HostError::Cancelled)),
            Seen::AskStore => {}
        }
        let (session, dispatcher, run) = (self.session.clone(), self.dispatcher.clone(), self.run);
        Answer::Later(Box::pin(async move { ask(&session, &dispatcher, run, &what).await.map(row) }))
    }

    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>> {
        let (session, dispatcher, run) = (self.session.clone(), self.dispatcher.clone(), self.run);
        Answer::Later(Box::pin(async move { scan(&session, &dispatcher, run, range, limit).await }))
    }

    fn append_now(&self, n: u32, records: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        if self.suppress_appends {
            return Answer::Now(Ok(Vec::new()));
        }
        let (session, invocation) = (self.session.clone(), self.invocation);
        Answer::Later(Box::pin(async move { immediate::append(&session, invocation, n, records).await }))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.session.env(name)
    }

    fn log(&self, line: LogLine<'_>) {
        line.emit(&self.event, self.invocation);
    }

    fn called(&self, call: &CalledFunction<'_>) {
        self.session.record_call(self.trace, call);
    }

    fn sent(&self, parent: u64, request: &Sent<'_>) {
        self.session.record_sent(self.trace, parent, request);
    }

    fn chain(&self) -> Answer<String> {
        let (session, event) = (self.session.clone(), self.event.clone());
        Answer::Later(Box::pin(async move { chain(&session, event).await }))
    }
}

fn row(view: View) -> Option<HostRow> {
    match view {
        View::Row(row) => row,
        View::Rows(_) => None,
    }
}

/// Asks the store until the dispatcher takes the answer.
async fn ask(
    session: &Session,
    dispatcher: &RefCell<Dispatcher>,
    run: TxnId,
    what: &What,
) -> Result<View, HostError> {
    loop {
        let stored = match what {
            What::Key(key) => {
                let rows = session.log().get(std::slice::from_ref(key)).await.map_err(unavailable)?;
                Stored::Row(rows.into_iter().next().flatten())
            }
            What::Range(range) => {
                Stored::Rows(all_rows(&**session.log(), range.clone()).await.map_err(unavailable)?)
            }
        };
        let seen = dispatcher.borrow_mut().read(run, what, Some(stored));
        match seen {
            Seen::View(view) => return Ok(view),
            Seen::Gone => return Err(HostError::Cancelled),
            Seen::AskStore => {}
        }
    }
}

/// Live rows from the begin of `range`, piece by piece: each piece is as long as a page of the store, and is read as
/// a whole, with the pending writes that fall into it.
async fn scan(
    session: &Session,
    dispatcher: &RefCell<Dispatcher>,
    run: TxnId,
    mut range: StateRange,
    limit: u32,
) -> Result<HostPage, HostError> {
    let mut page = HostPage::default();
    loop {
        let probe = session.log().scan(&range, limit.clamp(1, PROBE)).await.map_err(unavailable)?;
        let piece = StateRange { to: probe.next.clone().or_else(|| range.to.clone()), ..range.clone() };
        let what = What::Range(piece);
        let seen = dispatcher.borrow_mut().read(run, &what, None);
        let view = match seen {
            Seen::View(view) => view,
            Seen::Gone => return Err(HostError::Cancelled),
            Seen::AskStore => ask(session, dispatcher, run, &what).await?,
        };
        if let View::Rows(rows) = view {
            page.rows.extend(rows);
        }
        let is_full = page.rows.len() >= limit as usize;
        match probe.next {
            None => {
                page.is_last = page.rows.len() <= limit as usize;
                page.rows.truncate(limit as usize);
                return Ok(page);
            }
            Some(_) if is_full => {
                page.rows.truncate(limit as usize);
                return Ok(page);
            }
            Some(next) => range.from = next,
        }
    }
}

/// How an event came about, walked back through the log: the nearest first.
pub(crate) async fn chain(session: &Session, event: Source) -> String {
    let topics = session.topic_names();
    let mut text = event.to_string();
    let mut cause = event;
    for _ in 0..8 {
        let Source::Event { topic, partition, offset } = &cause else { break };
        let Some(id) = topics.iter().find(|(_, name)| *name == topic).map(|(id, _)| *id) else { break };
        let limit = weir_log::ReadLimit { events: 1, bytes: 1 };
        let at = At { topic: id, partition: *partition };
        let Ok(records) = session.log().read(at, *offset, limit).await else { break };
        let Some(before) = records.get(0).filter(|r| r.meta.offset == *offset).and_then(|r| Cause::of(&r))
        else {
            break;
        };
        let function = before.function.as_ref().map_or("outside", |f| f.as_str());
        text.push_str(&format!(" ← {function} ← {}", before.source));
        cause = before.source;
    }
    text
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
pub(crate) fn unavailable(error: LogError) -> HostError {
    HostError::Unavailable(error.to_string())
}
