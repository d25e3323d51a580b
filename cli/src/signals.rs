//! The signals that end a server.

use tokio::signal::unix::{SignalKind, signal};

/// Ends with the next SIGINT, SIGTERM or SIGHUP.
pub(crate) async fn wait() {
    let next = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(error) => {
                tracing::warn!(%error, "cannot listen for a signal");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = next(SignalKind::interrupt()) => {}
        () = next(SignalKind::terminate()) => {}
        () = next(SignalKind::hangup()) => {}
    }
}
