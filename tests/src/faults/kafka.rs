//! Brokers of a case's own, and a store, which may be stopped and hurt.

use super::postgres::Postgres;
use super::run::Ground;
use crate::eventually::{PATIENCE, eventually};
use crate::place::LogPlace;
use weir_log::conformance::broker::Broker;

/// Brokers and a store.
#[derive(Debug)]
pub struct Kafka {
    /// The brokers.
    pub broker: Broker,
    /// None: each node has its own, in a file.
    store: Option<Postgres>,
    replication: u32,
}

impl Kafka {
    /// One broker, and a store in each node's folder: for one node.
    #[must_use]
    pub fn start() -> Self {
        Self { broker: brokers(1), store: None, replication: 1 }
    }

    /// One broker, and a store that nodes share.
    #[must_use]
    pub fn shared() -> Self {
        Self { store: Some(Postgres::start()), ..Self::start() }
    }

    /// Three brokers, each event on all of them; two have what is acknowledged.
    #[must_use]
    pub fn cluster() -> Self {
        Self { broker: brokers(3), store: None, replication: 3 }
    }

    /// The store that nodes share.
    ///
    /// # Panics
    /// They share none.
    #[must_use]
    pub fn store(&self) -> &Postgres {
        self.store.as_ref().expect("the case has a store that nodes share")
    }
}

fn brokers(count: usize) -> Broker {
    Broker::cluster(count).unwrap_or_else(|why| panic!("{why}"))
}

impl Ground for Kafka {
    fn log(&self) -> LogPlace {
        LogPlace::Kafka {
            brokers: self.broker.brokers().to_owned(),
            store: self.store.as_ref().map(Postgres::conn),
            replication: self.replication,
        }
    }

    fn database(&self) -> Option<&Postgres> {
        self.store.as_ref()
    }

    /// An open transaction hides what is behind it.
    async fn settled(&self) {
        eventually(PATIENCE, || async {
            self.broker.settled().map_err(|open| format!("still open: {open}"))
        })
        .await;
    }
}
