//! Transactions of Kafka's: events, and the number that was reached by them.

use super::record;
use super::refused::Origin;
use crate::kafka::append::message;
use crate::kafka::clients::{ANSWER, Clients, Context, KNOWN_WITHIN};
use crate::kafka::mirror::{Topic, offset};
use crate::kafka::native::flush;
use crate::{BoxError, FaultPoint, Faults};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _, ToBytes};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_schema::{At, Millis, Offset, Record};

/// How long a transaction may be open. A process that dies with one hides what comes behind it for at most so long and
/// what the broker takes to look.
const OPEN_FOR: &str = "10000";
/// How long a connection may be idle until it is closed. When a broker leaves that the client knows as the one that keeps
/// its transactions, it waits for it until any connection comes or goes (librdkafka's issue 5511), so one has to now and then.
const IDLE: &str = "10000";
/// What comes behind the log's prefix in the names: while a transaction of one is committed, the other's begins.
const NAMES: [&str; 2] = ["relay", "relay-2"];
/// How many milliseconds an event may wait for others: it goes with all of its transaction, when that is flushed.
const LINGER: &str = "1000";
/// How long it takes breath before it calls again.
const BREATH: Duration = Duration::from_millis(5);
/// How often it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// An event on its way: whence, where to, what, and with which time.
pub(super) struct Outgoing<'a> {
    pub(super) origin: Origin,
    pub(super) topic: Arc<Topic>,
    pub(super) event: Record<'a>,
    pub(super) time: Millis,
}

/// Kafka did not take an event.
#[derive(Debug, thiserror::Error)]
#[error("an event is not delivered: {error}")]
pub(super) struct Undelivered {
    /// Whence it came.
    pub(super) origin: Origin,
    pub(super) at: At,
    #[source]
    pub(super) error: KafkaError,
}

/// Commits transactions under a name that all relays of a log have: the last one to open it ends what the others left open,
/// and they are refused from then on.
pub(super) struct Transactor {
    producer: ThreadedProducer<Deliveries>,
    deliveries: Deliveries,
    /// The topic in which the number is recorded.
    record: String,
    faults: Option<Arc<dyn Faults>>,
}

/// Counts what has been delivered.
#[derive(Clone)]
struct Deliveries {
    context: Context,
    state: Arc<Mutex<Delivered>>,
}

#[derive(Default)]
struct Delivered {
    missing: usize,
    /// By the event's place in its transaction.
    offsets: Vec<Offset>,
    /// The first one, and of which event.
    error: Option<(usize, KafkaError)>,
}

impl Transactor {
    /// Opens both names, and so ends what another has left open under them.
    /// Its batches have at most `batch` bytes; each event is one of its own if they are sent `singly`.
    pub(super) fn open(
        clients: &Clients,
        batch: usize,
        singly: bool,
        stop: &CancellationToken,
    ) -> Result<[Arc<Self>; 2], KafkaError> {
        let open = |name| Self::open_one(clients, name, batch, singly, stop).map(Arc::new);
        // each takes a while
        let [first, second] = std::thread::scope(|scope| {
            NAMES.map(|name| scope.spawn(move || open(name))).map(|opening| opening.join())
        });
        let ended = |_| KafkaError::Canceled;
        Ok([first.map_err(ended)??, second.map_err(ended)??])
    }

    fn open_one(
        clients: &Clients,
        name: &str,
        batch: usize,
        singly: bool,
        stop: &CancellationToken,
    ) -> Result<Self, KafkaError> {
        let deliveries = Deliveries { context: Context(clients.words.clone()), state: Arc::default() };
        let name = format!("{}-{name}", clients.options.prefix);
        let batch = batch.to_string();
        let mut config = clients.config(&[
            ("transactional.id", &name),
            ("transaction.timeout.ms", OPEN_FOR),
            ("connections.max.idle.ms", IDLE),
            ("linger.ms", LINGER),
            ("batch.size", &batch),
            ("topic.metadata.propagation.max.ms", KNOWN_WITHIN),
            ("queue.buffering.max.messages", "1000000"),
        ]);
        if singly {
            config.set("batch.num.messages", "1");
        }
        let producer: ThreadedProducer<Deliveries> = config.create_with_context(deliveries.clone())?;
        insist(stop, || producer.init_transactions(ANSWER))?;
        Ok(Self {
            producer,
            deliveries,
            record: record::topic(clients),
            faults: clients.options.faults.clone(),
        })
    }

