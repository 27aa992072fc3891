//! Median, minimum and maximum of a series of measurements. On a noisy machine no
//! other statistic is worth quoting.

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns `None` if there are no values. The median of an even number of
    /// values is the mean of the two in the middle.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Spread { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_minimum_and_maximum() {
        assert_eq!(Spread::of([]), None);
        let of = |values: &[f64]| Spread::of(values.iter().copied()).unwrap();
        assert_eq!(of(&[2.0]), Spread { median: 2.0, min: 2.0, max: 2.0 });
        assert_eq!(of(&[3.0, 1.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(of(&[9.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 9.0 });
    }
}
