//! Whole ranges of state, page by page.

use crate::{Log, LogError};
use bytes::Bytes;
use weir_schema::{StateRange, Versioned};

/// Rows of one page.
const PAGE: u32 = 1000;

/// Every row of a range in byte order, expired ones too. Each page is a snapshot of its own: who needs the whole to be
/// of one moment checks it by a [`Read::Range`](weir_schema::Read::Range).
///
/// # Errors
/// As [`Log::scan`].
pub async fn all_rows(log: &dyn Log, mut range: StateRange) -> Result<Vec<(Bytes, Versioned)>, LogError> {
    let mut rows = Vec::new();
    loop {
        let page = log.scan(&range, PAGE).await?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => range.from = next,
            None => return Ok(rows),
        }
    }
}
