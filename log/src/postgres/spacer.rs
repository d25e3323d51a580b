//! A database of Spacer's: a table `topic_NAME` for each topic, and `consumer_group_offsets`. It is only read.

use super::connection;
use super::error::Failure;
use super::health::Health;
use super::options::PostgresOptions;
use super::target::Target;
use crate::{BoxError, LogError};
use deadpool_postgres::{Client, Pool};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use weir_schema::{Millis, TopicName};

/// What a topic's table begins with.
const PREFIX: &str = "topic_";

/// See the module's docs.
pub(crate) struct Spacer {
    place: String,
    client: Client,
    _pool: Pool,
}

/// Where Spacer stands in one topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Standing {
    /// The last message. There will be none up to it that is not there yet.
    pub(crate) last: i64,
    /// The last one that the group has handled; none: it has handled nothing.
    pub(crate) handled: Option<i64>,
    /// How many messages there are behind that the standing was asked for.
    pub(crate) new: u64,
}

/// A row of a topic's table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    /// None: the row has none.
    pub(crate) time: Option<Millis>,
}

impl Spacer {
    /// Connects.
    pub(crate) async fn connect(options: &PostgresOptions) -> Result<Self, LogError> {
        let target = Target::of(options)?;
        let place = target.place();
        let pool = target.tls.connector().and_then(|tls| {
            let health = Arc::new(Health::default());
            Ok(connection::pool(target.config(), &tls, "", &health).max_size(1).build()?)
        });
        let pool = pool.map_err(|error| unreadable(&place, error, false))?;
        match pool.get().await {
            Ok(client) => Ok(Self { place, client, _pool: pool }),
            Err(error) => Err(in_words(Failure::of_pool(error, options.silence), &place)),
        }
    }

    /// Where it is, without secrets.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The names of all topics that it has a table for.
    pub(crate) async fn topics(&self) -> Result<Vec<String>, LogError> {
        let sql = "SELECT tablename::text FROM pg_tables
            WHERE schemaname = ANY(current_schemas(false)) AND starts_with(tablename, $1) ORDER BY 1";
        let rows = self.done(self.client.query(sql, &[&PREFIX]).await)?;
        let name = |row: &Row| Some(row.get::<_, &str>(0).strip_prefix(PREFIX)?.to_owned());
        Ok(rows.iter().filter_map(name).collect())
    }

    /// Where `group` stands in `topic`, whose table is called `name`, and of which everything up to `after` is known.
    pub(crate) async fn standing(
        &mut self,
        topic: &TopicName,
        name: &str,
        group: &str,
        after: i64,
    ) -> Result<Standing, LogError> {
        let topic = topic.as_str();
        let table = table(name);
        let asked = async {
            let transaction = self.client.transaction().await?;
            // Spacer's offsets are taken before they are committed. Whoever has taken one holds a lock on the table until
            // then, so that with this one held all up to the last are there
            let lock = format!("SET LOCAL lock_timeout = '30s'; LOCK TABLE {table} IN SHARE MODE");
            transaction.batch_execute(&lock).await?;
            let sql = format!("SELECT coalesce(max(msg_offset), 0)::bigint FROM {table}");
            let last: i64 = transaction.query_one(&sql, &[]).await?.get(0);
            let sql = "SELECT max(group_offset)::bigint FROM consumer_group_offsets
                WHERE group_id = $1 AND topic IN ($2, $3)";
            let handled = transaction.query_one(sql, &[&group, &topic, &name]).await?.get(0);
            transaction.commit().await?;
            let sql = format!("SELECT count(*) FROM {table} WHERE msg_offset > $1 AND msg_offset <= $2");
            let new: i64 = self.client.query_one(&sql, &[&after, &last]).await?.get(0);
            Ok(Standing { last, handled, new: new.cast_unsigned() })
        };
        asked.await.map_err(|failure| in_words(failure, &self.place))
    }

    /// The messages of the topic `name` behind `after` up to `last`, in order.
    pub(crate) async fn messages(
        &self,
        name: &str,
        after: i64,
        last: i64,
    ) -> Result<impl Stream<Item = Result<Message, LogError>> + Send + Unpin, LogError> {
        let sql = format!(
            "SELECT msg_offset::bigint, key, value, (extract(epoch FROM created_at) * 1000)::bigint FROM {}
             WHERE msg_offset > $1 AND msg_offset <= $2 ORDER BY msg_offset",
            table(name)
        );
        let rows = self.done(self.client.query_raw(&sql, [after, last]).await)?;
        let place = self.place.clone();
        let message = |row: Row| Message {
            offset: row.get(0),
            key: row.get(1),
            value: row.get(2),
            time: row.get::<_, Option<i64>>(3).map(Millis),
        };
        let rows = rows.map_ok(message).map_err(move |error| in_words(error.into(), &place));
        // the driver's stream takes it for an error to be asked again after its end
        Ok(Box::pin(rows.fuse()))
    }

    fn done<T>(&self, result: Result<T, tokio_postgres::Error>) -> Result<T, LogError> {
        result.map_err(|error| in_words(error.into(), &self.place))
    }
}

/// The table of a topic, of those that [`Spacer::topics`] names.
fn table(name: &str) -> String {
    connection::quoted(&format!("{PREFIX}{name}"))
}

fn in_words(failure: Failure, place: &str) -> LogError {
    let why = match &failure {
        Failure::Sql(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            "the role may not lock its tables: connect as Spacer does"
        }
        Failure::Sql(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            "it has no consumer_group_offsets: is it a database of Spacer's?"
        }
        Failure::Sql(_) | Failure::Silent(_) | Failure::Pool(_) | Failure::Log(_) => {
            return match failure.into_log_error("read", place) {
                LogError::Unavailable { source, retry, .. } => unreadable(place, source, retry),
                other => other,
            };
        }
    };
    unreadable(place, why.into(), false)
}

fn unreadable(place: &str, source: BoxError, retry: bool) -> LogError {
    LogError::Unavailable { operation: format!("read Spacer's database {place}"), source, retry }
}

/// Which of `tables` is the topic `name`'s: Spacer's name, or as PostgreSQL spells it when it is not quoted.
pub(crate) fn find<'t>(tables: &'t [String], name: &TopicName) -> Option<&'t str> {
    let lower = name.as_str().to_ascii_lowercase();
    let exact = tables.iter().find(|table| *table == name.as_str());
    exact.or_else(|| tables.iter().find(|table| **table == lower)).map(String::as_str)
}
