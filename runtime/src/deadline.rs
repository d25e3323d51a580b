//! A limit on the time that work takes, which costs nothing where the work is done at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What `work` comes to if it is done within `limit` from `started` on; it is polled first, and only what waits gets a
/// timer. Needs a tokio runtime with time.
pub async fn within<F: Future>(
    started: Instant,
    limit: Duration,
    mut work: Pin<&mut F>,
) -> Option<F::Output> {
    let mut timer = None;
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        let timer = timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit.saturating_sub(started.elapsed()))));
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::future::{pending, ready};
    use std::pin::pin;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_given_up_at_the_limit() {
        let began = tokio::time::Instant::now();
        let started = Instant::now();
        assert_eq!(within(started, LIMIT, pin!(pending::<()>())).await, None);
        assert!(began.elapsed() <= LIMIT + Duration::from_millis(1), "{:?}", began.elapsed());
        let soon = tokio::time::sleep(LIMIT / 2);
        assert_eq!(within(Instant::now(), LIMIT, pin!(soon)).await, Some(()));
    }

    #[test]
    fn what_is_done_at_once_needs_no_timer() {
        // there is no runtime here to make one
        assert_eq!(within(Instant::now(), Duration::ZERO, pin!(ready(7))).now_or_never(), Some(Some(7)));
    }
}
