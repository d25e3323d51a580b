//! What the relay of one process has brought to Kafka for another: a row of state tells where it is.

use super::Relay;
use crate::kafka::notes;
use crate::kafka::relayed::Bases;
use crate::{BoxError, CommitError};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_schema::{At, Millis, Offset, Op, StateKey, TopicId};

/// The table of these rows. The key is the number of a transaction, the value where each run of its events is.
const TABLE: &str = "_weir_relayed";
/// How long a row waits for a process that may be gone.
const KEPT: Duration = Duration::from_secs(3600);
/// How often a process looks whether what it waits for has arrived.
const LOOK: Duration = Duration::from_millis(10);
/// Every so many looks it asks Kafka: the relay may have gone before it told.
const ASK_KAFKA: u32 = 100;
/// How many transactions are looked for at once.
const MANY: usize = 1000;

impl Relay {
    /// Tells other processes where their transactions are.
    pub(super) async fn tell(&self, arrived: &[(u64, Bases)], now: Millis) -> Result<(), CommitError> {
        let put = |(row, bases): &(u64, Bases)| {
            let op = Op::Put { value: encode(bases), expires: Some(now.after(KEPT)) };
            (key(*row), op)
        };
        self.notes.write(arrived.iter().map(put).collect()).await
    }

    /// Looks for what this process waits for, as long as the relay is another's.
    pub(in crate::kafka) async fn look_out(self) {
        // what Kafka had a while ago: by now it has been told, or never will be
        let mut had = 0;
        for look in 1_u32.. {
            tokio::time::sleep(LOOK).await;
            let rows = self.shared.relayed.missing(MANY);
            if rows.is_empty() || self.runs_here.load(Ordering::SeqCst) {
                continue;
            }
            if let Err(error) = self.look_for(&rows, had).await {
                tracing::debug!(%error, "cannot look for what another process has brought to Kafka");
            }
            if look.is_multiple_of(ASK_KAFKA) {
                had = self.reached().await.unwrap_or(had);
            }
        }
    }

    async fn reached(&self) -> Option<u64> {
        let clients = self.clients.clone();
        self.handle.spawn_blocking(move || super::reached(&clients)).await.ok()?.ok()?.ok()?
    }

    async fn look_for(&self, rows: &[u64], had: u64) -> Result<(), BoxError> {
        let keys: Vec<_> = rows.iter().map(|row| key(*row)).collect();
        let told = self.store.get(&keys).await?;
        let told = rows.iter().zip(&told);
        let told: Vec<_> =
            told.filter_map(|(row, told)| Some((*row, decode(&told.as_ref()?.value)?))).collect();
        let gone: Vec<_> = told.iter().map(|(row, _)| (key(*row), Op::Delete)).collect();
        self.shared.relayed.arrive(had, told);
        if !gone.is_empty() {
            self.notes.write(gone).await?;
        }
        Ok(())
    }
}

fn key(row: u64) -> StateKey {
    notes::key(TABLE, Bytes::copy_from_slice(&row.to_be_bytes()))
}

fn encode(bases: &Bases) -> Bytes {
    let mut value = BytesMut::with_capacity(bases.len() * 20);
    for (at, base, count) in bases {
        value.put_u32_le(at.topic.0);
        value.put_u32_le(at.partition);
        value.put_u64_le(base.0);
        value.put_u32_le(*count);
    }
    value.freeze()
}

/// None: it is not of this form.
fn decode(value: &Bytes) -> Option<Bases> {
    let (mut rest, mut bases) = (value.clone(), Bases::new());
    while rest.has_remaining() {
        let topic = TopicId(rest.try_get_u32_le().ok()?);
        let partition = rest.try_get_u32_le().ok()?;
        let base = Offset(rest.try_get_u64_le().ok()?);
        bases.push((At { topic, partition }, base, rest.try_get_u32_le().ok()?));
    }
    Some(bases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_transaction_is_reads_back_as_it_was_written() {
        let at = |partition| At { topic: TopicId(7), partition };
        let bases: Bases = [(at(0), Offset(5), 2), (at(3), Offset(u64::MAX), 1)].into_iter().collect();
        assert_eq!(decode(&encode(&bases)), Some(bases));
        assert_eq!(decode(&Bytes::from_static(b"abc")), None);
    }
}
