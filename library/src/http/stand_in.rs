//! Answers in the place of other servers, for tests.

use super::{HttpAnswer, HttpError, HttpRequest};

/// Answers every request; none reaches the network.
pub trait StandIn: Send + Sync + std::fmt::Debug {
    /// What a server would answer, at once.
    ///
    /// # Errors
    /// What the function is to get instead of an answer.
    fn answer(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError>;
}
