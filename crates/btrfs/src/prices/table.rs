//! The price table.

use std::collections::BTreeMap;

use s3up_store::Tier;

/// A price table, in dollars.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// Origin of the prices. It is printed beside each cost.
    pub source: String,
    /// Download of a GiB to this host.
    pub transfer_gib: f64,
    /// 1,000 GET requests.
    pub get_1000: f64,
    /// 1,000 requests that upload a part or a document.
    pub put_1000: f64,
    pub classes: BTreeMap<String, ClassPrices>,
}

/// The prices of a storage class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClassPrices {
    /// A GiB for a month.
    pub gib_month: f64,
    /// 1,000 requests that complete an object.
    pub put_1000: f64,
    /// To read a GiB, in addition to its transfer.
    pub read_gib: f64,
    pub thaw_standard: Option<ThawPrice>,
    pub thaw_bulk: Option<ThawPrice>,
    pub thaw_expedited: Option<ThawPrice>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ThawPrice {
    pub gib: f64,
    /// 1,000 requests.
    pub request_1000: f64,
}

/// A price that is not in the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`prices.classes` has no price for {what} of the class {class}")]
pub struct NoPrice {
    pub class: String,
    pub what: &'static str,
}

impl Prices {
    pub fn class(&self, class: &str) -> Result<&ClassPrices, NoPrice> {
        self.classes
            .get(class)
            .ok_or_else(|| NoPrice { class: class.to_owned(), what: "an object" })
    }
}

impl ClassPrices {
    pub fn thaw(&self, tier: Tier) -> Option<ThawPrice> {
        match tier {
            Tier::Standard => self.thaw_standard,
            Tier::Bulk => self.thaw_bulk,
            Tier::Expedited => self.thaw_expedited,
        }
    }
}
