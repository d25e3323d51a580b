//! The one table of keys: what exists, what it defaults to, what it means. The reader takes its defaults from here,
//! the check for unknown keys its names, and `docs/config.md` its text.

/// One key. `*` in a path stands for a name that the user chooses.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Segments joined by dots: `weir.topics.*.partitions`.
    pub path: &'static str,
    /// What its value is, in words.
    pub kind: &'static str,
    /// What holds when it is not said.
    pub fallback: Fallback,
    /// What it does.
    pub meaning: &'static str,
    /// A value as it stands in the file.
    pub example: &'static str,
    /// The variable of the environment that wins over the file.
    pub variable: Option<&'static str>,
}

/// What holds when a key is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallback {
    /// This text, read as if it stood in the file.
    Value(&'static str),
    /// No value; the words say what that comes to.
    Absent(&'static str),
    /// It must be said.
    Required,
}

use Fallback::{Absent, Required, Value};

const fn key(
    path: &'static str,
    kind: &'static str,
    fallback: Fallback,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key { path, kind, fallback, meaning, example, variable: None }
}

const fn with_variable(key: Key, variable: &'static str) -> Key {
    Key { variable: Some(variable), ..key }
}

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[
    // What Spacer knows.
    with_variable(
        key(
            "appName",
            "name",
            Required,
            "The application's name: a log remembers it and refuses another's. Letters, digits, `.` and `-`; no underscore, which separates application and topic in Kafka",
            "shop",
        ),
        "APPNAME",
    ),
    key(
        "spacerVersion",
        "whole number",
        Value("1"),
        "The version of Spacer's layout. Kept for Spacer's projects; 1 is the only one",
        "1",
    ),
    key(
        "topics",
        "list of topics",
        Absent("no topics"),
        "The topics that functions and clients may append to",
        "[orders, emails]",
    ),
    key(
        "events.*.APPEND",
        "list of functions",
        Absent("no triggers"),
        "The functions that run on each event of the topic; each is a trigger of its own. `append` in any case",
        "[on_order, private/index_order]",
    ),
    key(
        "envVar",
        "list of variables",
        Absent("none"),
        "The only variables of the environment that `os.getenv` sees",
        "[SPACER_ENV, MAIL_KEY]",
    ),
    key(
        "logStorage.*.driver",
        "`memory`, `sqlite`, `postgres` or `kafka`",
        Absent("`sqlite` in `weir dev`; refused in `weir start`"),
        "Where the environment of this name (`development`, `production`, …) keeps its log. Only the environment in force is looked at closely",
        "sqlite",
    ),
    key(
        "logStorage.*.connString",
        "URL or `key=value …`",
        Absent("none"),
        "For driver `postgres`: how to connect, as libpq has it. See [below](#how-a-postgresql-server-is-connected-to)",
        "\"${DATABASE_URL}\"",
    ),
    key(
        "logStorage.*.brokers",
        "list of HOST:PORT",
        Absent("none"),
        "For driver `kafka`: brokers to begin with; they tell of the others",
        "[\"localhost:9092\"]",
    ),
    key(
        "logStorage.*.topicPrefix",
        "text",
        Absent("`appName`"),
        "For driver `kafka`: what the names of topics begin with there, before a `_`",
        "shop",
    ),
    key(
        "logStorage.*.replication",
        "whole number from 1",
        Absent("as the brokers are set to"),
        "For driver `kafka`: on how many brokers a topic that weir makes is kept",
        "3",
    ),
    key(
        "logStorage.*.store.driver",
        "`sqlite` or `postgres`",
        Absent("`sqlite`, in the data folder"),
        "For driver `kafka`: where everything but the events is, as state, positions and parked events. Several nodes need `postgres`",
        "postgres",
    ),
    key(
        "logStorage.*.store.connString",
        "URL or `key=value …`",
        Absent("none"),
        "For a store in `postgres`: how to connect, as `connString` beside it",
        "\"${DATABASE_URL}\"",
    ),
    key(
        "logStorage.*.kafka.*",
        "text",
        Absent("librdkafka's, but for those that the log's promises depend on"),
        "For driver `kafka`: any property of librdkafka, as `security.protocol`, `sasl.mechanisms`, `sasl.username`, `sasl.password`, `ssl.ca.location`. Those whose names hold `password`, `secret` or `.pem` are not shown",
        "sasl_ssl",
    ),
    with_variable(
        key(
            "consumerGroup",
            "text",
            Value("spacer-$appName"),
            "The consumer group of a Spacer application, `$appName` filled in. In Kafka, triggers begin where this group has come to on topics that others have filled, and their positions are shown as groups `CONSUMERGROUP.TOPIC.FUNCTION`; `weir import spacer` takes its offsets. Elsewhere it names nothing",
            "spacer-$appName",
        ),
        "CONSUMERGROUP",
    ),
    with_variable(
        key(
            "functionInvoker",
            "URL",
            Value("http://localhost:3000"),
            "Its port is the gateway's; its host is ignored. The gateway listens on loopback in `weir dev` and on all interfaces in `weir start`, where `PORT` wins; `--listen` and `--port` win over all",
            "http://localhost:3000",
        ),
        "FUNCTIONINVOKER",
    ),
    with_variable(
        key(
            "writeProxyListen",
            "address",
            Value("127.0.0.1:9065"),
            "Where appends over HTTP in Spacer's form are taken. Loopback in `weir dev`; beyond loopback it asks for the admin token, and without one it is bound to loopback (see `weir.writeProxy.open`)",
            "\":9065\"",
        ),
        "WRITEPROXYLISTEN",
    ),
    // Topics.
    key(
        "weir.topics.*.partitions",
        "whole number, 1 to 4096",
        Value("1"),
        "Into how many partitions the topic's keys are spread. Fixed when the topic is created",
        "4",
    ),
    key(
        "weir.topics.*.retention",
        "duration or `forever`",
        Value("forever"),
        "How long events are kept. Nothing is removed that an enabled trigger, a parked event or a replay still needs",
        "90d",
    ),
    key(
        "weir.topics.*.partitioner",
        "`murmur2` or `crc32`",
        Value("murmur2"),
        "How a key finds its partition: as Kafka's Java clients, or as librdkafka (and so Spacer). Fixed when the topic is created, but in Kafka",
        "crc32",
    ),
    // Triggers.
    key(
        "weir.triggers.*.retry.attempts",
        "whole number from 1",
        Value("70"),
        "How often an event is tried before it is exhausted; 70 with the other defaults is about an hour",
        "5",
    ),
    key(
        "weir.triggers.*.retry.backoff",
        "duration",
        Value("500ms"),
        "The wait after the first failure; it doubles with each",
        "1s",
    ),
    key("weir.triggers.*.retry.maxBackoff", "duration", Value("60s"), "The longest wait", "10m"),
    key(
        "weir.triggers.*.retry.jitter",
        "number from 0 to 1",
        Value("0.2"),
        "By which share a wait is varied at random, so that retries do not come all at once",
        "0.1",
    ),
    key(
        "weir.triggers.*.breaker.failures",
        "whole number from 1",
        Value("20"),
        "The breaker opens (the trigger pauses and probes) at this many failures …",
        "50",
    ),
    key("weir.triggers.*.breaker.keys", "whole number from 1", Value("5"), "… across this many keys …", "10"),
    key(
        "weir.triggers.*.breaker.ratio",
        "number from 0 to 1",
        Value("0.5"),
        "… that are at least this share of what ran …",
        "0.8",
    ),
    key("weir.triggers.*.breaker.within", "duration", Value("30s"), "… within this time", "1m"),
    key(
        "weir.triggers.*.breaker.probe",
        "duration",
        Value("10s"),
        "How long an open breaker waits before it tries one event",
        "30s",
    ),
    key(
        "weir.triggers.*.onExhausted",
        "`hold`, `skip` or `pause`",
        Value("hold"),
        "What becomes of an event whose attempts are used up: it stays parked until somebody acts, is passed over (with a record), or stays parked and pauses the trigger",
        "skip",
    ),
    key(
        "weir.triggers.*.startFrom",
        "position",
        Absent("`earliest` at the application's first start and on empty topics, else `latest`"),
        "Where a trigger without a position begins: `earliest`, `latest`, an RFC 3339 time, a duration back (`-2h`), or an offset where the topic has one partition",
        "earliest",
    ),
    key(
        "weir.triggers.*.group",
        "name",
        Absent("the function's name"),
        "Under what name the trigger's position is kept: name the old function here to rename it without losing the place",
        "on_order",
    ),
    key(
        "weir.triggers.*.window",
        "whole number from 1",
        Value("1024"),
        "How many events of one partition may be in flight",
        "256",
    ),
    key(
        "weir.triggers.*.detachAfter",
        "duration or `never`",
        Value("10s"),
        "An event that runs longer lets those of other keys pass; `never` keeps the strict order",
        "never",
    ),
    key(
        "weir.triggers.*.maxParked",
        "whole number from 1",
        Value("100000"),
        "The trigger pauses when more events are parked",
        "1000",
    ),
    key(
        "weir.triggers.*.maxConcurrent",
        "whole number from 1",
        Value("64"),
        "How many of its invocations may run at once",
        "8",
    ),
    key(
        "weir.triggers.*.enabled",
        "`true` or `false`",
        Value("true"),
        "A trigger that is not enabled runs nothing and holds no retention; its position is kept",
        "false",
    ),
    // Limits.
    key("weir.limits.cpu", "duration", Value("1s"), "CPU time of one invocation, callees included", "500ms"),
    key(
        "weir.limits.wall",
        "duration",
        Value("30s"),
        "Time of one invocation from start to end, waiting included",
        "10s",
    ),
    key("weir.limits.memory", "size", Value("64MiB"), "Lua memory of one invocation", "128MiB"),
    key(
        "weir.limits.output",
        "size",
        Value("6MiB"),
        "The result of one invocation and all that it appends and writes",
        "1MiB",
    ),
    key("weir.limits.body", "size", Value("20MB"), "The body of one request", "1MB"),
    key("weir.limits.event", "size", Value("1MiB"), "One event: key, value and headers", "64KiB"),
    key(
        "weir.limits.hops",
        "whole number from 1",
        Value("64"),
        "How many appends by triggers may follow from each other; the next one raises `loop`",
        "16",
    ),
    key(
        "weir.functions.*.cpu",
        "duration",
        Absent("that of `weir.limits`"),
        "CPU time, for this function",
        "5s",
    ),
    key(
        "weir.functions.*.wall",
        "duration",
        Absent("that of `weir.limits`"),
        "Time from start to end, for this function",
        "5m",
    ),
    key(
        "weir.functions.*.memory",
        "size",
        Absent("that of `weir.limits`"),
        "Lua memory, for this function",
        "256MiB",
    ),
    key(
        "weir.functions.*.output",
        "size",
        Absent("that of `weir.limits`"),
        "Result, appends and writes, for this function",
        "20MiB",
    ),
    key(
        "weir.functions.*.maxConcurrent",
        "whole number from 1",
        Absent("no limit"),
        "How many requests may run this function at once, on one node. Triggers have `maxConcurrent` of their own; what `flow` calls is not counted",
        "8",
    ),
    key(
        "weir.functions.*.maxQueued",
        "whole number",
        Value("64"),
        "How many requests may wait for that; the next one is answered with 503 and `Retry-After`",
        "0",
    ),
    key(
        "weir.functions.*.determinism",
        "`seeded` or `real`",
        Absent("that of `weir.determinism`"),
        "Whose clock and random numbers, for this function where it is a trigger's own",
        "real",
    ),
    key(
        "weir.determinism",
        "`seeded` or `real`",
        Value("seeded"),
        "`seeded`: in a trigger `time.now`, `os.time`, `os.date`, `random`, `math.random` and `uuid` are made of the event (its topic, partition, offset and timestamp, and the function's name), so that an attempt or a replay computes what the first run computed. `real`: the machine's clock and random numbers that nobody can tell, as in requests. Never seeded: `time.wall`, `os.clock`, `random.secure`, `crypto.random_bytes`, the times of `cache` and of tokens",
        "real",
    ),
    // Edges.
    key(
        "weir.http.cors.origins",
        "list of origins, or `\"*\"` in it",
        Absent("none; any in `weir dev`"),
        "The origins whose pages may call the gateway",
        "[\"https://shop.example\"]",
    ),
    key(
        "weir.http.cors.methods",
        "list of methods",
        Absent("those that the path's routes have"),
        "The methods that a preflight is told",
        "[GET, POST]",
    ),
    key(
        "weir.http.cors.headers",
        "list of header names",
        Absent("those that the preflight asks for"),
        "The request headers that a preflight is told",
        "[Content-Type]",
    ),
    key(
        "weir.http.cors.credentials",
        "`true` or `false`",
        Value("false"),
        "Whether cookies and credentials may be sent; needs origins by name",
        "true",
    ),
    key(
        "weir.http.cors.maxAge",
        "duration",
        Value("10m"),
        "How long a browser may remember a preflight",
        "1h",
    ),
    key(
        "weir.http.trustedProxies",
        "list of addresses or networks",
        Absent("none"),
        "The proxies whose `X-Forwarded-For` sets `ctx.remote_addr`",
        "[\"10.0.0.0/8\"]",
    ),
    key(
        "weir.outbound.allow",
        "list of hosts or networks",
        Absent("all that is not denied"),
        "The only hosts (`*.` before a name stands for every name below it) and networks that functions may send requests to",
        "[api.example.com, \"*.shop.example\", \"203.0.113.0/24\"]",
    ),
    key(
        "weir.outbound.deny",
        "list of hosts or networks",
        Absent("none"),
        "Hosts and networks that functions may not send requests to, whatever is allowed",
        "[\"*.evil.example\"]",
    ),
    key(
        "weir.outbound.private",
        "list of addresses or networks",
        Absent("all in development, else none"),
        "The private, loopback, link-local and other addresses not of the internet that functions may send requests to. Checked on the very address that is connected to, after each name is resolved and at each redirect",
        "[\"10.1.0.0/16\"]",
    ),
    key(
        "weir.outbound.ca",
        "path",
        Absent("none"),
        "A file in PEM with authorities that are trusted beside those of the system, from the project's folder",
        "secrets/ca.pem",
    ),
    key(
        "weir.outbound.timeout",
        "duration",
        Value("30s"),
        "How long a request of a function may take, redirects and the whole answer included, where the function says nothing else",
        "5s",
    ),
    key(
        "weir.outbound.maxBody",
        "size",
        Value("8MiB"),
        "The largest body of an answer, unpacked, where the function says nothing else",
        "1MiB",
    ),
    key(
        "weir.admin.listen",
        "address",
        Value("127.0.0.1:3001"),
        "Where the admin API listens. Beyond loopback it needs a token",
        "\"0.0.0.0:3001\"",
    ),
    key(
        "weir.admin.token",
        "secret",
        Value("${WEIR_ADMIN_TOKEN:-}"),
        "What `Authorization: Bearer` must show to the admin API; empty: none is asked for",
        "\"${file:secrets/admin}\"",
    ),
    key(
        "weir.health.listen",
        "address or `\"\"`",
        Value(""),
        "Serves `/healthz`, `/readyz` and `/metrics` alone, for probes; `\"\"` is off",
        "\"0.0.0.0:8080\"",
    ),
    key(
        "weir.writeProxy.open",
        "`true` or `false`",
        Value("false"),
        "Lets the write proxy listen beyond loopback without a token, as Spacer's does",
        "true",
    ),
    // The rest.
    key(
        "weir.telemetry.otlp",
        "URL or `\"\"`",
        Value(""),
        "Where traces are sent over OTLP (gRPC); `\"\"` is nowhere",
        "http://127.0.0.1:4317",
    ),
    key(
        "weir.telemetry.sample",
        "number from 0 to 1",
        Value("1.0"),
        "The share of traces that are sent",
        "0.1",
    ),
    key("weir.telemetry.logFormat", "`pretty` or `json`", Value("pretty"), "How the log is written", "json"),
    key(
        "weir.dataDir",
        "path",
        Value(".weir"),
        "The folder of Weir's own data (`log.db`, `run.json`), from the project's folder; `--data` wins",
        "/var/lib/shop",
    ),
];

/// The key of this path, `*` for names.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The names that may stand directly below `path` ("" is the top), each once.
pub(crate) fn children(path: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let below = match path {
            "" => Some(key.path),
            _ => key.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = below.map(|rest| rest.split('.').next().unwrap_or(rest));
        names.extend(name.filter(|n| !names.contains(n)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_children_of_a_path_are_listed_once() {
        assert_eq!(children("weir.topics"), ["*"]);
        assert_eq!(children("weir.triggers.*.retry"), ["attempts", "backoff", "maxBackoff", "jitter"]);
        assert_eq!(children("weir.dataDir"), [""; 0]);
        assert!(children("").contains(&"weir"));
    }

    #[test]
    fn no_key_stands_twice_and_none_is_both_a_value_and_a_mapping() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(KEYS[i + 1..].iter().all(|other| other.path != key.path), "{}", key.path);
            assert!(children(key.path).is_empty(), "{}", key.path);
            // one name stands for `*`; a last one is read with `Reader::texts`
            let named = key.path.strip_suffix(".*").unwrap_or(key.path);
            assert!(named.matches('*').count() <= 1, "{}", key.path);
        }
    }
}
