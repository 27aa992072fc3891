//! The number of uploads that may run at a time: lowered when the gateway says that there are too
//! many, and raised again step by step.
//!
//! A client may have fewer slots at the gateway than `upload.concurrent`, and several agents may
//! share one key. A 429 is about the number of uploads and never about the file, so the answer to
//! it is fewer uploads: half as many at once, and one more after some rounds without a 429.
//!
//! Pure.

/// Number of rounds without a 429 before one more upload may run. Each upload too many costs one
/// request that is refused.
const ROUNDS: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    max: usize,
    limit: usize,
    successes: usize,
    /// Number of times that the limit was lowered. Uploads with an older number ran at the same
    /// time as the one that was refused, so their refusals are the same.
    epoch: u64,
}

impl Concurrency {
    pub fn new(max: usize) -> Concurrency {
        Concurrency { max, limit: max, successes: 0, epoch: 0 }
    }

    /// Returns the number of uploads that may run at a time, at least one.
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn succeeded(&mut self) {
        if self.limit == self.max {
            return;
        }
        self.successes += 1;
        if self.successes >= self.limit * ROUNDS {
            self.limit += 1;
            self.successes = 0;
        }
    }

    /// Applies a refusal of an upload that started at `epoch`. Returns true if the limit is lower
    /// now.
    pub fn refused(&mut self, epoch: u64) -> bool {
        if epoch != self.epoch || self.limit == 1 {
            return false;
        }
        self.limit /= 2;
        self.successes = 0;
        self.epoch += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_halves_once_for_refusals_of_one_time_and_grows_slowly() {
        let mut concurrency = Concurrency::new(10);
        let (first, limits) = (concurrency.epoch(), |it: &Concurrency| it.limit());
        #[rustfmt::skip]
        type Step = (&'static str, fn(&mut Concurrency, u64), usize);
        let steps: [Step; 7] = [
            ("nothing happened", |_, _| {}, 10),
            ("success at the maximum", |it, _| it.succeeded(), 10),
            ("one is refused", |it, epoch| assert!(it.refused(epoch)), 5),
            (
                "others of that time as well",
                |it, epoch| {
                    for _ in 0..7 {
                        assert!(!it.refused(epoch))
                    }
                },
                5,
            ),
            ("a refusal of a later upload", |it, _| assert!(it.refused(it.epoch())), 2),
            (
                "almost eight rounds",
                |it, _| {
                    for _ in 0..15 {
                        it.succeeded()
                    }
                },
                2,
            ),
            ("eight rounds", |it, _| it.succeeded(), 3),
        ];
        for (situation, step, want) in steps {
            step(&mut concurrency, first);
            assert_eq!(limits(&concurrency), want, "{situation}");
        }
    }

    proptest! {
        #[test]
        fn one_upload_may_always_run_and_never_more_than_configured(
            max in 1usize..300, steps in proptest::collection::vec(any::<bool>(), 0..2000)
        ) {
            let mut concurrency = Concurrency::new(max);
            for success in steps {
                if success { concurrency.succeeded() } else { concurrency.refused(concurrency.epoch()); }
                prop_assert!((1..=max).contains(&concurrency.limit()));
            }
        }
    }
}
