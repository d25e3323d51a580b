//! Logs that are moved and kept: `weir copy`, `weir backup` and what is restored from it, `weir import spacer`.

#[path = "moving/backup.rs"]
mod backup;
#[path = "moving/copy.rs"]
mod copy;
#[path = "moving/spacer.rs"]
mod spacer;

use serde_json::Value;
use std::process::Child;
use weir_tests::{Finished, PATIENCE, eventually};

/// It failed with this exit code and said these words.
fn fails_with(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not in: {}", finished.stderr);
    }
}

/// The one line of a result.
fn line(finished: Finished) -> Value {
    finished.succeeded().lines().remove(0)
}

/// Kills a command as a power cut would, as soon as `is_time`; whether it was not over before.
///
/// # Panics
/// It has ended before, and not well.
async fn kill_when(mut command: Child, is_time: impl AsyncFn() -> bool) -> bool {
    let was_over = eventually(PATIENCE, || {
        let ended = command.try_wait().expect("ask for the command's state");
        let is_time = &is_time;
        async move {
            match ended {
                Some(status) => {
                    assert!(status.success(), "the command failed");
                    Ok(true)
                }
                None if is_time().await => Ok(false),
                None => Err("it is not as far yet"),
            }
        }
    })
    .await;
    if !was_over {
        command.kill().expect("kill the command");
        command.wait().expect("wait for the command");
    }
    !was_over
}
