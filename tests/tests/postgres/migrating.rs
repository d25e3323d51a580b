//! `weir migrate`.

use serde_json::json;
use weir_log::conformance::places::Schema;
use weir_tests::Sandbox;

fn project() -> Sandbox {
    Sandbox::builder().config("appName: shop\n").file("app/gateway.lua", "return {}").build()
}

/// Plans, migrates, and finds nothing to do.
async fn migrates(sandbox: &Sandbox, log: &[&str]) {
    let migrate = async |more: &[&str]| {
        let ended = sandbox.weir(&[&["migrate"], log, more].concat()).await;
        ended.succeeded().stdout
    };
    for _ in 0..2 {
        let planned = migrate(&["--plan"]).await;
        assert!(
            planned.contains("to be migrated from schema version 0 to 1\n  1  make the tables\n"),
            "{planned}"
        );
    }
    let done = migrate(&[]).await;
    assert!(done.contains(": migrated from schema version 0 to 1\n"), "{done}");
    for more in [&[][..], &["--plan"]] {
        let nothing = migrate(more).await;
        assert!(nothing.ends_with(": schema version 1; nothing to do\n"), "{nothing}");
    }
    let told = sandbox.weir(&[&["migrate", "--json"], log].concat()).await.succeeded().lines();
    let (found, newest) = (&told[0]["found"], &told[0]["newest"]);
    assert_eq!(
        (found, newest, &told[0]["steps"], &told[0]["done"]),
        (&json!(1), &json!(1), &json!([]), &json!(false))
    );
}

#[tokio::test]
async fn a_schema_is_migrated_when_asked_and_the_plan_is_told_before() {
    let (sandbox, schema) = (project(), Schema::fresh());
    migrates(&sandbox, &["--log", &schema.conn()]).await;
    let newer = "UPDATE meta SET value = 99 WHERE name IN ('schema', 'oldest')";
    schema.connect().await.batch_execute(newer).await.expect("changed");
    let refused = sandbox.weir(&["migrate", "--log", &schema.conn()]).await;
    assert_eq!((refused.code, refused.stderr.trim_end().lines().count()), (Some(1), 1), "{}", refused.stderr);
    assert!(refused.stderr.contains("use a newer weir"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_file_is_migrated_likewise() {
    migrates(&project(), &[]).await;
}

#[tokio::test]
async fn a_log_in_memory_has_nothing_to_migrate() {
    let told = project().weir(&["migrate", "--log", "memory"]).await.succeeded().stdout;
    assert_eq!(told, "memory: it has no schema; nothing to do\n");
}
