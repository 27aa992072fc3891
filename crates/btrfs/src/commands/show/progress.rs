//! The bars that a terminal shows while long steps run.

use s3up_cli::progress;
use s3up_core::progress::{ProgressSink, ProgressUpdate};

/// A bar for each step, one below the other.
pub fn bars() -> ProgressSink {
    ProgressSink::new(|label, total| {
        let bar = progress::bytes(label, total);
        Box::new(move |report| match report {
            ProgressUpdate::Bytes(count) => bar.inc(count),
            ProgressUpdate::Label(label) => bar.label(label),
        })
    })
}
