//! A file that is held, to be copied or filled.

use super::connection::{self, open_writer};
use super::error::Failure;
use super::owner::Owner;
use super::{SqliteOptions, edits, events, outline, prepare_folder, schema};
use crate::keeper::Keeper;
use crate::moving::refusal::{in_use, no_log};
use crate::moving::{Edit, Export, Import, Outline, Row};
use crate::{LogError, ReadLimit};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use weir_schema::{At, Offset, Records, StateKey};

/// See the module's docs. No process runs triggers on the file meanwhile.
pub(crate) struct Held {
    path: PathBuf,
    place: String,
    connection: Arc<Mutex<Connection>>,
    keeper: Keeper,
    _owner: Owner,
}

impl Held {
    /// Holds the log in the file `path` such that nobody writes it.
    pub(crate) async fn source(path: &Path, options: &SqliteOptions) -> Result<Self, LogError> {
        if !path.is_file() {
            return Err(no_log(&path.display().to_string()));
        }
        let held = Self::open(path, options)?;
        held.work("open", |connection| Ok(connection.execute_batch("BEGIN IMMEDIATE")?)).await?;
        Ok(held)
    }

    /// Holds the log in the file `path`, made if there is none, to be written.
    pub(crate) async fn target(path: &Path, options: &SqliteOptions) -> Result<Self, LogError> {
        prepare_folder(path)?;
        Self::open(path, options)
    }

    fn open(path: &Path, options: &SqliteOptions) -> Result<Self, LogError> {
        let owner = Owner::beside(path);
        if !owner.try_take()? {
            return Err(in_use(&path.display().to_string()));
        }
        let connection = open_file(path, options).map_err(|failure| failure.into_log_error("open", path))?;
        let keeper = Keeper::start().map_err(|error| LogError::no_thread(path.display(), error))?;
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let place = path.display().to_string();
        Ok(Self { path, place, connection: Arc::new(Mutex::new(connection)), keeper, _owner: owner })
    }

    /// Does `work` where it may take its time.
    async fn work<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, LogError> {
        let connection = self.connection.clone();
        let work = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        let done = self.keeper.run(work).await.ok_or(LogError::Closed)?;
        done.map_err(|failure| self.in_words(failure, operation))
    }

    fn in_words(&self, failure: Failure, operation: &str) -> LogError {
        match failure {
            Failure::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                in_use(&self.place)
            }
            other => other.into_log_error(operation, &self.path),
        }
    }
}

fn open_file(path: &Path, options: &SqliteOptions) -> Result<Connection, Failure> {
    let mut connection = open_writer(path, options.busy, options.max_pages)?;
    let transaction = connection::begin(&mut connection)?;
    schema::migrate(&transaction, path)?;
    transaction.commit()?;
    Ok(connection)
}

#[async_trait::async_trait]
impl Export for Held {
    fn place(&self) -> &str {
        &self.place
    }

    async fn outline(&mut self) -> Result<Outline, LogError> {
        self.work("read", |connection| outline::read(connection)).await
    }

    async fn events(&mut self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        self.work("read", move |connection| events::read(connection, at, from, max)).await
    }

    async fn rows(&mut self, after: Option<StateKey>, limit: u32) -> Result<Vec<Row>, LogError> {
        self.work("read", move |connection| super::state::rows(connection, after.as_ref(), limit)).await
    }
}

#[async_trait::async_trait]
impl Import for Held {
    async fn write(&mut self, edits: Vec<Edit>) -> Result<(), LogError> {
        let place = self.place.clone();
        let work = move |connection: &mut Connection| {
            let transaction = connection::begin(connection)?;
            edits.into_iter().try_for_each(|edit| edits::apply(&transaction, edit, &place))?;
            Ok(transaction.commit()?)
        };
        self.work("write", work).await
    }
}
