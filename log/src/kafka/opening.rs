//! How a log in Kafka is opened.

use super::append::Appender;
use super::clients::{ANSWER, Clients};
use super::error::refused;
use super::follower::Follower;
use super::lookout::Lookout;
use super::notes::Notes;
use super::parts::Parts;
use super::read::Readers;
use super::relay::{self, Relay};
use super::shared::Shared;
use super::showing::Showing;
use super::topics::Topics;
use super::{KafkaLog, RelayEnd, outbox};
use crate::keeper::Keeper;
use crate::store::{Store, open_store};
use crate::{Capabilities, Clock, KafkaOptions, LogConfig, LogError, LogLimits, TopicSpec};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, oneshot};
use tokio_util::sync::CancellationToken;
use weir_schema::{AppName, At, Partitioner, TopicName};

/// How long a partition's news may take to come: the follower asks for them at least so often.
const TELLS_WITHIN: Duration = Duration::from_secs(1);
/// How long the first answer is waited for at a time.
const GREETING: Duration = Duration::from_millis(500);
/// How long it is listened to what a client says of it.
const HEARING: Duration = Duration::from_millis(50);

impl KafkaLog {
    /// Opens the log that `options` name; makes what it needs in Kafka and in the store if there is nothing yet.
    pub(crate) async fn open(
        options: KafkaOptions,
        app: Option<AppName>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let keeper = Keeper::start().map_err(|error| LogError::no_thread(options.place(), error))?;
        let clients = Clients::new(options);
        let parts = make_parts(&keeper, &clients).await?;
        // before the store, which may go on meanwhile; that the user may not read is told at once by this
        let reached = ask(&keeper, &clients, relay::reached).await?;
        let store =
            open_store(LogConfig { driver: (*clients.options.store).clone(), app, clock: clock.clone() })
                .await?;
        let outbox = open_outbox(&*store, reached, &clients).await?;
        let lined = parts.clone();
        let handle = keeper.blocking();
        let appender =
            keeper.run(move || Appender::open(lined, handle, clock)).await.ok_or(LogError::Closed)??;
        let capabilities = capabilities(&clients, &*store);
        let notes = Notes::new(store.clone(), capabilities.writer);
        let relay = Relay {
            notes: notes.clone(),
            clients: clients.clone(),
            store: store.clone(),
            outbox,
            shared: parts.shared.clone(),
            writer: capabilities.writer,
            handle: keeper.blocking(),
            runs_here: Arc::default(),
        };
        forward_news(&keeper, &parts.shared, &*store);
        let lookout = Lookout::new(parts.clone(), notes.clone(), relay.runs_here.clone(), keeper.blocking());
        let showing = Showing::new(&parts, &relay);
        let (shared, relay) = (parts.shared.clone(), start_relay(&keeper, relay).await?);
        let log = Self {
            capabilities,
            shared,
            store,
            outbox,
            appender,
            parts,
            keeper,
            changing: Mutex::default(),
            lookout,
            notes,
            showing,
            relay,
            closed: false.into(),
        };
        for info in log.infos().await? {
            log.described(info).await?;
        }
        // what has become of topics meanwhile, before anyone goes on in them
        log.lookout.look().await?;
        log.keeper.spawn(log.lookout.clone().run());
        if let Some(showing) = &log.showing {
            log.keeper.spawn(showing.clone().run());
        }
        Ok(log)
    }
}

/// The store's outbox, if it goes with what Kafka says the relay has `reached`.
async fn open_outbox(
    store: &dyn crate::Log,
    reached: Result<Option<u64>, String>,
    clients: &Clients,
) -> Result<At, LogError> {
    let outbox = store.create_topic(&outbox_spec()).await?;
    match reached.and_then(|reached| relay::first(reached, outbox.earliest[0].0, outbox.tail[0].0)) {
        Ok(_) => Ok(At { topic: outbox.id, partition: 0 }),
        Err(why) => Err(refused(format!("open log {}", clients.options.place()), why)),
    }
}

