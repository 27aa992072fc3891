//! Decides the kind of a YAML scalar without quotes: null, a boolean, a number or
//! text.
//!
//! This is the core schema of YAML 1.2
//! (<https://yaml.org/spec/1.2.2/#1032-tag-resolution>) with one exception: a
//! number with leading zeros is text, because parsers disagree on whether `0644`
//! is octal.

use super::tree::{NodeKind, Scalar};

pub(super) fn resolve(text: &str) -> Scalar {
    let (kind, text) = match text {
        "" | "~" | "null" | "Null" | "NULL" => (NodeKind::Null, String::new()),
        _ if boolean(text).is_some() => (NodeKind::Bool, text.to_lowercase()),
        _ => match integer(text) {
            Some(number) => (NodeKind::Integer, number.to_string()),
            None if float(text).is_some() => (NodeKind::Float, text.to_owned()),
            None => (NodeKind::Text, text.to_owned()),
        },
    };
    Scalar { text, kind }
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

pub(super) fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, radix) = match digits.get(..2) {
        Some("0x") => (&digits[2..], 16),
        Some("0o") => (&digits[2..], 8),
        Some(_) if digits.starts_with('0') => return None,
        Some(_) | None => (digits, 10),
    };
    // Otherwise `from_str_radix` would accept a second sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if text.starts_with('-') { -number } else { number })
}

pub(super) fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    match digits {
        ".inf" | ".Inf" | ".INF" => {
            Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => {
            let numeric = |c: char| c.is_ascii_digit() || ".eE+-".contains(c);
            let zeros =
                digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
            if !digits.chars().all(numeric) || zeros {
                return None;
            }
            text.parse().ok().filter(|number: &f64| number.is_finite())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_scalars_have_the_kind_of_the_core_schema() {
        use NodeKind::*;
        #[rustfmt::skip]
        let cases = [
            ("",        Null,    ""),        ("~",      Null,    ""),
            ("null",    Null,    ""),        ("nULL",   Text,    "nULL"),
            ("true",    Bool,    "true"),    ("FALSE",  Bool,    "false"),
            ("yes",     Text,    "yes"),     ("on",     Text,    "on"),
            ("0",       Integer, "0"),       ("-0",     Integer, "0"),
            ("12",      Integer, "12"),      ("-12",    Integer, "-12"),
            ("+12",     Integer, "12"),      ("0x1F",   Integer, "31"),
            ("0o17",    Integer, "15"),      ("0644",   Text,    "0644"),
            ("1_000",   Text,    "1_000"),   ("+-1",    Text,    "+-1"),
            ("0x-1",    Text,    "0x-1"),    ("0x",     Text,    "0x"),
            ("1.5",     Float,   "1.5"),     ("-1e3",   Float,   "-1e3"),
            ("0.5",     Float,   "0.5"),     ("00.5",   Text,    "00.5"),
            (".5",      Float,   ".5"),      (".inf",   Float,   ".inf"),
            ("inf",     Text,    "inf"),     ("nan",    Text,    "nan"),
            (".",       Text,    "."),       ("-",      Text,    "-"),
            ("1e999",   Text,    "1e999"),   ("02:00",  Text,    "02:00"),
            ("26h",     Text,    "26h"),     ("1.2.3",  Text,    "1.2.3"),
        ];
        for (text, kind, want) in cases {
            assert_eq!(resolve(text), Scalar { text: want.to_owned(), kind }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_printed_number_parses_to_itself(integer_ in any::<i64>(), float_ in -1e300..1e300f64) {
            prop_assert_eq!(integer(&integer_.to_string()), Some(i128::from(integer_)));
            prop_assert_eq!(float(&format!("{float_:?}")), Some(float_));
        }
    }
}
