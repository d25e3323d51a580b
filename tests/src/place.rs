//! Where the log of a project is.

use std::sync::Arc;
use weir_log::conformance::broker::Prefix;
use weir_log::conformance::places::Schema;

/// Where the log of a project is. What it stands on goes with the last clone.
#[derive(Clone, Default, Debug)]
pub enum LogPlace {
    /// A file in the project's folder.
    #[default]
    Sqlite,
    /// A schema of the tests' server that nobody else uses.
    Schema(Arc<Schema>),
    /// Where this connection string leads.
    Postgres(String),
    /// Topics of the tests' broker that nobody else uses, and a store in the project's folder.
    Topics(Arc<Prefix>),
    /// These brokers, and a store where a connection string leads, or else in the project's folder.
    Kafka {
        /// `host:port`, of several separated by commas.
        brokers: String,
        /// A connection string.
        store: Option<String>,
        /// On how many brokers an event is.
        replication: u32,
    },
}

impl LogPlace {
    /// [`Self::Sqlite`].
    #[must_use]
    pub fn sqlite() -> Self {
        Self::Sqlite
    }

    /// A fresh [`Self::Schema`].
    #[must_use]
    pub fn postgres() -> Self {
        Self::Schema(Arc::new(Schema::fresh()))
    }

    /// A fresh [`Self::Topics`].
    #[must_use]
    pub fn kafka() -> Self {
        Self::Topics(Arc::new(Prefix::fresh()))
    }

    /// What a configuration has to say, in every environment that tests use.
    pub(crate) fn configured(&self) -> String {
        let postgres = |conn: &str| format!("{{driver: postgres, connString: \"{conn}\"}}");
        let storage = match self {
            Self::Sqlite => return String::new(),
            Self::Schema(schema) => postgres(&schema.conn()),
            Self::Postgres(conn) => postgres(conn),
            Self::Topics(prefix) => {
                let (brokers, name) = (prefix.brokers(), prefix.name());
                format!("{{driver: kafka, brokers: [\"{brokers}\"], topicPrefix: {name}}}")
            }
            Self::Kafka { brokers, store, replication } => {
                let brokers: Vec<_> = brokers.split(',').map(|broker| format!("\"{broker}\"")).collect();
                let store =
                    store.as_ref().map_or_else(|| "{driver: sqlite}".to_owned(), |conn| postgres(conn));
                let brokers = brokers.join(", ");
                format!("{{driver: kafka, brokers: [{brokers}], replication: {replication}, store: {store}}}")
            }
        };
        format!("\nlogStorage:\n  development: {storage}\n  production: {storage}\n")
    }
}

/// Makes two tests of each function that takes a [`LogPlace`]: `sqlite::…` and `postgres::…`. `@on kafka` makes one,
/// `kafka::…`.
#[macro_export]
macro_rules! on_each_log {
    ($($case:ident),* $(,)?) => {
        $crate::on_each_log!(@on sqlite $($case)*);
        $crate::on_each_log!(@on postgres $($case)*);
    };
    (@on $place:ident $($case:ident)*) => {
        mod $place {
            $(
                #[::tokio::test]
                async fn $case() {
                    super::$case($crate::LogPlace::$place()).await;
                }
            )*
        }
    };
}
