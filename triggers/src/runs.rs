//! What the homes of a worker wait for: the log, and attempts that are not over.
//!
//! None of it is a task of the reactor. The pump polls an attempt when it is its turn: so all that the functions of
//! triggers take is counted where it is shared out, also of those that compute for long and go on again and again. And
//! what the log has answered does not queue behind the tasks of busy connections, or a window would stand still that long.

use crate::dispatcher::{Input, RunEnd};
use crate::turns::Class;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::Notify;
use tokio::task::coop::{Unconstrained, unconstrained};
use weir_schema::TxnId;

/// What the homes of a worker wait for, and what of it has come.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    /// What the log is asked.
    asked: RefCell<FuturesUnordered<LocalBoxFuture<'static, (u64, Input)>>>,
    answered: RefCell<VecDeque<(u64, Input)>>,
    woken: Arc<Woken>,
}

/// The part that other threads reach.
#[derive(Default, Debug)]
struct Woken {
    runs: Mutex<VecDeque<(u64, TxnId)>>,
    filled: Notify,
}

impl Queue {
    /// Asks for something on behalf of a home's dispatcher.
    pub(crate) fn ask(&self, home: u64, work: impl Future<Output = Input> + 'static) {
        self.asked.borrow().push(work.map(move |input| (home, input)).boxed_local());
    }

    /// What has come for a home's dispatcher.
    pub(crate) fn pop(&self) -> Option<(u64, Input)> {
        let waited_for = self.answered.borrow_mut().pop_front();
        waited_for.or_else(|| self.asked.borrow_mut().next().now_or_never().flatten())
    }

    /// A home's attempt that may go on.
    pub(crate) fn pop_woken(&self) -> Option<(u64, TxnId)> {
        self.woken.runs.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Waits until something comes, or an attempt can go on.
    pub(crate) async fn filled(&self) {
        let answered = poll_fn(|cx| match self.asked.borrow_mut().poll_next_unpin(cx) {
            Poll::Ready(Some(input)) => {
                self.answered.borrow_mut().push_back(input);
                Poll::Ready(())
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending, // nobody asks while the pump waits here
        });
        tokio::select! {
            () = answered => {}
            () = self.woken.filled.notified() => {}
        }
    }

    /// An attempt of a home.
    pub(crate) fn run(
        &self,
        home: u64,
        id: TxnId,
        class: Class,
        work: LocalBoxFuture<'static, RunEnd>,
    ) -> Run {
        let bell = Bell { home, id, is_rung: AtomicBool::default(), woken: self.woken.clone() };
        Run { class, work: unconstrained(work), bell: Arc::new(bell) }
    }
}

/// One attempt. Dropping it ends it where it waits.
pub(crate) struct Run {
    pub(crate) class: Class,
    /// Not held to a task's budget: the pump has its own.
    work: Unconstrained<LocalBoxFuture<'static, RunEnd>>,
    bell: Arc<Bell>,
}

impl Run {
    /// Lets it go on. While it is pending it is in the queue as soon as it can.
    pub(crate) fn poll(&mut self) -> Poll<RunEnd> {
        self.bell.is_rung.store(false, Ordering::Release);
        let waker = Waker::from(self.bell.clone());
        self.work.poll_unpin(&mut Context::from_waker(&waker))
    }

    /// Whether nobody has woken it yet. Whoever asks sees to it that it is polled.
    pub(crate) fn wake_by_hand(&self) -> bool {
        !self.bell.is_rung.swap(true, Ordering::AcqRel)
    }
}

/// Wakes an attempt: once for each time that it has been polled.
struct Bell {
    home: u64,
    id: TxnId,
    is_rung: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_rung.swap(true, Ordering::AcqRel) {
            self.woken.runs.lock().unwrap_or_else(PoisonError::into_inner).push_back((self.home, self.id));
            self.woken.filled.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::WriterId;

    const HOME: u64 = 7;

    fn id() -> TxnId {
        TxnId::new(WriterId(1), 1)
    }

    /// An attempt that never ends and leaves its waker behind.
    fn endless(queue: &Queue) -> (Run, Arc<Mutex<Option<Waker>>>) {
        let left = Arc::new(Mutex::new(None));
        let leave = left.clone();
        let work = poll_fn(move |cx| {
            *leave.lock().unwrap() = Some(cx.waker().clone());
            Poll::Pending
        });
        (queue.run(HOME, id(), Class::Live, work.boxed_local()), left)
    }

    #[test]
    fn an_attempt_is_in_the_queue_once_however_often_it_is_woken() {
        let queue = Queue::default();
        let (mut run, waker) = endless(&queue);
        for _ in 0..2 {
            assert!(run.poll().is_pending());
            assert_eq!(queue.pop_woken(), None);
            for _ in 0..3 {
                waker.lock().unwrap().as_ref().unwrap().wake_by_ref();
            }
            assert_eq!(queue.pop_woken(), Some((HOME, id())));
            assert_eq!(queue.pop_woken(), None);
        }
    }

    #[test]
    fn an_attempt_that_is_woken_by_hand_is_not_in_the_queue_as_well() {
        let queue = Queue::default();
        let (mut run, waker) = endless(&queue);
        assert!(run.poll().is_pending());
        assert!(run.wake_by_hand());
        waker.lock().unwrap().as_ref().unwrap().wake_by_ref();
        assert_eq!(queue.pop_woken(), None);
        assert!(!run.wake_by_hand(), "it is awake already");
    }

    #[tokio::test]
    async fn an_answer_that_is_waited_for_is_not_lost() {
        let queue = Queue::default();
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        queue.ask(HOME, async move {
            assert_eq!(answered.await, Ok(()));
            Input::Tick
        });
        assert!(queue.pop().is_none());
        let (_, sent) = tokio::join!(queue.filled(), async { answer.send(()) });
        assert_eq!(sent, Ok(()));
        assert!(matches!(queue.pop(), Some((HOME, Input::Tick))));
    }
}
