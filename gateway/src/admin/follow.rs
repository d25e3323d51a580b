//! Following a topic: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use super::Admin;
use super::events::{Found, Range, cursor};
use axum::response::{IntoResponse as _, Response, Sse, sse};
use futures::stream::{self, Stream};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use weir_schema::{At, Offset};

/// Events that are read at once.
const PAGE: usize = 100;

/// How often the log is asked although no hint came.
const POLL: Duration = Duration::from_millis(500);

struct Follower {
    admin: Admin,
    range: Range,
    waiting: std::vec::IntoIter<Found>,
    /// Right after the last event that was sent.
    sent: BTreeMap<u32, Offset>,
}

/// Every event of `range` as it comes; the id of each is where a client that lost the connection goes on.
pub(super) fn stream(admin: Admin, range: Range) -> Response {
    let sent = range.next.clone();
    let follower = Follower { admin, range, waiting: Vec::new().into_iter(), sent };
    Sse::new(events(follower)).keep_alive(sse::KeepAlive::default()).into_response()
}

fn events(follower: Follower) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let found = follower.next().await?;
        follower.sent.insert(found.partition, found.next);
        let text = String::from_utf8_lossy(&found.json).into_owned();
        Some((Ok(sse::Event::default().id(cursor(&follower.sent)).data(text)), follower))
    })
}

impl Follower {
    /// The next event; none when the server stops, or the log fails.
    async fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.waiting.next() {
                return Some(found);
            }
            let mut hints = self.admin.session.log().watch();
            match self.range.page(&self.admin, PAGE).await {
                Ok((events, _)) if !events.is_empty() => self.waiting = events.into_iter(),
                Ok(_) => {
                    let (topic, next) = (self.range.topic.id, &self.range.next);
                    let news = hints.wait_for(|hint| {
                        next.iter()
                            .any(|(p, o)| hint.tails.get(&At { topic, partition: *p }).is_some_and(|t| t > o))
                    });
                    tokio::select! {
                        () = self.admin.shutdown.cancelled() => return None,
                        _ = tokio::time::timeout(POLL, news) => {}
                    }
                }
                Err(_) => return None,
            }
        }
    }
}
