//! News of a log, merged.

use std::collections::HashMap;
use weir_schema::{At, CatalogVersion, Offset};

/// What is known to have happened, at least. A receiver compares it with where it stands itself.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Hint {
    /// The tail of each partition: the first offset that is not written yet.
    pub tails: HashMap<At, Offset>,
    /// The catalog's version.
    pub catalog: CatalogVersion,
    /// Grows with every commit that writes a table whose name begins with `_weir_control`.
    pub control: u64,
}

impl Hint {
    /// Adds news, which never go back; tells whether there were any.
    pub(crate) fn merge(&mut self, tails: &[(At, Offset)], catalog: CatalogVersion, control: u64) -> bool {
        let mut news = false;
        for (at, tail) in tails {
            let known = self.tails.get(at);
            if known.is_none_or(|known| known < tail) {
                self.tails.insert(*at, *tail);
                news = true;
            }
        }
        news |= self.catalog < catalog || self.control < control;
        self.catalog = self.catalog.max(catalog);
        self.control = self.control.max(control);
        news
    }
}