    /// Begins a transaction of `events` and the number `reached`; returns where they are when it is committed. After an
    /// error nothing of it will be, once another is opened.
    pub(super) fn begin(
        &self,
        events: &[Outgoing<'_>],
        reached: u64,
        stop: &CancellationToken,
    ) -> Result<Vec<Offset>, BoxError> {
        self.at(FaultPoint::Taken)?;
        self.producer.begin_transaction()?;
        self.deliveries.expect(events.len() + 1);
        for (index, outgoing) in events.iter().enumerate() {
            let Outgoing { topic, event, time, .. } = outgoing;
            let sent = self.send(|| message(topic, event, *time, Box::new(index)));
            sent.map_err(|error| outgoing.undelivered(error))?;
        }
        let reached = reached.to_string();
        self.send(|| record::event(&self.record, &reached, Box::new(events.len())))?;
        self.deliver(stop)?;
        let mut offsets = self.deliveries.take().map_err(|(index, error)| match events.get(index) {
            Some(outgoing) => outgoing.undelivered(error).into(),
            None => BoxError::from(error),
        })?;
        // of the number
        offsets.pop();
        Ok(offsets)
    }

    /// Waits until all that was sent is delivered, or one is not. A commit before that would wait for a tenth of a second.
    fn deliver(&self, stop: &CancellationToken) -> Result<(), KafkaError> {
        while !flush(self.producer.client(), LOOK) && !self.deliveries.has_failed() {
            if stop.is_cancelled() {
                return Err(KafkaError::Canceled);
            }
        }
        Ok(())
    }

    /// Commits it. After an error it is not known whether it was: open another and ask what was reached.
    pub(super) fn commit(&self, stop: &CancellationToken) -> Result<(), BoxError> {
        self.at(FaultPoint::Applied)?;
        insist(stop, || self.producer.commit_transaction(ANSWER))?;
        self.at(FaultPoint::Committed)
    }

    fn at(&self, point: FaultPoint) -> Result<(), BoxError> {
        crate::faults::at(self.faults.as_ref(), point)
    }

    fn send<'a, K, P>(&self, make: impl Fn() -> BaseRecord<'a, K, P, Box<usize>>) -> Result<(), KafkaError>
    where
        K: ToBytes + ?Sized + 'a,
        P: ToBytes + ?Sized + 'a,
    {
        loop {
            match self.producer.send(make()) {
                Ok(()) => return Ok(()),
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    flush(self.producer.client(), BREATH);
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// Calls until it is done, or fails for good, or `stop`.
fn insist(
    stop: &CancellationToken,
    mut call: impl FnMut() -> Result<(), KafkaError>,
) -> Result<(), KafkaError> {
    loop {
        match call() {
            Err(error) if may_be_called_again(&error) && !stop.is_cancelled() => {
                tracing::debug!(%error, "asking Kafka again");
                std::thread::sleep(BREATH);
            }
            result => return result,
        }
    }
}

fn may_be_called_again(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

impl Outgoing<'_> {
    fn undelivered(&self, error: KafkaError) -> Undelivered {
        Undelivered { origin: self.origin, at: self.event.meta.at, error }
    }
}

impl Deliveries {
    fn lock(&self) -> MutexGuard<'_, Delivered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many events are about to be sent.
    fn expect(&self, events: usize) {
        *self.lock() = Delivered { missing: events, offsets: vec![Offset::ZERO; events], error: None };
    }

    fn has_failed(&self) -> bool {
        self.lock().error.is_some()
    }

    /// Where all of them are, or which one was not delivered, and why.
    fn take(&self) -> Result<Vec<Offset>, (usize, KafkaError)> {
        let Delivered { missing, offsets, error } = std::mem::take(&mut *self.lock());
        match error {
            Some(undelivered) => Err(undelivered),
            // a client that has nothing left has not delivered everything
            None if missing > 0 => Err((offsets.len(), KafkaError::Canceled)),
            None => Ok(offsets),
        }
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        let mut state = self.lock();
        match result {
            Ok(message) => {
                if let Some(place) = state.offsets.get_mut(*index) {
                    *place = offset(message.offset());
                }
            }
            Err((error, _)) => drop(state.error.get_or_insert_with(|| (*index, error.clone()))),
        }
        state.missing = state.missing.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, KafkaOptions};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;
    use rdkafka::types::RDKafkaApiKey;

    #[test]
    fn brokers_that_know_no_transactions_are_said_to_be_too_old() {
        let brokers: MockCluster<'_, DefaultProducerContext> =
            MockCluster::new(1).expect("brokers are played");
        brokers.apiversion(RDKafkaApiKey::InitProducerId, None, None).expect("they do not know it");
        let options = KafkaOptions::new(brokers.bootstrap_servers(), "old", Driver::Memory);
        let clients = Clients::new(options);
        let opened = Transactor::open(&clients, 1 << 20, false, &CancellationToken::new());
        let text = clients.words.explain(&opened.err().expect("it cannot be opened"));
        assert!(text.contains("too old") && !text.contains('\n'), "{text}");
    }
}
