use super::*;
use crate::testing::Project;
use crate::{
    Breaker, ByteSize, CorsOrigins, Flags, KEYS, KafkaStorage, KafkaStore, LogStorage, OnExhausted, Outbound,
    Retry,
};
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;
use weir_schema::testing::assert_golden;
use weir_schema::{Partitioner, Place, Position};

const TEMPLATE: &str = include_str!("../../tests/fixtures/spacer-template.yml");
const FULL: &str = include_str!("../../tests/fixtures/full.yml");

fn full() -> Project {
    Project::new(FULL)
        .file("secrets/admin", "t0ken\n")
        .variable("MAIL_KEY", "k3y")
        .variable("OTHER", "hidden")
}

fn weir(lines: &str) -> Project {
    Project::new(&format!(
        "appName: shop\ntopics: [orders]\nevents: {{orders: {{APPEND: [on_order]}}}}\n{lines}"
    ))
}

fn count(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn spacers_own_template_loads_unchanged() {
    let config = Project::new(TEMPLATE).config();
    assert_eq!(config.app_name.as_str(), "MyApp");
    assert_eq!((config.topics.len(), config.triggers.len()), (0, 0));
    assert_eq!(config.log, LogStorage::Memory);
    assert_eq!(config.consumer_group, "spacer-MyApp");
    assert_eq!(config.gateway.to_string(), "127.0.0.1:3000");
    assert_eq!(config.write_proxy.listen.to_string(), "127.0.0.1:9065");
    assert_eq!(Project::new(TEMPLATE).load().expect("valid").warnings, []);
}

#[test]
fn a_file_with_many_mistakes_says_all_of_them_in_its_order() {
    let mistakes = Project::new(include_str!("../../tests/fixtures/mistakes.yml")).mistakes();
    assert_golden(&golden("mistakes.txt"), &(mistakes.join("\n") + "\n"));
}

#[test]
fn every_effective_value_is_listed_with_its_origin() {
    let project = full().variable("CONSUMERGROUP", "group-of-$appName");
    let loaded = project.load().unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let lines: Vec<_> =
        loaded.entries().iter().map(|e| format!("{} = {} ({})\n", e.path, e.value, e.origin)).collect();
    assert_golden(&golden("full.txt"), &lines.concat());
    assert_eq!(loaded.config.consumer_group, "group-of-shop");
}

#[test]
fn what_the_file_says_is_what_the_configuration_holds() {
    let config = full().config();
    let topic = config.topic("orders").expect("declared");
    assert_eq!((topic.partitions, topic.partitioner), (count(4), Partitioner::Crc32));
    assert_eq!(topic.retention, Some(Duration::from_secs(90 * 86_400)));
    let trigger = &config.triggers[0];
    assert_eq!((trigger.name().as_str(), trigger.group.as_str()), ("orders/on_order", "orders/on_order_v1"));
    let retry = Retry {
        attempts: count(5),
        backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(600),
        jitter: 0.1,
    };
    assert_eq!(trigger.retry, retry);
    let breaker = Breaker {
        failures: count(50),
        keys: count(10),
        ratio: 0.8,
        within: Duration::from_secs(60),
        probe: Duration::from_secs(30),
    };
    assert_eq!(trigger.breaker, breaker);
    assert_eq!(trigger.on_exhausted, OnExhausted::Pause);
    assert_eq!(trigger.start_from, Some(Position::Back(Duration::from_secs(7200))));
    assert_eq!(
        (trigger.window, trigger.max_parked, trigger.max_concurrent),
        (count(256), count(1000), count(8))
    );
    assert_eq!((trigger.detach_after, trigger.enabled), (None, false));
    assert_eq!(config.triggers[1].name(), "orders/private/index_order");
    assert_eq!(config.limits.body, ByteSize(1_000_000));
    assert!(config.http.trusts([10, 1, 2, 3].into()) && !config.http.trusts([11, 1, 2, 3].into()));
    assert_eq!(config.http.cors.origins, CorsOrigins::These(vec!["https://shop.example".to_owned()]));
    let outbound = Outbound {
        allow: vec![Place::Host("api.example.com".to_owned()), "203.0.113.0/24".parse().expect("a network")],
        deny: vec![Place::Host("*.evil.example".to_owned())],
        private: Some(vec!["10.1.0.0/16".parse().expect("a network")]),
        ca: Some("secrets/ca.pem".into()),
        timeout: Duration::from_secs(5),
        max_body: ByteSize(1 << 20),
    };
    assert_eq!(config.outbound, outbound);
    assert_eq!(config.admin.token, Some(Secret::new("t0ken")));
    assert_eq!(config.health.map(|a| a.to_string()), Some("0.0.0.0:8080".to_owned()));
    assert_eq!(config.data_dir, Path::new("/var/lib/shop"));
}

#[test]
fn an_almost_empty_file_is_all_defaults() {
    let config = weir("weir:\n").config();
    let trigger = &config.triggers[0];
    assert_eq!((trigger.retry.attempts, trigger.detach_after), (count(70), Some(Duration::from_secs(10))));
    assert_eq!((config.topics[0].partitions, config.topics[0].retention), (count(1), None));
    assert_eq!((config.limits.memory, config.limits.body), (ByteSize(64 << 20), ByteSize(20_000_000)));
    assert_eq!((config.log, config.admin.token, config.health), (LogStorage::Sqlite, None, None));
    assert_eq!(config.http.cors.origins, CorsOrigins::Any);
    assert_eq!(config.telemetry.otlp, None);
}

#[test]
fn the_example_of_every_key_in_the_table_is_valid() {
    for key in KEYS {
        let user = match key.path {
            path if path.starts_with("weir.triggers.") => "orders/on_order",
            path if path.starts_with("logStorage.") => "production",
            _ => "orders",
        };
        let mut text = String::new();
        for (depth, segment) in key.path.split('.').enumerate() {
            let segment = if segment == "*" { user } else { segment };
            text += &format!("\n{}{segment}:", "  ".repeat(depth));
        }
        // What the others need is there, unless it is what is tested.
        let others = [
            ("appName", "appName: shop"),
            ("topics", "topics: [orders, emails]"),
            ("events.*.APPEND", "events: {orders: {APPEND: [on_order]}}"),
        ];
        let others =
            others.iter().filter(|(path, _)| *path != key.path).map(|(_, line)| *line).collect::<Vec<_>>();
        let mut text = format!("{}{text} {}\n", others.join("\n"), key.example);
        if key.path == "weir.http.cors.credentials" {
            text += "      origins: [\"https://shop.example\"]\n";
        }
        if key.path == "weir.functions.*.maxQueued" {
            text += "      maxConcurrent: 1\n";
        }
        let project = Project::new(&text).file("secrets/admin", "x").variable("WEIR_ADMIN_TOKEN", "x");
        let loaded = project.load().unwrap_or_else(|mistakes| panic!("{}: {mistakes}\n{text}", key.path));
        let path = path(key.path, user);
        let is_in_force = !path.starts_with("logStorage.production");
        let is_listed = loaded.entries().iter().any(|e| e.path == path && e.origin != Origin::Default);
        assert_eq!(is_listed, is_in_force, "{path} is in the table but nothing reads it\n{text}");
    }
}

#[test]
fn spacers_keys_match_without_case_and_weirs_own_do_not() {
    let config = Project::new("APPNAME: shop\nTopics: [a]\nEvents: {a: {append: [f]}}\n").config();
    assert_eq!((config.app_name.as_str(), config.triggers.len()), ("shop", 1));
    let mistakes = weir("weir:\n  limits: {CPU: 1s}\n").mistakes();
    assert_eq!(mistakes, ["config/application.yml:5: weir.limits.CPU: no such key; did you mean cpu?"]);
}

#[test]
fn an_unknown_key_of_a_spacer_file_is_a_warning_unless_it_is_nearly_a_known_one() {
    let loaded = weir("colour: blue\n").load().expect("a warning only");
    let warning = loaded.warnings[0].to_string();
    assert!(
        warning.starts_with("config/application.yml:4: colour: no such key: it does nothing; known here:")
    );
    let mistakes = weir("envVars: [A]\n").mistakes();
    assert_eq!(mistakes, ["config/application.yml:4: envVars: no such key; did you mean envVar?"]);
    let text = "appName: shop\ntopics: [a]\nevents:\n  a:\n    APEND: [f]\n";
    let mistakes = Project::new(text).mistakes();
    assert_eq!(mistakes, ["config/application.yml:5: events.a.APEND: no such key; did you mean APPEND?"]);
}

#[test]
fn the_environment_wins_over_the_file_as_in_spacer() {
    let project = weir("functionInvoker: http://localhost:4000\n").variable("APPNAME", "other");
    assert_eq!(project.entry("appName"), "other (environment APPNAME)");
    assert_eq!(project.entry("gateway"), "127.0.0.1:4000 (config/application.yml:4)");
    let project = project.variable("FUNCTIONINVOKER", "http://elsewhere:5000").variable("APPNAME", "");
    assert_eq!(project.entry("gateway"), "127.0.0.1:5000 (environment FUNCTIONINVOKER)");
    assert_eq!(project.entry("appName"), "shop (config/application.yml:1)");
    let mistakes = project.variable("APPNAME", "a_b").mistakes();
    assert!(mistakes[0].starts_with("environment APPNAME: appName: appName \"a_b\""), "{mistakes:?}");
}

#[test]
fn functions_see_only_listed_variables_and_the_environment_in_force() {
    let config = full().config();
    let seen: Vec<_> = config.function_variables.iter().map(|(n, v)| (n.as_str(), v.reveal())).collect();
    assert_eq!(seen, [("MAIL_KEY", "k3y")]);
    let text = "appName: shop\nenvVar: [WEIR_ENV, SPACER_ENV]\nlogStorage: {production: {driver: sqlite}}\n";
    let config = Project::new(text).in_production().variable("SPACER_ENV", "wrong").config();
    let seen: Vec<_> = config.function_variables.iter().map(|(n, v)| (n.as_str(), v.reveal())).collect();
    assert_eq!(seen, [("SPACER_ENV", "production"), ("WEIR_ENV", "production")]);
}

#[test]
fn start_asks_where_the_log_is_and_dev_does_not() {
    let mistakes = weir("").in_production().mistakes();
    let expected = "config/application.yml: logStorage.production: it is missing: weir start asks where the log is; \
                    write logStorage: {production: {driver: sqlite}}, or give --log memory|sqlite|postgres://…";
    assert_eq!(mistakes, [expected]);
    let flags = |log: &str| Flags { log: Some(log.to_owned()), ..Flags::default() };
    assert_eq!(weir("").in_production().flags(flags("memory")).config().log, LogStorage::Memory);
    let file = weir("logStorage: {development: {driver: sqlite}}\n").flags(flags("memory"));
    assert_eq!(file.entry("logStorage.development.driver"), "memory (--log)");
}

#[test]
fn a_log_on_brokers_is_where_the_file_says_and_its_secrets_do_not_show() {
    let file = weir(
        "logStorage: {production: {driver: kafka, brokers: [\"k1:9092\", \"k2:9092\"], topicPrefix: old-shop, replication: 3, \
         kafka: {sasl.username: weir, sasl.password: \"${PASSWORD}\"}, store: {driver: postgres, connString: \"host=db\"}}}\n",
    );
    let file = file.in_production().variable("PASSWORD", "s3 cret");
    let property = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    let expected = KafkaStorage {
        brokers: vec!["k1:9092".to_owned(), "k2:9092".to_owned()],
        topic_prefix: Some("old-shop".to_owned()),
        replication: Some(3),
        properties: vec![property("sasl.username", "weir"), property("sasl.password", "s3 cret")],
        store: KafkaStore::Postgres(Secret::new("host=db")),
    };
    assert_eq!(file.config().log, LogStorage::Kafka(expected));
    assert!(file.entry("logStorage.production.kafka.sasl.username").starts_with("weir "));
    assert!(file.entry("logStorage.production.kafka.sasl.password").starts_with("*** "));
    assert!(!format!("{:?}", file.load()).contains("s3 cret"));
}

#[test]
fn a_log_on_brokers_asks_for_them_and_for_what_its_store_needs() {
    for (log, expected) in [
        ("driver: kafka", "logStorage.production.brokers: there is none; "),
        ("driver: kafka, brokers: [k]", "logStorage.production.brokers: \"k\" is no address of a broker; "),
        (
            "driver: kafka, brokers: [\"k:9092\"], store: {driver: postgres}",
            "logStorage.production.store.connString: it is missing; ",
        ),
        (
            "driver: kafka, brokers: [\"k:9092\"], topicPrefix: my_shop",
            "logStorage.production.topicPrefix: \"my_shop\" is no prefix; ",
        ),
    ] {
        let mistakes = weir(&format!("logStorage: {{production: {{{log}}}}}\n")).in_production().mistakes();
        assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{mistakes:?}");
    }
}

#[test]
fn a_log_in_postgres_is_connected_to_as_the_file_or_the_flag_says() {
    let url = "postgres://u:s3cret@db/shop?schema=shop";
    let in_postgres = LogStorage::Postgres(Secret::new(url));
    let file = weir("logStorage: {production: {driver: postgres, connString: \"${DATABASE_URL}\"}}\n")
        .in_production();
    let file = file.variable("DATABASE_URL", url);
    assert_eq!(file.config().log, in_postgres);
    assert!(file.entry("logStorage.production.connString").starts_with("*** "));
    let flags = |log: &str| Flags { log: Some(log.to_owned()), ..Flags::default() };
    let flag = weir("").flags(flags(url));
    assert_eq!(flag.config().log, in_postgres);
    assert_eq!(flag.entry("logStorage.development.driver"), "postgres (--log)");
    let words = "host=db password=s3cret";
    assert_eq!(weir("").flags(flags(words)).config().log, LogStorage::Postgres(Secret::new(words)));
    assert!(!format!("{:?}", flag.load()).contains("s3cret"));
    for (project, expected) in [
        (
            weir("logStorage: {development: {driver: postgres}}\n"),
            "logStorage.development.connString: it is missing; ",
        ),
        (
            weir("logStorage: {development: {driver: postgres, connString: db}}\n"),
            "logStorage.development.connString: it is no connection string; ",
        ),
        (weir("").flags(flags("postgres")), "--log: postgres needs an address; "),
        (weir("").flags(flags("sqlite:x")), "--log: sqlite takes no address; "),
    ] {
        let mistakes = project.mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].contains(expected), "{mistakes:?}");
    }
}

