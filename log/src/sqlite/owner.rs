//! Which of the processes that have the file open runs triggers.

use crate::LogError;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The lock on `owner.lock` beside the file. The system frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Owner {
    path: PathBuf,
    held: Mutex<Option<File>>,
}

impl Owner {
    /// The lock for the log at `log`; not taken yet.
    pub(super) fn beside(log: &Path) -> Self {
        Self { path: log.with_file_name("owner.lock"), held: Mutex::default() }
    }

    /// Takes the lock if nobody has it; whether it is held by this log now.
    pub(super) fn try_take(&self) -> Result<bool, LogError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return Ok(true);
        }
        let file = File::options().create(true).truncate(false).write(true).open(&self.path);
        let file = file.map_err(|error| self.failed(error))?;
        match file.try_lock() {
            Ok(()) => *held = Some(file),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(self.failed(error)),
        }
        Ok(true)
    }

    /// Gives the lock back.
    pub(super) fn release(&self) {
        drop(self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn failed(&self, error: std::io::Error) -> LogError {
        let operation = format!("lock {}", self.path.display());
        LogError::Unavailable { operation, source: error.into(), retry: true }
    }
}
