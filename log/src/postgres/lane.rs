//! The committer's calls, by number, on a connection of its own.

use super::answer::Answer;
use super::call::Call;
use super::error::{Failure, Fate};
use super::{Shared, history};
use crate::LogError;
use deadpool_postgres::Client;

/// One batch after the other.
#[derive(Default, Debug)]
pub(super) struct Lane {
    /// None: it was lost, or there was none yet.
    client: Option<Client>,
    /// The number of the last batch whose end is known.
    last: u64,
}

/// How a batch that was not committed ended.
pub(super) enum Broken {
    /// Nothing of it is applied.
    Before(LogError),
    /// Who knows.
    During(LogError),
}

impl Lane {
    /// Makes a call under the next number, again and again under the same one where the connection is lost, the server is
    /// silent or others are in the way.
    pub(super) async fn send(&mut self, shared: &Shared, mut call: Call<'_>) -> Result<Answer, Broken> {
        let (server, number) = (&shared.server, self.last + 1);
        let mut patience = server.patience();
        // whether a call was made whose end is not known
        let mut is_unsure = false;
        loop {
            let failure = match self.client(shared).await {
                Ok(client) => match server.ask(client, call.run(client, number)).await {
                    Ok(answer) => {
                        self.last = number;
                        return Ok(answer);
                    }
                    Err(failure) => {
                        is_unsure |= failure.fate() == Fate::Lost;
                        failure
                    }
                },
                Err(failure) => failure,
            };
            let fate = failure.fate();
            match fate {
                Fate::Lost => self.client = None,
                Fate::Crowded => call.lock_whole(),
                Fate::Again | Fate::Failed => {}
            }
            if fate == Fate::Failed || !patience.pause().await {
                let error = failure.into_log_error("write", &server.place);
                return Err(if is_unsure { Broken::During(error) } else { Broken::Before(error) });
            }
        }
    }

    async fn client(&mut self, shared: &Shared) -> Result<&Client, Failure> {
        if self.client.is_none() {
            let client = shared.server.client().await?;
            shared.server.ask(&client, history::verify(shared, &client, self.last)).await?;
            self.client = Some(client);
        }
        Ok(self.client.as_ref().expect("it has just been taken"))
    }
}