#[test]
fn a_function_says_how_many_requests_run_it_at_once_and_how_many_wait() {
    let slots = |functions: &str| {
        let config = weir(&format!("weir: {{functions: {{slow: {functions}}}}}\n")).config();
        config.function_slots.values().next().map(|slots| (slots.running.get(), slots.waiting))
    };
    assert_eq!(slots("{maxConcurrent: 8, maxQueued: 0}"), Some((8, 0)));
    assert_eq!(slots("{maxConcurrent: 8}"), Some((8, 64)));
    assert_eq!(slots("{wall: 5m}"), None);
    let mistakes = weir("weir: {functions: {slow: {maxQueued: 3}}}\n").mistakes();
    assert!(
        mistakes[0].ends_with("nothing waits where any number may run; add maxConcurrent, or remove it"),
        "{mistakes:?}"
    );
}

#[test]
fn secrets_show_nowhere() {
    let project = full();
    let loaded = project.load().expect("valid");
    assert_eq!(project.entry("weir.admin.token"), "*** (config/application.yml:30)");
    assert!(!format!("{loaded:?}").contains("t0ken"), "the token shows in Debug");
    assert!(!format!("{loaded:?}").contains("k3y"), "a variable shows in Debug");
    let project = weir("").variable("WEIR_ADMIN_TOKEN", "s3cret");
    assert_eq!(project.entry("weir.admin.token"), "*** (environment WEIR_ADMIN_TOKEN)");
    let mistakes = weir("").variable("WEIR_ADMIN_TOKEN", "two words").mistakes();
    assert!(mistakes[0].starts_with("environment WEIR_ADMIN_TOKEN: weir.admin.token:"), "{mistakes:?}");
    assert!(!mistakes[0].contains("two words"));
}

