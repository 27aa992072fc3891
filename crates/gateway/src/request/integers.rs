//! Integers in JSON: `5.0` and `5e0` are the integer 5. Pure.
//!
//! JSON has one kind of number, and JSON Schema takes each one without a fraction for an integer. Some programs
//! write a whole number as `5.0`. The parser would refuse that, so a body that it refuses is read once more with
//! such numbers written as integers. All others are read once.

use serde::de::DeserializeOwned;

/// Maximum number of digits of an integer that a body can have: those of `u64::MAX`.
const DIGITS_MAX: usize = 20;

/// Parses a document in which an integer may have a fraction of zeros, or an exponent.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(text).or_else(|err| match with_integers(text) {
        Some(text) => serde_json::from_slice(&text),
        None => Err(err),
    })
}

/// Writes each number that is an integer as one. Returns `None` if there is nothing to change.
pub fn with_integers(text: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut rest, mut changed) = (Vec::with_capacity(text.len()), text, false);
    while let Some(first) = rest.first() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => rest.iter().take_while(|byte| is_of_number(**byte)).count(),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        match str::from_utf8(token).ok().and_then(integer) {
            Some(integer) => {
                out.extend_from_slice(integer.as_bytes());
                changed = true;
            }
            None => out.extend_from_slice(token),
        }
        rest = after;
    }
    changed.then_some(out)
}

fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}

/// Returns the length of the string at the start of `text`, with its quotes.
fn string_length(text: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = text.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Returns a number as an integer. `None`: it is none, it is too long, or it is written as one already.
fn integer(number: &str) -> Option<String> {
    let (sign, unsigned) = match number.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", number),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if fraction.is_none() && exponent.is_none() {
        return (number == "-0").then(|| "0".to_owned());
    }
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = are_digits(whole) && (whole.len() == 1 || !whole.starts_with('0'));
    if !is_number || !fraction.is_none_or(are_digits) {
        return None;
    }
    let exponent: i64 = exponent.map_or(Some(0), |text| text.parse().ok())?;
    let digits = format!("{whole}{}", fraction.unwrap_or_default());
    let digits = digits.trim_end_matches('0');
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let leading_zeros = digits.len() - significant.len();
    let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(leading_zeros).ok()?)?;
    let point = usize::try_from(point.checked_add(exponent)?).ok()?;
    let fits = significant.len() <= point && point <= DIGITS_MAX;
    fits.then(|| format!("{sign}{significant:0<point$}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        #[rustfmt::skip]
        let cases = [
            ("5",                       None),
            ("-0",                      Some("0")),
            ("5.0",                     Some("5")),
            ("5.000",                   Some("5")),
            ("-5.0",                    Some("-5")),
            ("0.0",                     Some("0")),
            ("-0.0",                    Some("0")),
            ("0e99999999999",           Some("0")),
            ("5e0",                     Some("5")),
            ("5E3",                     Some("5000")),
            ("1.25e+2",                 Some("125")),
            ("0.05e2",                  Some("5")),
            ("1200e-2",                 Some("12")),
            ("18446744073709551615.0",  Some("18446744073709551615")),
            ("1e19",                    Some("10000000000000000000")),
            ("1e20",                    None),
            ("1e999999999999999999",    None),
            ("5.5",                     None),
            ("1e-1",                    None),
            ("1.25e1",                  None),
            // None of them is a number.
            ("5.",                      None),
            (".0",                      None),
            ("05.0",                    None),
            ("5e",                      None),
            ("5.0.0",                   None),
            ("5-0",                     None),
            ("-",                       None),
            ("--5.0",                   None),
            ("+5.0",                    None),
        ];
        for (number, want) in cases {
            assert_eq!(integer(number).as_deref(), want, "{number}");
        }
    }

    #[test]
    fn only_the_numbers_of_a_document_change() {
        #[rustfmt::skip]
        let cases = [
            (r#"{"a": 5.0, "b": [1e1, -2.0]}"#,  Some(r#"{"a": 5, "b": [10, -2]}"#)),
            (r#"{"5.0": "5.0", "\"5.0": "\\"}"#, None),
            (r#"["\\", 5.0]"#,                   Some(r#"["\\", 5]"#)),
            (r#"["\", 5.0]"#,                    None),
            ("[5.5, 5]",                         None),
            ("",                                 None),
            ("5.0",                              Some("5")),
        ];
        for (text, want) in cases {
            let found = with_integers(text.as_bytes()).map(|text| String::from_utf8(text).unwrap());
            assert_eq!(found.as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_document_is_parsed_with_integers_and_refused_for_its_own_fault() {
        assert_eq!(parse::<Vec<u64>>(b"[5.0, 7]").unwrap(), [5, 7]);
        assert_eq!(parse::<(f64, u64)>(b"[0.5, 1e2]").unwrap(), (0.5, 100));
        let refused = parse::<Vec<u64>>(b"[5.5]").unwrap_err().to_string();
        assert!(refused.contains("floating point `5.5`"), "{refused}");
        let refused = parse::<Vec<u64>>(b"[5.0, -1.0]").unwrap_err().to_string();
        assert!(refused.contains("integer `-1`"), "{refused}");
    }

    proptest! {
        #[test]
        fn no_number_changes_its_value(text in "-?[0-9]{1,4}(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?") {
            let Some(after) = with_integers(text.as_bytes()) else { return Ok(()) };
            let after = String::from_utf8(after).unwrap();
            // Parsed by the standard library: that of JSON does not always find the nearest one.
            prop_assert_eq!(after.parse::<f64>().unwrap(), text.parse::<f64>().unwrap());
        }

        #[test]
        fn any_text_stays_what_it_is_to_a_parser(text in "[\\[\\]\",:{}\\\\ 0-9.e+-]{0,24}") {
            let Some(after) = with_integers(text.as_bytes()) else { return Ok(()) };
            let before = serde_json::from_str::<Value>(&text).is_ok();
            prop_assert_eq!(serde_json::from_slice::<Value>(&after).is_ok(), before, "{}", text);
        }
    }
}
