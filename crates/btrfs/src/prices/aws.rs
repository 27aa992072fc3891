//! The list prices of AWS in us-east-1, from <https://aws.amazon.com/s3/pricing/>.
//!
//! They are the defaults of `[prices]`. Nothing asks AWS for them.

use super::table::{ClassPrices, Prices, ThawPrice};

/// Region and date of the prices below.
const SOURCE: &str = "AWS us-east-1, 2025-06";

/// Returns the list prices of AWS that this version knows.
pub fn list_prices() -> Prices {
    let class = |gib_month, put_1000, read_gib| ClassPrices {
        gib_month,
        put_1000,
        read_gib,
        ..ClassPrices::default()
    };
    let thaw = |gib, request_1000| Some(ThawPrice { gib, request_1000 });
    #[rustfmt::skip]
    let classes = [
        //                       GiB, month  1,000 PUT  read a GiB
        ("STANDARD",            class(0.023,   0.005, 0.0)),
        ("INTELLIGENT_TIERING", class(0.023,   0.005, 0.0)),
        ("STANDARD_IA",         class(0.0125,  0.01,  0.01)),
        ("ONEZONE_IA",          class(0.01,    0.01,  0.01)),
        ("GLACIER_IR",          class(0.004,   0.02,  0.03)),
        ("GLACIER", ClassPrices {
            thaw_standard: thaw(0.01, 0.05),
            thaw_bulk: thaw(0.0, 0.0),
            thaw_expedited: thaw(0.03, 10.0),
            ..class(0.0036, 0.03, 0.0)
        }),
        ("DEEP_ARCHIVE", ClassPrices {
            thaw_standard: thaw(0.02, 0.1),
            thaw_bulk: thaw(0.0025, 0.025),
            ..class(0.00099, 0.05, 0.0)
        }),
    ];
    Prices {
        source: SOURCE.to_owned(),
        transfer_gib: 0.09,
        get_1000: 0.0004,
        put_1000: 0.005,
        classes: classes.map(|(name, prices)| (name.to_owned(), prices)).into(),
    }
}