#[test]
fn an_admin_api_beyond_loopback_needs_a_token() {
    let project = weir("weir: {admin: {listen: \":3001\"}}\n");
    let expected = "config/application.yml:4: weir.admin.listen: 0.0.0.0:3001 is reachable from other machines and \
                    there is no admin token; set WEIR_ADMIN_TOKEN or weir.admin.token, or listen on 127.0.0.1";
    assert_eq!(project.mistakes(), [expected]);
    assert_eq!(project.variable("WEIR_ADMIN_TOKEN", "x").config().admin.listen.to_string(), "0.0.0.0:3001");
}

#[test]
fn the_write_proxy_leaves_loopback_only_with_a_token_or_a_word() {
    let served = |lines: &str| {
        let log = "logStorage: {production: {driver: sqlite}}\nwriteProxyListen: \":9065\"\n";
        weir(&format!("{log}{lines}")).in_production()
    };
    let loaded = served("").load().expect("a warning only");
    assert_eq!(loaded.config.write_proxy.listen.to_string(), "127.0.0.1:9065");
    assert!(
        loaded.warnings[0]
            .to_string()
            .starts_with("config/application.yml:5: writeProxyListen: 0.0.0.0:9065 would")
    );
    let guarded = served("").variable("WEIR_ADMIN_TOKEN", "x").config().write_proxy;
    assert_eq!((guarded.listen.to_string().as_str(), guarded.needs_token), ("0.0.0.0:9065", true));
    let open = served("weir: {writeProxy: {open: true}}\n").config().write_proxy;
    assert_eq!((open.listen.to_string().as_str(), open.needs_token), ("0.0.0.0:9065", false));
}

