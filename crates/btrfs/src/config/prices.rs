//! `[prices]`: the price table.
//!
//! On AWS every price has a default. For another server nothing is known, so the table must be complete:
//! a price that is missing would make a cost too low.

use s3up_cli::config::{ConfigError, Source};
use s3up_core::storage_class::StorageClass;

use super::raw;
use crate::prices::{ClassPrices, Prices, ThawPrice, list_prices};

/// Returns the price table; `None` if nothing is known of the prices of this server.
pub(super) fn prices(
    raw: &raw::Prices,
    is_aws: bool,
    source: &Source,
) -> Result<Option<Prices>, ConfigError> {
    let any_number = [raw.transfer_gib, raw.get_1000, raw.put_1000].iter().any(Option::is_some);
    if !is_aws && !any_number && raw.source.is_none() && raw.classes.is_none() {
        return Ok(None);
    }
    let table = Table { source, base: is_aws.then(list_prices) };
    let base = table.base.as_ref();
    let mut classes = base.map(|base| base.classes.clone()).unwrap_or_default();
    for (name, raw) in raw.classes.iter().flatten() {
        if StorageClass::find(name).is_none() {
            let what = format!("expected a storage class of S3, found {name:?}");
            return Err(source.invalid("prices.classes", what));
        }
        let prices = table.class(name, raw, classes.get(name))?;
        classes.insert(name.clone(), prices);
    }
    if classes.is_empty() {
        return Err(table.missing("prices.classes"));
    }
    let number = |key, value, base: Option<f64>| table.number(key, value, base);
    let named = raw.source.clone().or_else(|| base.map(|base| base.source.clone()));
    Ok(Some(Prices {
        source: named.ok_or_else(|| table.missing("prices.source"))?,
        transfer_gib: number(
            "prices.transfer_gib",
            raw.transfer_gib,
            base.map(|base| base.transfer_gib),
        )?,
        get_1000: number("prices.get_1000", raw.get_1000, base.map(|base| base.get_1000))?,
        put_1000: number("prices.put_1000", raw.put_1000, base.map(|base| base.put_1000))?,
        classes,
    }))
}

struct Table<'a> {
    source: &'a Source,
    /// The prices of what the file does not set.
    base: Option<Prices>,
}

