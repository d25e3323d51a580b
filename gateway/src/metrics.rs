//! The gateway's numbers. `docs/telemetry.md` lists them.

use foldhash::HashMap;
use metrics::{Counter, Histogram};
use std::cell::RefCell;
use std::time::Duration;
use weir_schema::FunctionName;

/// Classes of statuses, in the order of [`Numbers::requests`].
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// The numbers of one function: looked up once a thread, since a look-up costs as much as a small function.
struct Numbers {
    requests: [Counter; 4],
    seconds: Histogram,
}

thread_local! {
    static NUMBERS: RefCell<HashMap<Option<FunctionName>, Numbers>> = RefCell::default();
}

/// Counts a request that has been answered.
pub(crate) fn request(function: Option<&FunctionName>, status: u16, took: Duration) {
    let class = match status {
        200..=299 => 0,
        300..=399 => 1,
        400..=499 => 2,
        _ => 3,
    };
    NUMBERS.with_borrow_mut(|all| {
        let numbers = all.entry(function.cloned()).or_insert_with(|| Numbers::of(function));
        numbers.requests[class].increment(1);
        numbers.seconds.record(took.as_secs_f64());
    });
}

impl Numbers {
    fn of(function: Option<&FunctionName>) -> Self {
        let function = function.map_or_else(|| "-".to_owned(), FunctionName::to_string);
        let requests = CLASSES
            .map(|class| metrics::counter!("weir_requests_total", "function" => function.clone(), "status" => class));
        Self { requests, seconds: metrics::histogram!("weir_request_seconds", "function" => function) }
    }
}
