use super::*;

const TIB: u64 = 1 << 40;
const DAY: i64 = 86_400;

const SIZES: UploadSizes = UploadSizes { part_bytes: 32 << 20, chunk_bytes: 200 << 30 };

fn cents(amount: Dollars) -> i64 {
    (amount.0 * 100.0).round() as i64
}

fn archived(class: &str, requests: usize, bytes: u64) -> ArchivedBytes {
    ArchivedBytes { class: class.to_owned(), requests, bytes }
}

/// The numbers of docs/cost.md.
#[test]
fn the_example_of_5_tib() {
    let prices = list_prices();

    let full = prices.upload(5 * TIB, "DEEP_ARCHIVE", SIZES).unwrap();
    let all = [archived("DEEP_ARCHIVE", 26, 5 * TIB)];
    let standard = prices.thaw(&all, Tier::Standard, 14).unwrap();
    let bulk = prices.thaw(&all, Tier::Bulk, 14).unwrap();
    let download = prices.download([("DEEP_ARCHIVE", 5 * TIB)], 32 << 20).unwrap();

    assert_eq!((cents(full.requests), cents(full.month)), (82, 507));
    assert_eq!((cents(full.minimum), full.minimum_days), (3041, 180));
    assert_eq!((cents(standard.thaw), cents(standard.copies)), (10_240, 5495));
    assert_eq!((cents(bulk.thaw), cents(bulk.copies)), (1280, 5495));
    assert_eq!(cents(download), 46_087);
}

#[test]
fn a_thaw_costs_by_class_and_tier() {
    let prices = list_prices();
    let gib = 100 << 30;
    #[rustfmt::skip]
    let cases = [
        // archived                            tier             days  thaw   copies, in cents
        (archived("DEEP_ARCHIVE", 1000, gib), Tier::Standard,  30,   210,   230),
        (archived("DEEP_ARCHIVE", 1000, gib), Tier::Bulk,      15,   28,    115),
        (archived("GLACIER", 1000, gib),      Tier::Standard,  30,   105,   230),
        (archived("GLACIER", 1000, gib),      Tier::Bulk,      30,   0,     230),
        (archived("GLACIER", 1000, gib),      Tier::Expedited, 30,   1300,  230),
        (archived("GLACIER", 0, gib),         Tier::Expedited, 30,   0,     0),
    ];
    for (archived, tier, days, thaw, copies) in cases {
        let cost = prices.thaw(std::slice::from_ref(&archived), tier, days).unwrap();
        assert_eq!((cents(cost.thaw), cents(cost.copies)), (thaw, copies), "{archived:?} {tier:?}");
    }
}

#[test]
fn an_early_deletion_costs_the_rest_of_the_minimum_time() {
    let now = Timestamp::from_second(1_000 * DAY).unwrap();
    let aged = |class, days: i64| DeletedObject {
        class,
        bytes: TIB,
        modified_at: Timestamp::from_second((1_000 - days) * DAY).unwrap(),
    };
    #[rustfmt::skip]
    let cases = [
        // object                    saved a month  early, in cents
        (aged("DEEP_ARCHIVE", 0),    101,           608),
        (aged("DEEP_ARCHIVE", 90),   101,           304),
        (aged("DEEP_ARCHIVE", 180),  101,           0),
        (aged("DEEP_ARCHIVE", 400),  101,           0),
        // A clock that is ahead.
        (aged("DEEP_ARCHIVE", -9),   101,           608),
        (aged("STANDARD", 0),        2355,          0),
    ];
    for (object, saved, early) in cases {
        let cost = list_prices().prune([object], now).unwrap();
        assert_eq!((cents(cost.saved_month), cents(cost.early)), (saved, early), "{object:?}");
    }
}

#[test]
fn a_class_without_a_price_never_costs_nothing() {
    let prices = list_prices();
    let other = archived("OTHER", 1, TIB);

    assert!(prices.upload(TIB, "OTHER", SIZES).is_err());
    assert!(prices.thaw(&[other], Tier::Bulk, 1).is_err());
    assert!(prices.download([("OTHER", TIB)], 1).is_err());
    let expedited = prices.thaw(&[archived("DEEP_ARCHIVE", 1, TIB)], Tier::Expedited, 1);
    let says = expedited.unwrap_err().to_string();
    assert_eq!(
        says,
        "`prices.classes` has no price for a thaw with this tier of the class DEEP_ARCHIVE"
    );
}

#[test]
fn nothing_costs_nothing() {
    let prices = list_prices();

    assert_eq!(prices.thaw(&[], Tier::Standard, 14).unwrap(), ThawCost::default());
    assert_eq!(prices.prune([], Timestamp::UNIX_EPOCH).unwrap(), PruneCost::default());
    assert_eq!(prices.upload(0, "STANDARD", SIZES).unwrap().requests, Dollars(0.0));
}