#[test]
fn start_listens_on_all_interfaces_and_honours_port() {
    let served = || weir("logStorage: {production: {driver: sqlite}}\n").in_production();
    assert_eq!(served().entry("gateway"), "0.0.0.0:3000 (default)");
    assert_eq!(served().variable("PORT", "8080").entry("gateway"), "0.0.0.0:8080 (environment PORT)");
    assert_eq!(weir("").variable("PORT", "8080").entry("gateway"), "127.0.0.1:3000 (default)");
    let mistakes = served().variable("PORT", "tcp://x").mistakes();
    assert_eq!(mistakes, ["environment PORT: \"tcp://x\" is no port; write a number from 0 to 65535"]);
}

#[test]
fn flags_win_over_all() {
    let flags = Flags { port: Some(4000), admin: Some("localhost:5000".to_owned()), ..Flags::default() };
    let project = weir("").flags(flags);
    assert_eq!(project.entry("gateway"), "127.0.0.1:4000 (--port)");
    assert_eq!(project.entry("weir.admin.listen"), "127.0.0.1:5000 (--admin)");
    assert_eq!(project.entry("writeProxyListen"), "127.0.0.1:4002 (--port)");
    let free = weir("").flags(Flags { port: Some(0), data: Some("/tmp/x".to_owned()), ..Flags::default() });
    assert_eq!(free.config().write_proxy.listen.port(), 0);
    assert_eq!(free.entry("weir.dataDir"), "/tmp/x (--data)");
    let last = weir("").flags(Flags { port: Some(65_535), ..Flags::default() }).mistakes();
    assert_eq!(last[0], "--port: 65535 leaves no port for weir.admin.listen; write at most 65533");
}