impl Table<'_> {
    fn missing(&self, key: &str) -> ConfigError {
        let what =
            "is missing: for another server than AWS (`s3.endpoint`), all prices must be set";
        self.source.invalid(key, what)
    }

    fn number(&self, key: &str, value: Option<f64>, base: Option<f64>) -> Result<f64, ConfigError> {
        let price = value.or(base).ok_or_else(|| self.missing(key))?;
        if price.is_finite() && price >= 0.0 {
            return Ok(price);
        }
        Err(self.source.invalid(key, format_args!("expected a price of at least 0, found {price}")))
    }

    fn class(
        &self,
        name: &str,
        raw: &raw::ClassPrices,
        base: Option<&ClassPrices>,
    ) -> Result<ClassPrices, ConfigError> {
        let key = |field: &str| format!("prices.classes.{name}.{field}");
        let thaw = |tier: &str, gib, request_1000, base: Option<ThawPrice>| {
            let (gib_key, request_key) =
                (key(&format!("thaw_{tier}_gib")), key(&format!("thaw_{tier}_1000")));
            match (gib, request_1000, base) {
                (None, None, base) => Ok(base),
                (gib, request_1000, base) => Ok(Some(ThawPrice {
                    gib: self.number(&gib_key, gib, base.map(|base| base.gib))?,
                    request_1000: self.number(
                        &request_key,
                        request_1000,
                        base.map(|base| base.request_1000),
                    )?,
                })),
            }
        };
        let of_base = |price: fn(&ClassPrices) -> f64| base.map(price);
        let thaw_of = |price: fn(&ClassPrices) -> Option<ThawPrice>| base.and_then(price);
        Ok(ClassPrices {
            gib_month: self.number(
                &key("gib_month"),
                raw.gib_month,
                of_base(|base| base.gib_month),
            )?,
            put_1000: self.number(&key("put_1000"), raw.put_1000, of_base(|base| base.put_1000))?,
            read_gib: self.number(&key("read_gib"), raw.read_gib, of_base(|base| base.read_gib))?,
            thaw_standard: thaw(
                "standard",
                raw.thaw_standard_gib,
                raw.thaw_standard_1000,
                thaw_of(|base| base.thaw_standard),
            )?,
            thaw_bulk: thaw(
                "bulk",
                raw.thaw_bulk_gib,
                raw.thaw_bulk_1000,
                thaw_of(|base| base.thaw_bulk),
            )?,
            thaw_expedited: thaw(
                "expedited",
                raw.thaw_expedited_gib,
                raw.thaw_expedited_1000,
                thaw_of(|base| base.thaw_expedited),
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, parse};
    use super::*;

    const ENDPOINT: &str = "endpoint = \"https://s3.example.org\"\n";
    const OTHER: &str = "[prices]\nsource = \"Example, 2026\"\ntransfer_gib = 0.0\nget_1000 = 0.0\n\
                         put_1000 = 0.0\n[prices.classes.STANDARD]\ngib_month = 0.006\n\
                         put_1000 = 0.0\nread_gib = 0.0\n";

    fn of(text: &str) -> Result<Option<Prices>, String> {
        parse(&format!("{LEAST}{text}"))
            .map(|config| config.bucket.prices)
            .map_err(|err| err.to_string())
    }

    #[test]
    fn on_aws_every_price_has_a_default_and_can_be_set() {
        assert_eq!(of(""), Ok(Some(list_prices())));

        let text = "[prices]\nsource = \"ours\"\ntransfer_gib = 0\n\
                    [prices.classes]\nDEEP_ARCHIVE = { gib_month = 0.002, thaw_bulk_gib = 0.01 }\n";
        let ours = of(text).unwrap().unwrap();

        assert_eq!((&*ours.source, ours.transfer_gib, ours.get_1000), ("ours", 0.0, 0.0004));
        let class = &ours.classes["DEEP_ARCHIVE"];
        let list = &list_prices().classes["DEEP_ARCHIVE"];
        assert_eq!((class.gib_month, class.put_1000), (0.002, list.put_1000));
        assert_eq!(class.thaw_bulk, Some(ThawPrice { gib: 0.01, request_1000: 0.025 }));
        assert_eq!(class.thaw_standard, list.thaw_standard);
        assert_eq!(ours.classes["GLACIER"], list_prices().classes["GLACIER"]);
    }

    #[test]
    fn another_server_has_no_prices_or_all_of_them() {
        assert_eq!(of(ENDPOINT), Ok(None));
        let other = of(&format!("{ENDPOINT}{OTHER}")).unwrap().unwrap();
        assert_eq!(other.classes.keys().collect::<Vec<_>>(), ["STANDARD"]);
        for line in OTHER.lines().filter(|line| line.contains(" = ")) {
            let (key, _) = line.split_once(" = ").unwrap();
            let without = OTHER.replacen(&format!("{line}\n"), "", 1);
            let err = of(&format!("{ENDPOINT}{without}")).unwrap_err();
            assert!(err.contains(key) && err.contains("all prices must be set"), "{line}: {err}");
        }
    }

    #[test]
    fn a_wrong_price_is_refused() {
        for (text, want) in [
            (
                "transfer_gib = -1.0",
                "prices.transfer_gib: expected a price of at least 0, found -1",
            ),
            ("get_1000 = nan", "prices.get_1000"),
            (
                "classes = { COLD = { gib_month = 1.0 } }",
                "expected a storage class of S3, found \"COLD\"",
            ),
            ("classes = { GLACIER = { gib_mont = 1.0 } }", "gib_mont"),
            ("classes = { GLACIER = { gib_month = -1.0 } }", "prices.classes.GLACIER.gib_month"),
        ] {
            let err = of(&format!("[prices]\n{text}\n")).unwrap_err();
            assert!(err.contains(want), "{text}: {err}");
        }
    }
}
