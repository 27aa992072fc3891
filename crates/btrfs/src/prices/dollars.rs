//! An amount of money.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use serde::Serialize;

/// An amount of money in dollars, for estimates and not for bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Dollars(pub f64);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an amount in dollars, such as 5 or 12.50, found {found:?}")]
pub struct NoAmount {
    found: String,
}

impl FromStr for Dollars {
    type Err = NoAmount;

    fn from_str(text: &str) -> Result<Dollars, NoAmount> {
        let amount = text.strip_prefix('$').unwrap_or(text).parse().ok();
        let amount = amount.filter(|amount: &f64| amount.is_finite() && *amount >= 0.0);
        amount.map(Dollars).ok_or_else(|| NoAmount { found: text.to_owned() })
    }
}

impl Add for Dollars {
    type Output = Dollars;

    fn add(self, other: Dollars) -> Dollars {
        Dollars(self.0 + other.0)
    }
}

impl fmt::Display for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            amount if amount > 0.0 && amount < 0.005 => f.pad("under $0.01"),
            amount => f.pad(&format!("${amount:.2}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_cents() {
        for (amount, want) in [
            (0.0, "$0.00"),
            (0.000_1, "under $0.01"),
            (0.005, "$0.01"),
            (5.0688, "$5.07"),
            (460.8, "$460.80"),
        ] {
            assert_eq!(Dollars(amount).to_string(), want);
        }
    }

    #[test]
    fn an_amount_is_a_number_that_is_not_negative() {
        assert_eq!("12.50".parse(), Ok(Dollars(12.5)));
        assert_eq!("$3".parse(), Ok(Dollars(3.0)));
        for text in ["", "-1", "five", "1e999", "NaN", "5 USD"] {
            assert!(text.parse::<Dollars>().is_err(), "{text}");
        }
    }
}
