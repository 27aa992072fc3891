//! Prints costs, as text and as JSON. A cost that is not known says why.

use btrfs_to_s3::prices::{Dollars, NoPrice, Prices, PruneCost, ThawCost, UploadCost};
use btrfs_to_s3::restore::cost::{CostTerms, RestoreCost, total};
use s3up_cli::table;
use s3up_core::Count;
use serde::Serialize;

/// A cost in dollars with the origin of its prices, or the reason why it is not known.
#[derive(Debug, Serialize)]
pub struct Priced<T> {
    #[serde(flatten)]
    pub cost: Option<T>,
    pub prices: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl<T> Priced<T> {
    /// Computes a cost. Returns `None` if nothing is known of the prices of this server.
    pub fn of(
        prices: Option<&Prices>,
        cost: impl FnOnce(&Prices) -> Result<T, NoPrice>,
    ) -> Option<Priced<T>> {
        let prices = prices?;
        let (cost, unknown) = match cost(prices) {
            Ok(cost) => (Some(cost), None),
            Err(err) => (None, Some(err.to_string())),
        };
        Some(Priced { cost, prices: prices.source.clone(), unknown })
    }

    /// Formats the cost, or says why it is not known.
    fn text(&self, format: impl FnOnce(&T) -> String) -> String {
        let unknown = self.unknown.as_deref().unwrap_or_default();
        self.cost.as_ref().map_or_else(|| format!("not known: {unknown}"), format)
    }
}

/// The cost of one backup.
#[derive(Debug, Serialize)]
pub struct UploadLine {
    pub requests: Dollars,
    pub month: Dollars,
    pub minimum: Dollars,
    pub minimum_days: u32,
}

impl From<UploadCost> for UploadLine {
    fn from(cost: UploadCost) -> UploadLine {
        let UploadCost { requests, month, minimum, minimum_days } = cost;
        UploadLine { requests, month, minimum, minimum_days }
    }
}

pub fn upload_text(line: &Priced<UploadLine>) -> String {
    let source = &line.prices;
    line.text(|UploadLine { requests, month, minimum, minimum_days }| {
        let least = match minimum_days {
            0 => String::new(),
            days => format!(", {minimum} for the minimum of {days} days"),
        };
        format!("{requests} to upload, then {month} a month{least} ({source})")
    })
}

/// Savings and charges of a prune.
#[derive(Debug, Serialize)]
pub struct PruneCostLine {
    pub saved_month: Dollars,
    pub early_deletion: Dollars,
}

impl From<PruneCost> for PruneCostLine {
    fn from(PruneCost { saved_month, early }: PruneCost) -> PruneCostLine {
        PruneCostLine { saved_month, early_deletion: early }
    }
}

pub fn prune_text(line: &Priced<PruneCostLine>) -> String {
    let source = &line.prices;
    line.text(|PruneCostLine { saved_month, early_deletion }| {
        format!("saves {saved_month} a month; early deletion costs {early_deletion} ({source})")
    })
}

/// The cost of the requests of a thaw.
#[derive(Debug, Serialize)]
pub struct ThawCostLine {
    pub thaw: Dollars,
    pub copies: Dollars,
    /// Longest time until all is readable.
    pub hours: u32,
}

pub fn thaw_text(line: &Priced<ThawCostLine>) -> String {
    let source = &line.prices;
    line.text(|ThawCostLine { thaw, copies, hours }| {
        format!("{thaw} to thaw, {copies} for the copies, at most {hours} h ({source})")
    })
}

/// The cost of a restore.
#[derive(Debug, Serialize)]
pub struct RestoreCostLine {
    pub standard: TierLine,
    pub bulk: TierLine,
    pub thaw_days: u32,
}

#[derive(Debug, Serialize)]
pub struct TierLine {
    pub thaw: Dollars,
    pub copies: Dollars,
    pub download: Dollars,
    pub total: Dollars,
}

impl RestoreCostLine {
    pub fn of(cost: &RestoreCost, terms: CostTerms) -> RestoreCostLine {
        let tier = |of_tier: ThawCost| TierLine {
            thaw: of_tier.thaw,
            copies: of_tier.copies,
            download: cost.download,
            total: total(of_tier, cost.download),
        };
        let (standard, bulk) = (tier(cost.standard), tier(cost.bulk));
        RestoreCostLine { standard, bulk, thaw_days: terms.days }
    }
}

/// Formats a table of what each tier costs.
pub fn restore_text(line: &Priced<RestoreCostLine>) -> String {
    let source = &line.prices;
    let text = line.text(|RestoreCostLine { standard, bulk, thaw_days }| {
        let copies = format!("copies for {}", Count(u64::from(*thaw_days), "day"));
        let row = |name: &str, of: fn(&TierLine) -> Dollars| {
            [name.to_owned(), of(standard).to_string(), of(bulk).to_string()]
        };
        let rows = [
            row("thaw", |tier| tier.thaw),
            row(&copies, |tier| tier.copies),
            row("download", |tier| tier.download),
            row("total", |tier| tier.total),
        ];
        format!("{}prices: {source}\n", table(["COST", "STANDARD", "BULK"], rows))
    });
    if line.cost.is_some() { format!("\n{text}") } else { format!("cost: {text}\n") }
}

#[cfg(test)]
mod tests {
    use btrfs_to_s3::prices::{ClassPrices, list_prices};

    use super::*;

    #[test]
    fn a_cost_that_is_not_known_says_why() {
        let prices = list_prices();
        let upload = |class| {
            let sizes =
                btrfs_to_s3::prices::UploadSizes { part_bytes: 1 << 25, chunk_bytes: 1 << 35 };
            let cost = |prices: &Prices| prices.upload(5 << 40, class, sizes).map(UploadLine::from);
            Priced::of(Some(&prices), cost).unwrap()
        };

        assert_eq!(
            upload_text(&upload("DEEP_ARCHIVE")),
            "$0.83 to upload, then $5.07 a month, $30.41 for the minimum of 180 days \
             (AWS us-east-1, 2025-06)"
        );
        assert_eq!(
            upload_text(&upload("STANDARD")),
            "$0.82 to upload, then $117.76 a month (AWS us-east-1, 2025-06)"
        );
        assert_eq!(
            upload_text(&upload("OTHER")),
            "not known: `prices.classes` has no price for an object of the class OTHER"
        );
        assert!(Priced::of(None, |_| Ok(())).is_none());
        let json = serde_json::to_value(upload("OTHER")).unwrap();
        assert_eq!(json["prices"], "AWS us-east-1, 2025-06");
        assert!(json["unknown"].as_str().unwrap().contains("OTHER"));
        assert_eq!(serde_json::to_value(upload("STANDARD")).unwrap()["minimum_days"], 0);
        assert_eq!(ClassPrices::default().thaw_standard, None);
    }
}
