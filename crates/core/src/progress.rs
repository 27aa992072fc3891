//! Progress of a long step.
//!
//! The step knows nothing of terminals: it reports to a [`ProgressSink`] that
//! its caller made, and the caller decides what is shown.
//!
//! Not here: bars (`s3up_cli::progress`).

use std::fmt;
use std::sync::Arc;

/// One report of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressUpdate<'a> {
    /// This many more bytes are done.
    Bytes(u64),
    /// The new label of the step.
    Label(&'a str),
}

type UpdateFn = Box<dyn Fn(ProgressUpdate<'_>) + Send + Sync>;
type Start = dyn Fn(&str, Option<u64>) -> UpdateFn + Send + Sync;

/// Takes the reports of steps. Clones report to the same place.
#[derive(Clone)]
pub struct ProgressSink(Arc<Start>);

/// One step. It has ended when this is dropped.
pub struct Progress(UpdateFn);

impl ProgressSink {
    /// Calls `start` for each step, with its label and its length if it is
    /// known. What `start` returns is called for each report.
    pub fn new(
        start: impl Fn(&str, Option<u64>) -> UpdateFn + Send + Sync + 'static,
    ) -> ProgressSink {
        ProgressSink(Arc::new(start))
    }

    /// A sink that ignores every report.
    pub fn silent() -> ProgressSink {
        ProgressSink::new(|_, _| Box::new(|_| {}))
    }

    /// Begins a step of `total` bytes, or of a length that is not known.
    pub fn bytes(&self, label: &str, total: Option<u64>) -> Progress {
        Progress((self.0)(label, total))
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressSink")
    }
}

impl Progress {
    /// Reports `count` more bytes.
    pub fn inc(&self, count: u64) {
        (self.0)(ProgressUpdate::Bytes(count));
    }

    /// Replaces the label of the step.
    pub fn label(&self, label: &str) {
        (self.0)(ProgressUpdate::Label(label));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_report_arrives_in_order() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let sink = ProgressSink::new(move |label, total| {
            log.lock().unwrap().push(format!("begin {label} {total:?}"));
            let log = Arc::clone(&log);
            Box::new(move |report| log.lock().unwrap().push(format!("{report:?}")))
        });

        let step = sink.clone().bytes("read", Some(3));
        step.inc(2);
        step.label("read b");

        let want = ["begin read Some(3)", "Bytes(2)", "Label(\"read b\")"];
        assert_eq!(*seen.lock().unwrap(), want);
    }
}
