//! The cost of a restore: the thaw by each tier, the copies that it makes, and the download. Pure.

use std::collections::BTreeMap;

use s3up_store::Tier;

use super::thaw_estimate::ArchivedChunks;
use crate::prices::{ArchivedBytes, Dollars, NoPrice, Prices, ThawCost};

/// The cost of a restore.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RestoreCost {
    pub standard: ThawCost,
    pub bulk: ThawCost,
    /// The thaw with the tier that is configured.
    pub configured: ThawCost,
    pub download: Dollars,
}

/// The settings that a cost depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostTerms {
    pub tier: Tier,
    /// Number of days that the copies stay.
    pub days: u32,
    pub part_bytes: u64,
}

impl RestoreCost {
    /// Returns the cost of these thaws, and of this download in bytes by storage class.
    pub fn of(
        thaw: &[ArchivedChunks],
        download: &BTreeMap<String, u64>,
        prices: &Prices,
        terms: CostTerms,
    ) -> Result<RestoreCost, NoPrice> {
        let archived: Vec<_> = thaw.iter().map(to_request).collect();
        let thaw = |tier| prices.thaw(&archived, tier, terms.days);
        let bytes = download.iter().map(|(class, bytes)| (class.as_str(), *bytes));
        Ok(RestoreCost {
            standard: thaw(Tier::Standard)?,
            bulk: thaw(Tier::Bulk)?,
            configured: thaw(terms.tier)?,
            download: prices.download(bytes, terms.part_bytes)?,
        })
    }

    /// Returns the sum with the tier that is configured.
    pub fn total(&self) -> Dollars {
        total(self.configured, self.download)
    }
}

pub fn total(thaw: ThawCost, download: Dollars) -> Dollars {
    thaw.thaw + thaw.copies + download
}

fn to_request(archived: &ArchivedChunks) -> ArchivedBytes {
    ArchivedBytes {
        class: archived.storage_class.clone(),
        requests: archived.requests,
        bytes: archived.request_bytes,
    }
}