#[test]
fn two_listeners_cannot_share_a_port() {
    let mistakes = weir("functionInvoker: http://localhost:3001\n").mistakes();
    let expected =
        "weir.admin.listen: 127.0.0.1:3001 is taken by gateway; give each listener a port of its own";
    assert_eq!(mistakes, [format!("default: {expected}")]);
}

#[test]
fn two_triggers_cannot_share_a_position() {
    let text =
        "appName: a\ntopics: [t]\nevents: {t: {APPEND: [f, g]}}\nweir:\n  triggers:\n    t/f: {group: g}\n";
    let expected = "config/application.yml:6: weir.triggers.t/f.group: group t/g is that of both t/f and t/g; \
                    give each trigger a group of its own";
    assert_eq!(Project::new(text).mistakes(), [expected]);
}

#[test]
fn an_offset_to_start_from_needs_a_topic_of_one_partition() {
    let lines = |n: u32| {
        format!(
            "weir:\n  topics: {{orders: {{partitions: {n}}}}}\n  triggers:\n    orders/on_order: {{startFrom: 17}}\n"
        )
    };
    assert_eq!(
        weir(&lines(1)).config().triggers[0].start_from,
        Some(Position::Offset(weir_schema::Offset(17)))
    );
    assert!(
        weir(&lines(2)).mistakes()[0]
            .starts_with("config/application.yml:7: weir.triggers.orders/on_order.startFrom:")
    );
}

