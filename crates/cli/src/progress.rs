//! Progress bars for a terminal: bytes or a count, rate and remaining time.
//!
//! Bars are drawn on stderr, so that stdout holds data only. Nothing is drawn if
//! stderr is no terminal, or a `dumb` one. Log lines that are written while a bar is shown
//! appear above it.

use std::sync::LazyLock;

use console::{Term, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::one_line::one_line;
use crate::terminal::is_dumb;

/// All bars of the process, so that several are drawn below each other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(|| match is_dumb() {
    true => MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
    false => MultiProgress::new(),
});

/// Columns for the longest numbers and a short bar.
const NUMBERS_COLUMNS: usize = 56;
/// Minimum number of columns for a label, on any terminal.
const LABEL_COLUMNS_MIN: usize = 12;

const WITH_TOTAL: &str = "{msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes}, \
                          {binary_bytes_per_sec}, {eta} left";
const WITHOUT_TOTAL: &str = "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}";
const COUNT: &str = "{msg} {spinner} {human_pos}, {per_sec}";

/// A progress bar. It is removed from the screen when it is dropped.
pub struct TerminalProgress(ProgressBar);

/// Shows a bar for `total` bytes, or a counter if the total is unknown.
pub fn bytes(label: &str, total: Option<u64>) -> TerminalProgress {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), WITH_TOTAL),
        None => (ProgressBar::no_length(), WITHOUT_TOTAL),
    };
    shown(bar, template, label)
}

/// Shows a counter of things whose number is unknown.
pub fn count(label: &str) -> TerminalProgress {
    shown(ProgressBar::no_length(), COUNT, label)
}

fn shown(bar: ProgressBar, template: &str, label: &str) -> TerminalProgress {
    let bar = BARS.add(bar.with_style(style(template)));
    bar.set_message(fitting(label));
    TerminalProgress(bar)
}

/// Cuts a label so that the numbers fit beside it.
fn fitting(label: &str) -> String {
    let (_, columns) = Term::stderr().size();
    let columns = usize::from(columns).saturating_sub(NUMBERS_COLUMNS).max(LABEL_COLUMNS_MIN);
    truncate_str(&one_line(label), columns, "…").into_owned()
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    style.progress_chars("=> ")
}

impl TerminalProgress {
    /// Adds `count` processed bytes or things.
    pub fn inc(&self, count: u64) {
        self.0.inc(count);
    }

    /// Shows how many bytes are left of `bytes`, from now on.
    pub fn total(&self, bytes: u64) {
        self.0.set_length(bytes);
        self.0.set_style(style(WITH_TOTAL));
    }

    /// Replaces the label.
    pub fn label(&self, label: &str) {
        self.0.set_message(fitting(label));
    }

    /// Removes the bar.
    pub fn done(self) {}
}

impl Drop for TerminalProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Hides the bars, runs `print` and draws them again.
pub(crate) fn suspended<T>(print: impl FnOnce() -> T) -> T {
    BARS.suspend(print)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_counts_with_and_without_a_total() {
        for total in [None, Some(0), Some(10)] {
            let progress = bytes("get a\nb", total);
            progress.inc(3);
            assert_eq!(progress.0.position(), 3);
            assert_eq!(progress.0.message(), "get a\\nb");
            progress.label("get c");
            progress.total(20);
            assert_eq!((progress.0.length(), progress.0.position()), (Some(20), 3));
            assert_eq!(progress.0.message(), "get c");
            progress.done();
        }
        let long = bytes(&"n".repeat(300), None);
        assert!(long.0.message().ends_with("n…"), "{}", long.0.message());
        let progress = count("rebuild web");
        progress.inc(2);
        assert_eq!((progress.0.position(), progress.0.length()), (2, None));
    }
}
