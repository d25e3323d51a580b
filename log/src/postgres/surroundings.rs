//! What libpq takes from its surroundings where a connection string does not say it.

use super::parameters::Parameters;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The variables that stand for parameters.
const SERVED: [(&str, &str); 16] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

/// Those that would change where a connection goes or whom it trusts, and are not served. What else libpq reads (time zone,
/// encoding, planner) means nothing to a log.
const NOT_SERVED: [&str; 11] = [
    "PGSERVICE",
    "PGREQUIRESSL",
    "PGREQUIREPEER",
    "PGREQUIREAUTH",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
];

/// The variables of the environment that libpq would look at, as they are for whoever asks: nothing of it is read from the
/// process itself. The default is none. Prints nothing of itself.
#[derive(Clone, Default)]
pub struct Surroundings(BTreeMap<String, String>);

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Surroundings(***)")
    }
}

impl Surroundings {
    /// Those of `variables` that matter here. One that is empty counts as none.
    #[must_use]
    pub fn new(variables: &BTreeMap<String, String>) -> Self {
        let matters = |name: &str| name.starts_with("PG") || name == "HOME";
        let kept = variables.iter().filter(|(name, value)| matters(name) && !value.is_empty());
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The parameters that variables stand for; in the error: which one is not served.
    pub(super) fn parameters(&self) -> Result<Parameters, String> {
        let not_served = |name: &&&str| self.0.contains_key(**name);
        if let Some(name) = NOT_SERVED.iter().find(not_served) {
            return Err(format!(
                "the variable {name} is set, and what it asks for is not served: unset it for weir, and say in the \
                 connection string what is to be"
            ));
        }
        let said = SERVED.iter().filter_map(|(name, parameter)| Some((*parameter, self.0.get(*name)?)));
        Ok(said.map(|(parameter, value)| (parameter.to_owned(), value.clone())).collect())
    }

    /// The file with passwords that is looked at where nothing names one.
    pub(super) fn passfile(&self) -> Option<PathBuf> {
        self.0.get("HOME").map(|home| PathBuf::from(home).join(".pgpass"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::new(&variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn variables_stand_for_parameters() {
        let said = of(&[("PGHOST", "db"), ("PGUSER", ""), ("PGTZ", "UTC"), ("PATH", "/bin")]).parameters();
        assert_eq!(said, Ok(Parameters::from([("host".to_owned(), "db".to_owned())])));
    }

    #[test]
    fn a_variable_that_is_not_served_is_named() {
        for name in NOT_SERVED {
            let why = of(&[(name, "s3cret")]).parameters().expect_err(name);
            assert!(why.contains(name) && !why.contains("s3cret"), "{why}");
        }
    }
}
