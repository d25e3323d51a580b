//! What a test itself sees: it reads the log as it is, and reaches its world by the questions of its helpers.

use super::world::{Ground, World};
use bytes::Bytes;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::OnceCell;
use weir_log::{Clock as _, SystemClock};
use weir_runtime::{Answer, Host, HostError, HostPage, HostRow, LogLine, TopicRef};
use weir_schema::{At, Millis, Offset, Records, StateKey, StateRange};

/// The host of one run of a test's file.
#[derive(Debug)]
pub(super) struct TestHost {
    ground: Rc<Ground>,
    /// Made when it is first asked for: most tests need none.
    world: Rc<OnceCell<World>>,
    output: RefCell<String>,
    exit: Cell<Option<i32>>,
}

/// What a test has left behind.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) output: String,
    /// What it gave to `os.exit`.
    pub(super) exit: Option<i32>,
}

impl TestHost {
    pub(super) fn new(ground: Rc<Ground>) -> Rc<Self> {
        Rc::new(Self { ground, world: Rc::default(), output: RefCell::default(), exit: Cell::default() })
    }

    /// Ends its world.
    pub(super) async fn finish(self: Rc<Self>) -> anyhow::Result<Left> {
        let left = Left { output: self.output.take(), exit: self.exit.get() };
        // a question that was not waited for to its end still holds it, and lets it go with its task
        let world = Rc::try_unwrap(self).ok().and_then(|host| Rc::try_unwrap(host.world).ok());
        if let Some(world) = world.and_then(OnceCell::into_inner) {
            world.close().await?;
        }
        Ok(left)
    }

    /// Goes on with the world. In a task of its own: the functions of the project run on the VM that runs the test, and
    /// must not run inside it.
    fn with<T: 'static>(
        &self,
        go_on: impl AsyncFnOnce(&World) -> Result<T, String> + 'static,
    ) -> Answer<Result<T, String>> {
        let (world, ground) = (self.world.clone(), self.ground.clone());
        let task = tokio::task::spawn_local(async move {
            let opened = world.get_or_try_init(|| World::open(ground)).await;
            go_on(opened.map_err(|e| format!("{e:#}"))?).await
        });
        Answer::Later(Box::pin(async move { task.await.unwrap_or_else(|e| Err(e.to_string())) }))
    }

    fn read<T: 'static>(
        &self,
        go_on: impl AsyncFnOnce(&World) -> Result<T, weir_log::LogError> + 'static,
    ) -> Answer<Result<T, HostError>> {
        let answer = self.with(async |world| go_on(world).await.map_err(|e| e.to_string()));
        Answer::Later(Box::pin(async { answer.get().await.map_err(HostError::Unavailable) }))
    }
}

impl Host for TestHost {
    fn now(&self) -> Millis {
        self.world.get().map_or_else(|| SystemClock.now(), World::now)
    }

    fn wall(&self) -> Duration {
        let moved = self.world.get().map(World::now);
        moved.map_or_else(|| SystemClock.precise(), |now| Duration::from_millis(now.0.unsigned_abs()))
    }

    fn topic(&self, _: &str) -> Result<TopicRef, String> {
        Err("a test appends with `require(\"weir/test\").append`, or calls a function that appends"
            .to_owned())
    }

    fn generation(&self, _: &str) -> u32 {
        0
    }

    fn get(&self, key: StateKey) -> Answer<Result<Option<HostRow>, HostError>> {
        self.read(async |world| {
            let mut rows = world.session().log().get(&[key]).await?;
            Ok(rows.pop().flatten().and_then(|row| HostRow::from(row).live(world.now())))
        })
    }

    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>> {
        self.read(async move |world| {
            let page = world.session().log().scan(&range, limit).await?;
            let live = page.rows.into_iter().filter(|(_, row)| row.is_live(world.now()));
            Ok(HostPage {
                rows: live.map(|(key, row)| (key, row.value)).collect(),
                is_last: page.next.is_none(),
            })
        })
    }

    fn append_now(&self, _: u32, _: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        Answer::Now(Ok(Vec::new()))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.ground.project.function_env().get(name).cloned()
    }

    fn ask(&self, what: &str, args: Bytes) -> Answer<Result<Bytes, String>> {
        let args: Value = serde_json::from_slice(&args).unwrap_or_default();
        if what == "write" {
            self.output.borrow_mut().push_str(args.as_str().unwrap_or_default());
            return Answer::Now(Ok("null".into()));
        }
        let what = what.to_owned();
        self.with(async move |world| {
            let answer = world.answer(&what, &args).await.map_err(|e| format!("{e:#}"))?;
            Ok(Bytes::from(answer.to_string()))
        })
    }

    fn exit(&self, code: i32) -> bool {
        self.exit.set(Some(code));
        true
    }

    fn log(&self, line: LogLine<'_>) {
        let mut output = self.output.borrow_mut();
        output.push_str(&line.message);
        output.push('\n');
    }

    fn chain(&self) -> Answer<String> {
        Answer::Now("a test".to_owned())
    }
}
