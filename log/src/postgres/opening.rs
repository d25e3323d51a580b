//! Before a log in PostgreSQL is there: what its schema lacks, and a seat in it.

use super::connection::Server;
use super::error::Failure;
use super::history::{self, History};
use super::options::PostgresOptions;
use super::schema::{self, Seat};
use super::{news, topics};
use crate::keeper::Keeper;
use crate::versions::{Migration, SchemaState};
use crate::{Capabilities, Hint, LogError, LogLimits};
use std::time::Duration;
use weir_schema::AppName;

/// What the schema of `options` is and lacks; changes nothing.
pub(crate) async fn schema_state(options: &PostgresOptions) -> Result<SchemaState, LogError> {
    let server = Server::new(options)?;
    let place = server.place.clone();
    let keeper = Keeper::start().map_err(|error| LogError::no_thread(&server.place, error))?;
    let look = async move {
        let client = server.client().await?;
        server.ask(&client, schema::state(&client, &server, schema::MIGRATIONS)).await
    };
    let state = keeper.complete(look).await.ok_or(LogError::Closed)?;
    keeper.stop().await;
    state.map_err(|failure| failure.into_log_error("look at the schema of", &place))
}

/// Takes a seat in the schema, and looks at what is there. Migrations may take their time, and so may those of another
/// process that is before this one; otherwise the server is to answer soon.
pub(super) async fn begin(
    server: &Server,
    app: Option<&AppName>,
    migrations: &'static [Migration],
    lease: Duration,
) -> Result<(Seat, Hint, History), Failure> {
    let mut client = server.client().await?;
    let state = server.ask(&client, schema::state(&client, server, migrations)).await?;
    let cancel = client.cancel_token();
    let prepare = schema::prepare(&mut client, server, app, migrations, lease);
    let seat = if state.missing.is_empty() { server.within(cancel, prepare).await? } else { prepare.await? };
    let (hint, tables) = server.ask(&client, topics::news(&client)).await?;
    let timeline = server.ask(&client, async { Ok(history::timeline(&client).await) }).await?;
    Ok((seat, hint, History::new(tables, timeline)))
}

/// What a log with this seat promises.
pub(super) fn capabilities(server: &Server, seat: Seat) -> Capabilities {
    Capabilities {
        driver: "postgres",
        place: server.place.clone(),
        durability: "a commit is on the server's disk when it resolves (synchronous_commit=on)",
        dense: true,
        atomic_visibility: true,
        counts_bytes: true,
        takes_partitioner: false,
        shared: true,
        tells_within: Some(news::SELDOM),
        writer: seat.writer,
        limits: LogLimits::default(),
    }
}
