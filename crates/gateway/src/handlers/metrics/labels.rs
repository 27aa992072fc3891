//! The parts that all series share.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::gauge::Gauge;

pub(super) type Value = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ClientLabels {
    pub client: String,
}

/// Returns a time in seconds since 1970. One that cannot be read counts as none.
pub(super) fn seconds(text: &str) -> f64 {
    text.parse::<Timestamp>().map_or(0.0, |at| at.as_millisecond() as f64 / 1000.0)
}

/// Numbers above 2^53 lose their last digits, which no graph shows.
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
