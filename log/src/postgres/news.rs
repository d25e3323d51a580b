//! What happens in other processes, and telling them what happens here.
//!
//! A notification must not be part of a commit: its lock, one for all of the server, would end that commits share a
//! sync. So what has happened is merged and told on another connection, at most every few milliseconds. Notifications
//! are lossy; a look at the tails, now and then, is what progress rests on.

use super::error::Failure;
use super::{Shared, topics};
use crate::Hint;
use deadpool_postgres::Client;
use futures::stream::{StreamExt, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::AsyncMessage;
use weir_schema::{At, CatalogVersion, Offset, TopicId};

/// Notifications of this process come no closer than this.
const PACE: Duration = Duration::from_millis(3);
/// How often to look while notifications come.
pub(super) const SELDOM: Duration = Duration::from_secs(1);
/// While there is no connection that could bring them: how long after news …
const OFTEN: Duration = Duration::from_millis(25);
/// … and twice as long after each look that finds none, up to this.
const QUIET: Duration = Duration::from_millis(250);
/// The server takes payloads of less than 8000 bytes.
const PAYLOAD: usize = 7900;
/// Stands for what does not fit.
const LOOK: &str = "look";

/// What this process has done, for the others, and whether it hears of them.
#[derive(Debug)]
pub(super) struct News {
    done: watch::Sender<Done>,
    is_listening: AtomicBool,
    channel: String,
}

/// What this process has done: news since the last telling are what differs.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Done {
    hint: Hint,
    /// How often something has changed about who takes part in groups.
    groups: u64,
}

impl News {
    /// For a schema whose advisory locks have the number `space`, and notifications the name of it.
    pub(super) fn new(space: i32) -> Self {
        let channel = format!("weir_{}", space.cast_unsigned());
        Self { done: watch::Sender::default(), is_listening: AtomicBool::new(false), channel }
    }

    /// Has others told of tails and versions.
    pub(super) fn tell(&self, tails: &[(At, Offset)], catalog: CatalogVersion, control: u64) {
        self.done.send_if_modified(|done| done.hint.merge(tails, catalog, control));
    }

    /// Has others told that something has changed about who takes part in groups.
    pub(super) fn tell_of_groups(&self) {
        self.done.send_modify(|done| done.groups += 1);
    }
}

/// Tells other processes what this one has done.
pub(super) async fn notify(shared: Arc<Shared>) {
    let (mut done, mut told) = (shared.news.done.subscribe(), Done::default());
    while done.changed().await.is_ok() {
        let now = done.borrow_and_update().clone();
        let (channel, payload) = (&shared.news.channel, payload(&told, &now));
        // it may be lost with the server: whoever missed it looks
        let sql = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)";
        let send = |client: Client| async move {
            let statement = client.prepare_cached(sql).await?;
            Ok(client.execute(&statement, &[channel, &payload]).await?)
        };
        let sent: Result<_, Failure> = shared.server.once(send).await;
        if let Err(failure) = sent {
            let error = failure.into_log_error("send news of", &shared.server.place);
            tracing::debug!(%error, "others hear of it when they look");
        }
        told = now;
        tokio::time::sleep(PACE).await;
    }
}

/// `told` and what is new in `now`: `topic.partition.tail` …, `c` and the catalog's version, `k` and the number of
/// control entries, `g` for groups.
fn payload(told: &Done, now: &Done) -> String {
    let mut payload = format!("c{} k{}", now.hint.catalog.0, now.hint.control);
    if told.groups != now.groups {
        payload.push_str(" g");
    }
    for (at, tail) in now.hint.tails.iter().filter(|(at, tail)| told.hint.tails.get(at) != Some(*tail)) {
        payload.push_str(&format!(" {}.{}.{tail}", at.topic.0, at.partition));
        if payload.len() > PAYLOAD {
            return format!("{LOOK} g");
        }
    }
    payload
}

/// What a payload tells: of tails and versions; whether there is more to look for; whether of groups.
fn understand(payload: &str) -> (Hint, bool, bool) {
    let (mut hint, mut look, mut groups) = (Hint::default(), false, false);
    for word in payload.split(' ') {
        match word.split_at_checked(1) {
            Some(("c", version)) => hint.catalog = CatalogVersion(version.parse().unwrap_or(0)),
            Some(("k", control)) => hint.control = control.parse().unwrap_or(0),
            Some(("g", "")) => groups = true,
            _ => match tail(word) {
                Some((at, tail)) => drop(hint.tails.insert(at, tail)),
                None => look = true,
            },
        }
    }
    (hint, look, groups)
}

