//! Where the log of a project is.

use std::sync::Arc;
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

    /// What a configuration has to say, in every environment that tests use.
    pub(crate) fn configured(&self) -> String {
        let conn = match self {
            Self::Sqlite => return String::new(),
            Self::Schema(schema) => &schema.conn(),
            Self::Postgres(conn) => conn,
        };
        let storage = format!("{{driver: postgres, connString: \"{conn}\"}}");
        format!("\nlogStorage:\n  development: {storage}\n  production: {storage}\n")
    }
}

/// Makes two tests of each function that takes a [`LogPlace`]: `sqlite::…` and `postgres::…`.
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
