//! Following a topic: server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use super::Admin;
use super::events::Range;
use axum::response::{IntoResponse as _, Response, Sse, sse};
use futures::stream::{self, Stream};
use std::convert::Infallible;
use std::time::Duration;
use weir_schema::At;

/// How often the log is asked although no hint came.
const POLL: Duration = Duration::from_millis(500);

struct Follower {
    admin: Admin,
    range: Range,
    waiting: std::vec::IntoIter<Vec<u8>>,
}

/// Every event of `range` as it comes; the id of each is where a client that lost the connection goes on.
pub(super) fn stream(admin: Admin, range: Range) -> Response {
    let follower = Follower { admin, range, waiting: Vec::new().into_iter() };
    Sse::new(events(follower)).keep_alive(sse::KeepAlive::default()).into_response()
}

fn events(follower: Follower) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        let json = follower.next().await?;
        let text = String::from_utf8_lossy(&json).into_owned();
        Some((Ok(sse::Event::default().id(follower.range.cursor()).data(text)), follower))
    })
}

impl Follower {
    /// The next event; none when the server stops, or the log fails.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(json) = self.waiting.next() {
                return Some(json);
            }
            let mut hints = self.admin.session.log().watch();
            // one at a time, so that the id of each event is the place right after it
            match self.range.page(&self.admin, 1).await {
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