fn tail(word: &str) -> Option<(At, Offset)> {
    let mut numbers = word.split('.');
    let topic = TopicId(numbers.next()?.parse().ok()?);
    let partition = numbers.next()?.parse().ok()?;
    let tail = Offset(numbers.next()?.parse().ok()?);
    Some((At { topic, partition }, tail))
}

/// Hears what other processes tell.
pub(super) async fn listen(shared: Arc<Shared>) {
    loop {
        let mut patience = shared.server.patience();
        loop {
            let heard = hear(&shared).await;
            shared.news.is_listening.store(false, Ordering::SeqCst);
            if let Err(failure) = heard {
                let error = failure.into_log_error("listen to", &shared.server.place);
                tracing::debug!(%error, "looking more often instead");
            }
            if !patience.pause().await {
                break;
            }
        }
    }
}

async fn hear(shared: &Shared) -> Result<(), Failure> {
    let (client, mut connection) = shared.server.connect().await?;
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    let mut begin = pin!(async {
        let listen = format!("LISTEN {}", shared.news.channel);
        shared.server.ask(&client, async { Ok(client.batch_execute(&listen).await?) }).await?;
        shared.news.is_listening.store(true, Ordering::SeqCst);
        // what happened before it
        look(shared).await?;
        std::future::pending::<Result<(), Failure>>().await
    });
    loop {
        let message = tokio::select! {
            ended = &mut begin => return ended,
            message = messages.next() => message,
        };
        match message {
            Some(Ok(AsyncMessage::Notification(said))) => {
                let (news, more, groups) = understand(said.payload());
                merge(shared, news);
                if groups {
                    shared.regroup.notify_one();
                }
                if more {
                    look(shared).await?;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

/// Looks now and then.
pub(super) async fn keep_looking(shared: Arc<Shared>) {
    let mut pause = OFTEN;
    loop {
        let is_listening = shared.news.is_listening.load(Ordering::SeqCst);
        tokio::time::sleep(if is_listening { SELDOM } else { pause }).await;
        pause = match look(&shared).await {
            Ok(true) => OFTEN,
            Ok(false) => (pause * 2).min(QUIET),
            Err(failure) => {
                let error = failure.into_log_error("look for news in", &shared.server.place);
                tracing::debug!(%error, "trying again");
                QUIET
            }
        };
    }
}

/// Looks for news; whether there were any.
async fn look(shared: &Shared) -> Result<bool, Failure> {
    let known = shared.hint.borrow().clone();
    let (news, tables) = shared.server.once(|client| async move { topics::news(&client).await }).await?;
    shared.history.compare(&shared.server.place, &known, &news, tables)?;
    Ok(merge(shared, news))
}

fn merge(shared: &Shared, news: Hint) -> bool {
    let tails: Vec<_> = news.tails.into_iter().collect();
    shared.hint.send_if_modified(|hint| hint.merge(&tails, news.catalog, news.control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(tails: u32, groups: u64) -> Done {
        let at = |partition| At { topic: TopicId(7), partition };
        let tails = (0..tails).map(|n| (at(n), Offset(u64::from(n) + 10))).collect();
        Done { hint: Hint { tails, catalog: CatalogVersion(3), control: 4 }, groups }
    }

    #[test]
    fn what_is_told_is_understood() {
        for (tails, groups) in [(0, 0), (1, 0), (5, 1)] {
            let now = done(tails, groups);
            let (hint, more, of_groups) = understand(&payload(&Done::default(), &now));
            assert_eq!((hint, more, of_groups), (now.hint, false, groups > 0));
        }
    }

    #[test]
    fn what_has_been_told_is_not_told_again() {
        assert_eq!(payload(&done(3, 1), &done(4, 1)), "c3 k4 7.3.13");
    }

    #[test]
    fn what_does_not_fit_is_looked_for() {
        let payload = payload(&Done::default(), &done(5000, 0));
        assert!(payload.len() < 8000);
        assert_eq!(understand(&payload), (Hint::default(), true, true));
    }
}
