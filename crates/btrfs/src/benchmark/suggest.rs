//! Suggests a concurrency from the measurements. Pure.

use std::fmt;

use s3up_core::Throughput;

use super::measurement::{Measurement, Phase};

/// A smaller difference is noise.
const GOOD_ENOUGH: f64 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suggestion {
    pub concurrency: usize,
    pub why: SuggestionReason,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SuggestionReason {
    /// There was no upload to compare.
    NothingMeasured,
    /// The upload is faster than `btrfs send`.
    SendIsSlower { send: Throughput, upload: Throughput },
    /// A higher concurrency is hardly faster.
    NoFasterBeyond { upload: Throughput, best: Throughput },
    /// The highest concurrency is still faster than the others.
    StillFaster { upload: Throughput },
}

/// Suggests the lowest concurrency that keeps up with `btrfs send` or is about as fast
/// as the best, because each part in flight needs memory.
pub fn suggest(measured: &[Measurement]) -> Suggestion {
    let of = |phase| measured.iter().filter(move |found| found.phase == phase);
    let send = of(Phase::Send).map(|found| found.throughput).next();
    let mut uploads: Vec<_> = of(Phase::Upload)
        .filter_map(|found| Some((found.concurrency?, found.throughput)))
        .collect();
    uploads.sort_by_key(|(concurrency, _)| *concurrency);
    let rate = |found: Throughput| found.bytes_per_second();
    let best = uploads
        .iter()
        .map(|(_, found)| *found)
        .max_by(|one, other| rate(*one).total_cmp(&rate(*other)));
    let Some(best) = best else {
        return Suggestion { concurrency: 1, why: SuggestionReason::NothingMeasured };
    };
    for (concurrency, upload) in &uploads {
        let (concurrency, upload) = (*concurrency, *upload);
        if let Some(send) = send
            && rate(upload) >= rate(send)
        {
            return Suggestion {
                concurrency,
                why: SuggestionReason::SendIsSlower { send, upload },
            };
        }
        if rate(upload) >= GOOD_ENOUGH * rate(best) {
            let is_last = uploads.last().is_some_and(|(last, _)| *last == concurrency);
            let why = if is_last && uploads.len() > 1 {
                SuggestionReason::StillFaster { upload }
            } else {
                SuggestionReason::NoFasterBeyond { upload, best }
            };
            return Suggestion { concurrency, why };
        }
    }
    Suggestion { concurrency: 1, why: SuggestionReason::NothingMeasured }
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3.concurrency = {}: ", self.concurrency)?;
        match self.why {
            SuggestionReason::NothingMeasured => f.write_str("nothing was measured"),
            SuggestionReason::SendIsSlower { send, upload } => {
                write!(f, "uploads at {upload}, faster than `btrfs send` ({send})")
            }
            SuggestionReason::NoFasterBeyond { upload, best } => write!(
                f,
                "uploads at {upload}; a higher concurrency is hardly faster (best: {best}) and \
                 needs more memory"
            ),
            SuggestionReason::StillFaster { upload } => write!(
                f,
                "uploads at {upload}, the highest concurrency tested is the fastest; test more \
                 with --concurrency"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lowest_concurrency_that_is_fast_enough_is_suggested() {
        let second = Duration::from_secs(1);
        let found = |phase, concurrency, bytes| Measurement {
            phase,
            concurrency,
            throughput: Throughput { bytes, elapsed: second },
        };
        let up = |rates: &[(usize, u64)]| -> Vec<Measurement> {
            rates.iter().map(|(n, rate)| found(Phase::Upload, Some(*n), *rate)).collect()
        };
        let with_send = |rate, rates: &[(usize, u64)]| -> Vec<Measurement> {
            [vec![found(Phase::Send, None, rate)], up(rates)].concat()
        };
        let rising = [(1, 100), (2, 200), (4, 380), (8, 400)];
        #[rustfmt::skip]
        let cases = [
            // situation            measured                              suggested
            ("nothing",             vec![],                               1, "nothing was measured"),
            ("one",                 up(&[(4, 100)]),                      4, "hardly faster"),
            ("flat",                up(&[(1, 100), (2, 105), (4, 101)]),  1, "hardly faster"),
            ("within a tenth",      up(&rising),                          4, "hardly faster (best: 400.0 B/s)"),
            ("in any order",        up(&[(8, 400), (4, 380), (1, 100)]),  4, "hardly faster"),
            ("still rising",        up(&[(1, 100), (2, 200), (4, 400)]),  4, "test more with --concurrency"),
            ("send is slow",        with_send(150, &rising),              2, "faster than `btrfs send` (150.0 B/s)"),
            ("send is fast",        with_send(900, &rising),              4, "hardly faster"),
        ];
        for (situation, measured, concurrency, words) in cases {
            let got = suggest(&measured);
            assert_eq!(got.concurrency, concurrency, "{situation}: {got}");
            assert!(got.to_string().contains(words), "{situation}: {got}");
        }
    }
}
