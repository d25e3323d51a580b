//! What the gateway is told by the configuration.

use crate::slots::Slots;
use ipnet::IpNet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use weir_runtime::Limits;
use weir_schema::FunctionName;

/// How the gateway behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In development errors show their cause, and any origin may call.
    pub is_dev: bool,
    /// Bytes of a request's body.
    pub body: usize,
    /// For functions without limits of their own.
    pub limits: Limits,
    /// Exceptions.
    pub function_limits: HashMap<FunctionName, Limits>,
    /// Functions that only so many requests may run at once.
    pub slots: HashMap<FunctionName, Arc<Slots>>,
    /// Who may call from another origin.
    pub cors: Cors,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The share of traces begun here that are recorded, 0 to 1.
    pub sample: f64,
    /// How many invocations one worker has under way before it answers 503.
    pub max_in_flight: usize,
    /// How long a client may take to send its request's head.
    pub head_timeout: Duration,
    /// How long a client may take between two pieces of its body.
    pub body_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_dev: false,
            body: 20_000_000,
            limits: Limits::default(),
            function_limits: HashMap::new(),
            slots: HashMap::new(),
            cors: Cors::default(),
            trusted_proxies: Vec::new(),
            sample: 1.0,
            max_in_flight: 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// What `function` may use.
    #[must_use]
    pub fn limits_of(&self, function: &FunctionName) -> Limits {
        self.function_limits.get(function).copied().unwrap_or(self.limits)
    }
}

/// Cross-origin rules (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Cors {
    /// Origins, or `*`. In development, none means any.
    pub origins: Vec<String>,
    /// Methods; none means those of the route.
    pub methods: Vec<String>,
    /// Request headers; none means those asked for.
    pub headers: Vec<String>,
    /// Whether cookies and credentials may come.
    pub credentials: bool,
    /// How long a browser may keep the answer to a preflight.
    pub max_age: Duration,
}
