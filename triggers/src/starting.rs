//! Where a trigger begins.

use crate::manager::Triggers;
use crate::trigger::Trigger;
use std::time::Duration;
use weir_log::{FirstPosition, LogError, TopicInfo, resolve};
use weir_schema::{At, GroupName, Offset, Position};

/// How often a trigger that needs to be told where it begins looks whether another process has been told.
const LOOK_FOR_START: Duration = Duration::from_secs(2);

/// How a trigger began that had no position yet, and of which nobody had said where it is to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begun {
    /// The trigger, as `TOPIC/NAME`.
    pub trigger: String,
    /// Where it began.
    pub at: Beginning,
}

/// Where a trigger began, where that is worth a word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beginning {
    /// At the tail of a topic that has so many events already: it does not handle these.
    Tail(u64),
    /// Where this consumer group of another application had come to.
    After(String),
    /// Nowhere: the topic has events that others have put there, and it waits until someone says which it is to handle.
    NeedsStart,
}

impl Triggers {
    /// Starts a trigger: where its group has been, or else at `start`; without one, at the earliest event if
    /// `is_first_start` or the topic is empty, and otherwise at the tail. On a topic that others have filled it begins at the
    /// application's first start where another one has come to, and else waits: nobody can know whether it is to handle what
    /// is there. What of this is worth a word is returned.
    ///
    /// # Errors
    /// The log's.
    pub async fn start(
        &self,
        trigger: Trigger,
        start: Option<Position>,
        is_first_start: bool,
    ) -> Result<Option<Begun>, LogError> {
        let topic = self.topic(&trigger.topic).await?;
        let name = format!("{}/{}", trigger.topic, trigger.name);
        let begun = |at| Ok(Some(Begun { trigger: name, at }));
        if let Some(start) = start {
            let from = self.resolve_all(&topic, start).await?;
            self.start_at(trigger, &from).await?;
            return Ok(None);
        }
        if self.has_positions(&trigger.group).await? {
            self.start_where_it_is(trigger, &topic).await?;
            return Ok(None);
        }
        match self.session().log().first_position(&topic).await? {
            FirstPosition::Usual => {
                let default = if is_first_start { Position::Earliest } else { Position::Latest };
                let from = self.resolve_all(&topic, default).await?;
                let passed =
                    from.iter().zip(&topic.earliest).map(|((_, f), e)| f.0.saturating_sub(e.0)).sum();
                self.start_at(trigger, &from).await?;
                if passed > 0 { begun(Beginning::Tail(passed)) } else { Ok(None) }
            }
            FirstPosition::After { who, positions } if is_first_start => {
                self.start_at(trigger, &positions).await?;
                begun(Beginning::After(who))
            }
            FirstPosition::After { .. } | FirstPosition::Unknown => {
                self.wait_for_start(trigger);
                begun(Beginning::NeedsStart)
            }
        }
    }

    /// Makes a trigger known that begins when it is told where, here ([`Self::seek`]) or in another process.
    fn wait_for_start(&self, trigger: Trigger) {
        let (triggers, waiting) = (self.clone(), trigger.clone());
        self.run_as(trigger, true, |stop| async move {
            stop.run_until_cancelled(triggers.start_when_told(waiting)).await.unwrap_or(());
        });
    }

    async fn start_when_told(&self, trigger: Trigger) {
        loop {
            tokio::time::sleep(LOOK_FOR_START).await;
            if !self.has_positions(&trigger.group).await.unwrap_or(false) {
                continue;
            }
            let start = async {
                let topic = self.topic(&trigger.topic).await?;
                self.start_where_it_is(trigger.clone(), &topic).await
            };
            match start.await {
                Ok(()) => return,
                Err(error) => tracing::warn!(group = %trigger.group, %error, "cannot start the trigger yet"),
            }
        }
    }

    /// Starts a trigger that has positions.
    async fn start_where_it_is(&self, trigger: Trigger, topic: &TopicInfo) -> Result<(), LogError> {
        let unused = self.resolve_all(topic, Position::Latest).await?;
        self.start_at(trigger, &unused).await
    }

    /// Starts a trigger that waited to be told where it begins.
    pub(crate) async fn begin(
        &self,
        trigger: &Trigger,
        topic: &TopicInfo,
        at: Position,
    ) -> Result<Vec<Offset>, LogError> {
        let from = self.resolve_all(topic, at).await?;
        self.stop(&trigger.group).await;
        self.start_at(trigger.clone(), &from).await?;
        Ok(from.into_iter().map(|(_, offset)| offset).collect())
    }

    async fn has_positions(&self, group: &GroupName) -> Result<bool, LogError> {
        Ok(!self.session().log().positions(Some(group)).await?.is_empty())
    }

    /// The offset that `position` means in each partition.
    async fn resolve_all(
        &self,
        topic: &TopicInfo,
        position: Position,
    ) -> Result<Vec<(At, Offset)>, LogError> {
        let (log, now) = (self.session().log(), self.session().clock().now());
        let mut all = Vec::new();
        for at in topic.partitions() {
            all.push((at, resolve(&**log, topic, at.partition, position, now).await?));
        }
        Ok(all)
    }
}
