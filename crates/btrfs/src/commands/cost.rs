//! `--max-cost`: a command that would cost more ends before anything is charged.

use anyhow::anyhow;
use btrfs_to_s3::prices::{Dollars, NoPrice, Prices};
use s3up_cli::Exit;

/// The limit of a command. Without one, nothing is refused.
#[derive(Clone, Copy, Debug)]
pub struct CostLimit(pub Option<Dollars>);

impl CostLimit {
    /// Fails if there is a limit, and the cost is over it or not known.
    pub fn check(
        self,
        prices: Option<&Prices>,
        cost: impl FnOnce(&Prices) -> Result<Dollars, NoPrice>,
    ) -> anyhow::Result<()> {
        let CostLimit(Some(limit)) = self else { return Ok(()) };
        let prices = prices.ok_or_else(|| {
            let what = "no prices are known for this server; set all keys of `[prices]`";
            Exit::Usage.with(anyhow!("--max-cost: {what}"))
        })?;
        let cost = cost(prices).map_err(|err| Exit::Usage.with(anyhow!("--max-cost: {err}")))?;
        if cost <= limit {
            return Ok(());
        }
        let source = &prices.source;
        Err(anyhow!(
            "--max-cost: expected a cost of at most {limit}, found {cost} ({source}); nothing was \
             requested or changed; to allow it, raise the limit"
        ))
    }

    /// Fails if there is a limit: the cost of what follows is not known.
    pub fn refuse_unknown(self, why: &str) -> anyhow::Result<()> {
        match self {
            CostLimit(None) => Ok(()),
            CostLimit(Some(_)) => Err(anyhow!("--max-cost: the cost is not known: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use btrfs_to_s3::prices::list_prices;

    use super::*;

    #[test]
    fn a_cost_over_the_limit_or_unknown_is_refused() {
        let prices = list_prices();
        let no_price = || NoPrice { class: "OTHER".to_owned(), what: "an object" };
        let check = |limit, prices, cost| {
            CostLimit(limit).check(prices, |_| cost).map_err(|err| format!("{err:#}"))
        };
        let (one, two) = (Dollars(1.0), Dollars(2.0));

        assert_eq!(check(None, Some(&prices), Ok(two)), Ok(()));
        assert_eq!(check(None, None, Err(no_price())), Ok(()));
        assert_eq!(check(Some(two), Some(&prices), Ok(two)), Ok(()));
        for (refused, want) in [
            (
                check(Some(one), Some(&prices), Ok(two)),
                "expected a cost of at most $1.00, found $2.00",
            ),
            (
                check(Some(one), Some(&prices), Err(no_price())),
                "no price for an object of the class OTHER",
            ),
            (check(Some(one), None, Ok(one)), "no prices are known for this server"),
        ] {
            assert!(refused.unwrap_err().contains(want), "{want}");
        }
        assert!(CostLimit(None).refuse_unknown("x").is_ok());
        assert!(CostLimit(Some(one)).refuse_unknown("x").is_err());
    }
}
