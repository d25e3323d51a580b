//! One trace, from a request through the log into a trigger, at a real OTLP receiver.

use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use weir_tests::{PATIENCE, Sandbox, eventually};

/// Keeps every span that is sent.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let spans = resources.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    /// Listens on a free port of its own.
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let service = TraceServiceServer::new(receiver.clone());
        let serving = tonic::transport::Server::builder().add_service(service);
        let serving = serving.serve_with_incoming(TcpListenerStream::new(listener));
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(serving);
        (receiver, address)
    }

    /// The one span of this name that has all these attributes.
    fn find(&self, name: &str, attributes: &[(&str, &str)]) -> Span {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has = |span: &Span, (key, value): &(&str, &str)| {
            span.attributes.iter().any(|a| a.key == *key && text(a) == *value)
        };
        let found: Vec<_> = spans
            .iter()
            .filter(|s| s.name == name && attributes.iter().all(|a| has(s, a)))
            .cloned()
            .collect();
        let names: Vec<_> = spans.iter().map(|s| s.name.clone()).collect();
        assert_eq!(found.len(), 1, "spans called {name} with {attributes:?} among {names:?}");
        found.into_iter().next().expect("one was found")
    }
}

fn text(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn project(otlp: &str) -> Sandbox {
    Sandbox::builder()
        .config(&format!(
            "appName: traced\ntopics: [orders]\nevents: {{orders: {{APPEND: [on_order]}}}}\nweir: {{telemetry: {{otlp: \"{otlp}\"}}}}\n"
        ))
        .file("app/gateway.lua", r#"return {{"POST", "/orders", "order"}}"#)
        .file(
            "app/order.lua",
            r#"local flow, topics = require "flow", require "topics"
            return function(args)
                local price = flow.call("price", {sku = args.sku})
                topics.append("orders", {{key = args.sku, value = {sku = args.sku, price = price}}})
                return price
            end"#,
        )
        .file("app/price.lua", "return function() return 7 end")
        .file(
            "app/on_order.lua",
            r#"local state = require "state"
            return function(order) state.set("orders", order.sku, order) end"#,
        )
        .build()
}

const CLIENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_from_the_request_through_the_log_into_the_trigger() {
    let (receiver, otlp) = Receiver::start().await;
    let sandbox = project(&otlp);
    let server = sandbox.dev().await;
    let body = serde_json::json!({ "sku": "tea" });
    let request = server.request(Method::POST, "/orders").header("traceparent", CLIENT).json(&body);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    sandbox.weir(&["triggers", "wait", "--timeout", "30s"]).await.succeeded();
    server.stop().await; // what waits is sent before the end

    let request = receiver.find("request", &[("http.request.method", "POST"), ("weir.function", "order")]);
    let invoke = receiver.find("invoke", &[("weir.function", "order")]);
    let call = receiver.find("call", &[("weir.function", "price")]);
    let commit = receiver.find("commit", &[("weir.events", "1")]);
    let deliver = receiver.find("deliver", &[("weir.function", "on_order"), ("messaging.kafka.offset", "0")]);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    for span in [&request, &invoke, &call, &commit, &deliver] {
        assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c", "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{}", span.name);
    }
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(invoke.parent_span_id, request.span_id);
    assert_eq!(call.parent_span_id, invoke.span_id);
    assert_eq!(commit.parent_span_id, invoke.span_id);
    assert_eq!(deliver.parent_span_id, invoke.span_id);
}

/// `docs/telemetry.md` names every span and every attribute that is sent.
#[tokio::test(flavor = "multi_thread")]
async fn every_span_and_attribute_stands_in_the_docs() {
    let (receiver, otlp) = Receiver::start().await;
    let sandbox = project(&otlp);
    let server = sandbox.dev().await;
    server.post("/orders", &serde_json::json!({ "sku": "tea" })).await;
    sandbox.weir(&["append", "orders", r#"{"sku":"milk"}"#]).await.succeeded();
    sandbox.weir(&["triggers", "wait", "--timeout", "30s"]).await.succeeded();
    // what partitions use is weighed once a second
    let numbers = eventually(PATIENCE, || async {
        let numbers = server.admin(Method::GET, "/metrics").send().await.expect("an answer");
        let numbers = numbers.text().await.expect("text");
        let is_weighed = numbers.contains("weir_trigger_partition_busy_ratio{trigger=\"orders/on_order\"");
        if is_weighed { Ok(numbers) } else { Err(numbers) }
    })
    .await;
    server.stop().await;

    let docs = std::fs::read_to_string(weir_tests::repository().join("docs/telemetry.md"))
        .expect("the docs are there");
    let spans = receiver.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(spans.iter().any(|s| s.name == "append"), "an append over HTTP has a span");
    for span in &spans {
        let row = docs.lines().find(|l| l.starts_with(&format!("| `{}` |", span.name)));
        let row = row.unwrap_or_else(|| panic!("the span {} is not in docs/telemetry.md", span.name));
        for attribute in &span.attributes {
            assert!(row.contains(&format!("`{}`", attribute.key)), "{} of {}", attribute.key, span.name);
        }
    }
    let named = numbers.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next());
    let named: Vec<_> = named.collect();
    assert!(
        named.contains(&"weir_requests_total") && named.contains(&"weir_trigger_events_total"),
        "{named:?}"
    );
    for name in named {
        assert!(docs.contains(&format!("`{name}`")), "the number {name} is not in docs/telemetry.md");
    }
}
