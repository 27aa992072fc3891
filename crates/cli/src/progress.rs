//! Progress for whoever watches a terminal: bytes, rate, time left.
//!
//! On stderr, so that data on stdout stays data; where stderr is no terminal
//! nothing is drawn. Log lines that come while a bar is shown go above it.

use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::one_line::one_line;

/// All bars of the process, so that several stand under each other.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

const WITH_TOTAL: &str = "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes}, \
                          {binary_bytes_per_sec}, {eta} left";
const WITHOUT_TOTAL: &str = "{msg} {spinner} {binary_bytes}, {binary_bytes_per_sec}";

/// A bar that is removed when it is done or dropped.
pub struct Progress(ProgressBar);

/// A bar for `total` bytes, or a counter where the total is not known.
pub fn bytes(label: &str, total: Option<u64>) -> Progress {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), WITH_TOTAL),
        None => (ProgressBar::no_length(), WITHOUT_TOTAL),
    };
    let style = ProgressStyle::with_template(template).expect("the templates above are valid");
    let bar = BARS.add(bar.with_style(style.progress_chars("=> ")));
    bar.set_message(one_line(label));
    Progress(bar)
}

impl Progress {
    /// `count` more bytes are done.
    pub fn inc(&self, count: u64) {
        self.0.inc(count);
    }

    /// Says something else before the bar.
    pub fn relabel(&self, label: &str) {
        self.0.set_message(one_line(label));
    }

    pub fn done(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Runs `print` while no bar is on the screen.
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
            progress.relabel("put");
            assert_eq!(progress.0.message(), "put");
            progress.done();
        }
    }
}
