//! Progress on stderr, and only on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use weir_log::{Phase, Progress};

/// A bar that looks so.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Shows how far a log is moved.
#[derive(Debug)]
pub(crate) struct Moving {
    bar: ProgressBar,
    phase: Option<Phase>,
}

impl Moving {
    pub(crate) fn new() -> Self {
        Self { bar: bar("{msg} {bar:30} {human_pos}/{human_len} {per_sec} {eta} left"), phase: None }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        if self.phase.replace(progress.phase) != Some(progress.phase) {
            self.bar.set_message(match progress.phase {
                Phase::Copying => "copying",
                Phase::Comparing => "comparing",
            });
            // what was there already says nothing about the rate
            self.bar.reset_eta();
        }
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