#[test]
fn a_key_said_twice_is_a_mistake() {
    let mistakes = weir("AppName: other\n").mistakes();
    assert_eq!(
        mistakes,
        ["config/application.yml:4: appName: said twice, first in line 1; keep one of them"]
    );
}

#[test]
fn text_that_is_no_yaml_says_where() {
    let mistakes = Project::new("appName: shop\ntopics: [a\nevents:\n").mistakes();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].starts_with("config/application.yml:3: not YAML: "), "{mistakes:?}");
}

#[test]
fn a_reference_without_quotes_in_braces_says_what_to_do() {
    let mistakes = weir("weir:\n  admin: {token: ${TOKEN}}\n").mistakes();
    assert!(mistakes[0].starts_with("config/application.yml:5: not YAML: "), "{mistakes:?}");
    assert!(mistakes[0].ends_with("; inside { } and [ ] put \"${…}\" in quotes"), "{mistakes:?}");
}

#[test]
fn files_of_other_editors_read_the_same() {
    let config = Project::new("\u{feff}appName: shop\r\ntopics:\r\n- a\r\n").config();
    assert_eq!((config.app_name.as_str(), config.topics[0].name.as_str()), ("shop", "a"));
}

#[test]
fn a_missing_name_is_said_of_the_file_as_a_whole() {
    for text in ["", "# nothing\n", "topics: []\n"] {
        let mistakes = Project::new(text).mistakes();
        assert_eq!(mistakes, ["config/application.yml: appName: it is missing; add a line as appName: shop"]);
    }
    let mistakes = Project::new("just text\n").mistakes();
    assert!(mistakes[0].starts_with("config/application.yml:1: a mapping is expected; write keys below it:"));
}

proptest! {
    #[test]
    fn any_text_loads_or_says_why(text in "(?s).{0,300}") {
        if let Err(mistakes) = Project::new(&text).load() {
            prop_assert!(!mistakes.0.is_empty());
        }
    }

    /// Texts that look like configurations reach further than noise does.
    #[test]
    fn any_value_of_any_key_loads_or_says_why(
        key in prop::sample::select(KEYS),
        value in r#"[\[\]{}:,"'$*&a-z0-9./ \n-]{0,24}|[0-9]{1,22}(ms|s|d|MiB|GB)?|\$\{[A-Z:-]{0,8}\}?"#,
    ) {
        let mut text = String::from("appName: shop\ntopics: [t]\nevents: {t: {APPEND: [f]}}\n");
        for (depth, segment) in key.path.replace('*', "t/f").split('.').enumerate() {
            text += &format!("\n{}{segment}:", "  ".repeat(depth));
        }
        text += &format!(" {value}\n");
        if let Err(mistakes) = Project::new(&text).load() {
            prop_assert!(!mistakes.0.is_empty());
        }
    }

    #[test]
    fn a_size_comes_back_from_its_text(bytes in any::<u64>()) {
        prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
    }
}

#[test]
fn functions_reach_private_networks_in_development_alone_unless_they_are_named() {
    let private = |project: Project| project.config().outbound.private;
    let production = |lines: &str| {
        let storage = "logStorage: {production: {driver: memory}}\n";
        weir(&format!("{storage}{lines}")).in_production()
    };
    let named = "weir: {outbound: {private: [10.0.0.0/8]}}\n";
    assert_eq!(private(weir("")), None, "all of them");
    assert_eq!(private(production("")), Some(Vec::new()));
    for project in [weir(named), production(named)] {
        assert_eq!(private(project), Some(vec!["10.0.0.0/8".parse().expect("a network")]));
    }
    assert_eq!(private(weir("weir: {outbound: {private: []}}\n")), Some(Vec::new()));
}

#[test]
fn a_place_that_is_none_is_a_mistake_with_the_remedy() {
    let mistakes = weir("weir: {outbound: {allow: [\"https://api.example.com/\"]}}\n").mistakes();
    assert!(mistakes[0].contains("is no host, address or network"), "{mistakes:?}");
}
