//! Costs of uploads, thaws, downloads and deletions, by a price table. Pure.
//!
//! A cost is an estimate: it knows no free tier, no discount for large amounts and no tax, and AWS
//! changes its prices. A class without a price is an error and never costs nothing.

mod aws;
mod dollars;
mod table;

use jiff::Timestamp;
use s3up_core::storage_class::StorageClass;
use s3up_store::Tier;

pub use self::aws::list_prices;
pub use self::dollars::Dollars;
pub use self::table::{ClassPrices, NoPrice, Prices, ThawPrice};

const GIB: f64 = (1_u64 << 30) as f64;
/// Days of a month of the bill.
const MONTH_DAYS: f64 = 30.0;
const DAY_SECONDS: f64 = 86_400.0;
/// Class of copies that a thaw makes.
const COPY_CLASS: &str = "STANDARD";

/// The cost of one upload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UploadCost {
    pub requests: Dollars,
    pub month: Dollars,
    /// Storage for the time that S3 charges at least.
    pub minimum: Dollars,
    pub minimum_days: u32,
}

/// The sizes that an upload is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadSizes {
    pub part_bytes: u64,
    pub chunk_bytes: u64,
}

/// Archived objects of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedBytes {
    pub class: String,
    /// Objects whose thaw is not requested yet.
    pub requests: usize,
    pub bytes: u64,
}

/// The cost of a thaw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ThawCost {
    pub thaw: Dollars,
    /// The copies, for the time that they stay.
    pub copies: Dollars,
}

/// An object that a prune deletes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeletedObject<'a> {
    pub class: &'a str,
    pub bytes: u64,
    pub modified_at: Timestamp,
}

/// The cost of a prune.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PruneCost {
    /// Storage that is no longer paid.
    pub saved_month: Dollars,
    /// Charge for objects that are younger than the minimum time of their class.
    pub early: Dollars,
}

impl Prices {
    /// Returns the cost of one stream of this length.
    pub fn upload(
        &self,
        bytes: u64,
        class: &str,
        sizes: UploadSizes,
    ) -> Result<UploadCost, NoPrice> {
        let prices = self.class(class)?;
        let parts = bytes.div_ceil(sizes.part_bytes.max(1)) as f64;
        let chunks = bytes.div_ceil(sizes.chunk_bytes.max(1)) as f64;
        let month = gib(bytes) * prices.gib_month;
        let days = minimum_days(class);
        Ok(UploadCost {
            requests: Dollars(parts * self.put_1000 / 1e3 + chunks * prices.put_1000 / 1e3),
            month: Dollars(month),
            minimum: Dollars(month * f64::from(days) / MONTH_DAYS),
            minimum_days: days,
        })
    }

    /// Returns the cost of thawing all of these, and of their copies.
    pub fn thaw(
        &self,
        archived: &[ArchivedBytes],
        tier: Tier,
        days: u32,
    ) -> Result<ThawCost, NoPrice> {
        let mut cost = ThawCost::default();
        for ArchivedBytes { class, requests, bytes } in archived.iter().filter(|it| it.requests > 0)
        {
            let price = self
                .class(class)?
                .thaw(tier)
                .ok_or_else(|| NoPrice { class: class.clone(), what: "a thaw with this tier" })?;
            let copies = gib(*bytes) * self.class(COPY_CLASS)?.gib_month;
            cost.thaw.0 += gib(*bytes) * price.gib + *requests as f64 * price.request_1000 / 1e3;
            cost.copies.0 += copies * f64::from(days) / MONTH_DAYS;
        }
        Ok(cost)
    }

    /// Returns the cost of reading these bytes of each class, in requests of one part.
    pub fn download<'a>(
        &self,
        bytes_by_class: impl IntoIterator<Item = (&'a str, u64)>,
        part_bytes: u64,
    ) -> Result<Dollars, NoPrice> {
        let mut cost = 0.0;
        for (class, bytes) in bytes_by_class {
            let per_gib = self.transfer_gib + self.class(class)?.read_gib;
            let requests = bytes.div_ceil(part_bytes.max(1)) as f64;
            cost += gib(bytes) * per_gib + requests * self.get_1000 / 1e3;
        }
        Ok(Dollars(cost))
    }

    /// Returns what deleting these objects saves and costs.
    pub fn prune<'a>(
        &self,
        objects: impl IntoIterator<Item = DeletedObject<'a>>,
        now: Timestamp,
    ) -> Result<PruneCost, NoPrice> {
        let mut cost = PruneCost::default();
        for object in objects {
            let month = gib(object.bytes) * self.class(object.class)?.gib_month;
            let age = now.duration_since(object.modified_at).as_secs_f64() / DAY_SECONDS;
            let rest = (f64::from(minimum_days(object.class)) - age.max(0.0)).max(0.0);
            cost.saved_month.0 += month;
            cost.early.0 += month * rest / MONTH_DAYS;
        }
        Ok(cost)
    }
}

/// Returns the number of days for which S3 charges for an object at least.
fn minimum_days(class: &str) -> u32 {
    StorageClass::find(class).map_or(0, |class| class.min_age_days)
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / GIB
}

#[cfg(test)]
mod tests;
