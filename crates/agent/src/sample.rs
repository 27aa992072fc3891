//! Chooses a number of things at random from a stream of unknown length (reservoir sampling). Pure:
//! the random number is a parameter.

/// A random choice of at most `size` of the things that were added.
#[derive(Debug)]
pub struct Sample<T> {
    size: usize,
    seen: u64,
    chosen: Vec<T>,
}

impl<T> Sample<T> {
    pub fn new(size: usize) -> Sample<T> {
        Sample { size, seen: 0, chosen: Vec::new() }
    }

    /// Adds a thing. `random` is in 0..1.
    pub fn add(&mut self, thing: T, random: f64) {
        self.seen += 1;
        if self.chosen.len() < self.size {
            self.chosen.push(thing);
            return;
        }
        // Each of the `seen` places is as likely, and only the first `size` of them are kept.
        let place = (random * self.seen as f64) as usize;
        if let Some(old) = self.chosen.get_mut(place) {
            *old = thing;
        }
    }

    pub fn into_chosen(self) -> Vec<T> {
        self.chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_stream_is_taken_whole_and_a_long_one_in_part() {
        let take = |size, count: usize, random| {
            let mut sample = Sample::new(size);
            (0..count).for_each(|n| sample.add(n, random));
            sample.into_chosen()
        };
        #[rustfmt::skip]
        let cases = [
            (3, 2, 0.0,  vec![0, 1]),
            (3, 3, 0.99, vec![0, 1, 2]),
            (3, 9, 0.0,  vec![8, 1, 2]),
            (3, 9, 0.99, vec![0, 1, 2]),
            (0, 9, 0.0,  vec![]),
        ];
        for (size, count, random, want) in cases {
            assert_eq!(take(size, count, random), want, "{size} of {count}, {random}");
        }
    }

    #[test]
    fn each_thing_is_as_likely() {
        let mut hits = [0; 10];
        let mut state = 1_u64;
        let mut random = || {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        for _ in 0..20_000 {
            let mut sample = Sample::new(2);
            (0..10).for_each(|n| sample.add(n, random()));
            sample.into_chosen().into_iter().for_each(|n: usize| hits[n] += 1);
        }
        assert!(hits.iter().all(|hits| (3400..4600).contains(hits)), "{hits:?}");
    }
}
