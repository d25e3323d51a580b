//! How a server is connected to, and what is said where that does not work.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use weir_log::conformance::server::{Server, folder};
use weir_tests::{PATIENCE, Sandbox, ServerOptions, eventually};

fn project() -> Sandbox {
    project_in("memory")
}

fn project_in(driver: &str) -> Sandbox {
    let config = format!("appName: shop\nlogStorage: {{development: {{driver: {driver}}}}}\n");
    Sandbox::builder().config(&config).file("app/gateway.lua", "return {}").build()
}

/// A server that asks everybody but `weir` for a password, with a user `ada` who has one.
async fn strict() -> (Server, PathBuf) {
    let folder = folder().expect("a folder is made");
    let rules = folder.join("hba.conf");
    std::fs::write(&rules, "local all weir trust\nlocal all all scram-sha-256\n").expect("written");
    let settings = format!("-c hba_file={}", rules.display());
    let server = Server::start(&folder, &settings).expect("a server starts");
    let role = "CREATE ROLE ada LOGIN PASSWORD 'right one'; CREATE DATABASE shop OWNER ada";
    for sql in role.split("; ") {
        server.connect().await.expect("it is up").batch_execute(sql).await.expect("made");
    }
    (server, folder)
}

/// What `weir dev` ends with, in one line, with these variables set.
async fn refusal(env: &[(&str, &str)], log: &str) -> String {
    let ended = project().weir_in(env, &["dev", "--port", "0", "--log", log]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    ended.stderr
}

#[tokio::test]
async fn what_is_wrong_is_told_in_one_line_without_the_password() {
    let (_server, folder) = strict().await;
    let host = folder.display();
    let cases = [
        (format!("host={host} user=ada password=s3cret dbname=shop"), "check user and password"),
        (format!("host={host} user=eve password=s3cret dbname=shop"), "check user and password"),
        (
            format!("host={host} user=weir password=s3cret dbname=none_such"),
            "create the database, or name another",
        ),
        ("postgres://u:s3cret@127.0.0.1:1/shop".to_owned(), "weir start --wait 60s keeps trying"),
        ("postgres://u:s3cret@no-such-host.invalid/shop".to_owned(), "see that the server is up"),
        (
            format!("host={host} user=weir password=s3cret sslmode=verify-full sslrootcert=/none"),
            "cannot read sslrootcert /none",
        ),
        ("postgres://u:s3cret@127.0.0.1:x/shop".to_owned(), "invalid value for option `port`"),
        ("postgres://u:s3cret@127.0.0.1/shop?colour=red".to_owned(), "unknown option `colour`"),
        ("host=db password='s3cret".to_owned(), "a ' is not closed"),
    ];
    for (log, expected) in cases {
        let said = refusal(&[], &log).await;
        assert_eq!(said.matches(expected).count(), 1, "{log}: {said}");
    }
    let said = refusal(&[("PGSERVICE", "s3cret")], "postgres://db/shop").await;
    assert!(said.contains("PGSERVICE"), "{said}");
}

#[tokio::test]
async fn what_a_connection_string_leaves_out_is_in_the_variables_and_the_password_file() {
    let (_server, folder) = strict().await;
    let passwords = folder.join("passwords");
    std::fs::write(&passwords, "*:*:shop:ada:right one\n").expect("written");
    std::fs::set_permissions(&passwords, PermissionsExt::from_mode(0o600)).expect("set");
    let (host, passfile) = (folder.display().to_string(), passwords.display().to_string());
    let mut env =
        vec![("PGHOST", host.as_str()), ("PGUSER", "ada"), ("PGDATABASE", "shop"), ("PGPASSFILE", &passfile)];
    let sandbox = project_in("postgres, connString: \"postgres://\"");
    sandbox.weir_in(&env, &["topics", "create", "orders"]).await.succeeded();
    assert!(sandbox.weir_in(&env, &["topics"]).await.succeeded().stdout.contains("orders"));
    std::fs::set_permissions(&passwords, PermissionsExt::from_mode(0o644)).expect("set");
    let ended = sandbox.weir_in(&env, &["topics"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stdout);
    env.push(("PGPASSWORD", "right one"));
    sandbox.weir_in(&env, &["topics"]).await.succeeded();
}

#[tokio::test]
async fn start_waits_for_a_server_as_long_as_it_is_told_to() {
    let folder = folder().expect("a folder is made");
    let sandbox = project();
    let log = format!("host={} user=weir dbname=postgres", folder.display());
    let args = ["--wait", "60s", "--env", "development", "--log", &log].map(str::to_owned).into();
    let options = ServerOptions { command: "start", args, ..ServerOptions::default() };
    let output = sandbox.project().with_file_name("server-0.log");
    let later = async {
        eventually(PATIENCE, || async {
            let said = std::fs::read_to_string(&output).unwrap_or_default();
            if said.contains("cannot be reached") { Ok(()) } else { Err(said) }
        })
        .await;
        let start = move || Server::start(&folder, "").expect("a server starts");
        tokio::task::spawn_blocking(start).await.expect("it does not panic")
    };
    let (server, _postgres) = tokio::join!(sandbox.serve(&options), later);
    let said = server.said();
    assert_eq!(said.matches("cannot be reached").count(), 1, "{said}");
    assert!(said.contains("the log is there"), "{said}");
    assert!(server.stop().await.success());
}
