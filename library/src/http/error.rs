//! Why a request has no answer.

use super::Denied;
use std::error::Error;
use std::time::Duration;

/// Why a request has no answer: the text is what a function gets behind `nil`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used.
    #[error("{0:?} is no URL that can be requested: {1}")]
    Url(String, String),
    /// The outbound policy, or the replay, denies it.
    #[error("{0}")]
    Denied(String),
    /// It took too long.
    #[error("timeout: no whole answer within {0:?}")]
    Timeout(Duration),
    /// There is no connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, String),
    /// The connection broke, or what came is no HTTP.
    #[error("{0}")]
    Broken(String),
    /// One redirect more than was allowed.
    #[error("more than {0} redirects (option `redirects`)")]
    Redirects(u32),
    /// The body is larger than was allowed.
    #[error("the answer's body is larger than {0} bytes (option `max_body`)")]
    Body(usize),
    /// The body is larger than was allowed once it is unpacked.
    #[error("the answer's body unpacks to more than {0} bytes (option `max_body`)")]
    Unpacked(usize),
    /// Requests cannot be sent at all.
    #[error("requests cannot be sent: {0}")]
    Unusable(String),
}

impl From<Denied> for HttpError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.to_string())
    }
}

impl HttpError {
    /// What an error of the client means. Its own text names the URL, which may hold a password.
    pub(super) fn of_client(error: &reqwest::Error, host: &str) -> Self {
        if let Some(denied) = causes(error).find_map(|cause| cause.downcast_ref::<Denied>()) {
            return denied.clone().into();
        }
        let cause = causes(error).last().map_or_else(String::new, ToString::to_string);
        match error.is_connect() {
            true => Self::Connect(host.to_owned(), cause),
            false => Self::Broken(format!("the request to {host} failed: {cause}")),
        }
    }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}
