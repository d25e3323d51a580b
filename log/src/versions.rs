//! Versions of a backend's schema, and what may work with which.
//!
//! A schema has the number of the last migration that was run on it, and names the oldest version whose programs can work
//! with it. Migrations add; what they make superfluous is removed by a later release. So a release works with the schema of
//! the one before it, which it migrates when it starts, and the release before works on with the schema of the new one:
//! nodes can be upgraded one by one.

/// What takes a schema from one version to the next. Never edited once released, only added to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// A verb phrase.
    pub(crate) what: &'static str,
    pub(crate) sql: &'static str,
    /// The oldest version whose programs can work with what it leaves: its own where it removes or changes what they use.
    pub(crate) oldest: u64,
}

/// Which of `migrations` a schema of version `found` lacks, that programs from version `oldest` on can work with; in the
/// error: why this program cannot.
pub(crate) fn missing(
    migrations: &'static [Migration],
    found: u64,
    oldest: u64,
) -> Result<&'static [Migration], String> {
    let newest = migrations.len() as u64;
    if found > newest && oldest > newest {
        return Err(format!("its schema has version {found}, this program knows {newest}: use a newer weir"));
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX).min(migrations.len());
    Ok(&migrations[done..])
}

/// What a log's schema is, and what it lacks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SchemaState {
    /// The log, without secrets.
    pub place: String,
    /// The version that it has; 0: there is none yet. None: a log without a schema.
    pub found: Option<u64>,
    /// The newest version that this program knows.
    pub newest: u64,
    /// What is to be done, a verb phrase for each step, in order.
    pub missing: Vec<&'static str>,
}

impl SchemaState {
    pub(crate) fn new(place: String, found: u64, newest: usize, missing: &[Migration]) -> Self {
        let missing = missing.iter().map(|migration| migration.what).collect();
        Self { place, found: Some(found), newest: newest as u64, missing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Migration; 3] = [
        Migration { what: "make", sql: "", oldest: 1 },
        Migration { what: "add", sql: "", oldest: 1 },
        Migration { what: "remove", sql: "", oldest: 2 },
    ];

    fn of(known: usize, found: u64, oldest: u64) -> Result<Vec<&'static str>, String> {
        const PARTS: [&[Migration]; 4] = [&[], STEPS.split_at(1).0, STEPS.split_at(2).0, &STEPS];
        missing(PARTS[known], found, oldest).map(|steps| steps.iter().map(|step| step.what).collect())
    }

    #[test]
    fn a_program_adds_what_a_schema_lacks() {
        assert_eq!(of(3, 0, 0), Ok(vec!["make", "add", "remove"]));
        assert_eq!(of(3, 2, 1), Ok(vec!["remove"]));
        assert_eq!(of(3, 3, 2), Ok(vec![]));
    }

    #[test]
    fn a_newer_schema_is_worked_with_where_it_allows_that_and_refused_else() {
        assert_eq!(of(1, 2, 1), Ok(vec![]));
        assert_eq!(of(2, 3, 2), Ok(vec![]));
        let refused = of(1, 3, 2).expect_err("it is too new");
        assert_eq!(refused, "its schema has version 3, this program knows 1: use a newer weir");
    }
}