async fn make_parts(keeper: &Keeper, clients: &Clients) -> Result<Arc<Parts>, LogError> {
    let shared = Arc::new(Shared::new(&clients.options.prefix));
    let parts = Arc::new(ask(keeper, clients, move |clients| reach(clients, shared)).await?);
    let (record, asked) = (relay::topic(clients), parts.clone());
    let named = record.clone();
    let there = keeper.run(move || asked.partitions(&named)).await.ok_or(LogError::Closed)??;
    if there.is_none() {
        // the user may lack the right to
        parts.topics.make_so(&record, 1, &relay::SETTINGS).await?;
    }
    Ok(parts)
}

/// Reaches the brokers.
pub(super) fn reach(clients: &Clients, shared: Arc<Shared>) -> Result<Parts, KafkaError> {
    greet(clients)?;
    let admin = clients.admin()?;
    Ok(Parts {
        clients: clients.clone(),
        follower: Follower::open(clients, shared.clone())?,
        shared,
        readers: Readers::new(clients.clone()),
        topics: Topics { admin, clients: clients.clone() },
    })
}

/// Waits until a broker answers. Why none does is told to clients that are polled.
fn greet(clients: &Clients) -> Result<(), KafkaError> {
    let (consumer, patience) = (clients.consumer(&[])?, Instant::now() + ANSWER);
    let own = relay::topic(clients);
    loop {
        match consumer.fetch_metadata(Some(&own), GREETING) {
            Err(_) if Instant::now() < patience && !clients.words.are_lasting() => {}
            answer => return answer.map(drop),
        }
        let heard = Instant::now() + HEARING;
        while Instant::now() < heard {
            // there is nothing to read but errors, and the client's context keeps them
            drop(consumer.poll(HEARING));
        }
    }
}

/// Asks the brokers, where waiting is no matter.
async fn ask<T: Send + 'static>(
    keeper: &Keeper,
    clients: &Clients,
    question: impl FnOnce(&Clients) -> Result<T, KafkaError> + Send + 'static,
) -> Result<T, LogError> {
    let asked = clients.clone();
    let answer = keeper.run(move || question(&asked)).await.ok_or(LogError::Closed)?;
    answer.map_err(|error| clients.words.unavailable(format!("open log {}", clients.options.place()), &error))
}

/// Tells what the store hears of the catalog and of control entries.
fn forward_news(keeper: &Keeper, shared: &Arc<Shared>, store: &dyn Store) {
    let (mut news, shared) = (store.watch(), shared.clone());
    shared.tails.merge(&news.borrow_and_update());
    keeper.spawn(async move {
        while news.changed().await.is_ok() {
            shared.tails.merge(&news.borrow_and_update());
        }
    });
}

async fn start_relay(keeper: &Keeper, relay: Relay) -> Result<RelayEnd, LogError> {
    let membership = relay.join().await?;
    let (stop, (tell, ended)) = (CancellationToken::new(), oneshot::channel());
    let token = stop.clone();
    keeper.spawn(relay.clone().look_out());
    // its thread needs the keeper's runtime
    keeper.spawn_to_end(async move {
        relay.attend(membership, token).await;
        // nobody waits for it unless the log is closed
        tell.send(()).unwrap_or(());
    });
    Ok(RelayEnd { stop, ended: Mutex::new(Some(ended)) })
}

fn outbox_spec() -> TopicSpec {
    let name = TopicName::new(outbox::TOPIC).expect("the constant is a valid name");
    TopicSpec { name, partitions: 1, partitioner: Partitioner::Murmur2, retention: None }
}

fn capabilities(clients: &Clients, store: &dyn Store) -> Capabilities {
    let stored = store.capabilities();
    Capabilities {
        driver: "kafka",
        place: format!("{} (store: {})", clients.options.place(), stored.place),
        durability: "a commit is in its store and on all in-sync brokers (acks=all) when it resolves",
        dense: false,
        atomic_visibility: false,
        counts_bytes: false,
        takes_partitioner: true,
        shared: stored.shared,
        tells_within: stored.tells_within.map(|within| within.max(TELLS_WITHIN)),
        writer: stored.writer,
        limits: LogLimits { event: clients.event_limit().min(stored.limits.event), ..stored.limits },
    }
}
