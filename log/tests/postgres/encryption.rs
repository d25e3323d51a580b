//! Connections as `sslmode` wants them, to a server that speaks TLS.

use super::nodes::refusal;
use std::sync::Arc;
use weir_log::conformance::encrypted::Encrypted;
use weir_log::{Driver, LogConfig, ManualClock, PostgresOptions};

/// Whether a log's connections are encrypted; in the error: why it was not opened.
async fn is_encrypted(server: &Encrypted, host: &str, parameters: &str) -> Result<bool, String> {
    let port = server.port;
    let conn = format!("postgres://weir@{host}:{port}/postgres?application_name=tls{parameters}");
    let options = PostgresOptions::new(conn);
    let config = LogConfig {
        driver: Driver::Postgres(options.clone()),
        app: None,
        clock: Arc::new(ManualClock::default()),
    };
    let Ok(log) = weir_log::open(config).await else { return Err(refusal(options, None).await) };
    let sql = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'tls'";
    let row = server.connect().await.query_one(sql, &[]).await.expect("it is SQL");
    log.close().await.expect("closed");
    Ok(row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_and_verified_as_sslmode_says() {
    let server = Encrypted::start();
    let (root, other) = (server.root.display(), server.other_root.display());
    let cases = [
        ("localhost", "&sslmode=disable".to_owned(), Ok(false)),
        ("localhost", String::new(), Ok(true)),
        ("localhost", "&sslmode=require".to_owned(), Ok(true)),
        ("localhost", format!("&sslmode=verify-ca&sslrootcert={root}"), Ok(true)),
        ("127.0.0.1", format!("&sslmode=verify-ca&sslrootcert={root}"), Ok(true)),
        ("localhost", format!("&sslmode=verify-full&sslrootcert={root}"), Ok(true)),
        ("127.0.0.1", format!("&sslmode=verify-full&sslrootcert={root}"), Err("not valid for name")),
        ("localhost", format!("&sslmode=verify-ca&sslrootcert={other}"), Err("invalid peer certificate")),
        ("localhost", format!("&sslmode=require&sslrootcert={other}"), Err("invalid peer certificate")),
        ("localhost", "&sslmode=verify-full".to_owned(), Err("invalid peer certificate")),
        (
            "localhost",
            "&sslmode=verify-ca&sslrootcert=/none".to_owned(),
            Err("cannot read sslrootcert /none"),
        ),
        ("localhost", "&sslmode=tight".to_owned(), Err("is none of disable, prefer, require")),
    ];
    for (host, parameters, expected) in cases {
        match (is_encrypted(&server, host, &parameters).await, expected) {
            (Ok(encrypted), Ok(expected)) => assert_eq!(encrypted, expected, "{host} {parameters}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{host} {parameters}: {said}"),
            (got, expected) => unreachable!("{host} {parameters}: {got:?} and not {expected:?}"),
        }
    }
}
