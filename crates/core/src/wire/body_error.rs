//! The rules that the bodies of heartbeats and of both kinds of reports share. Texts and lists have limits,
//! because the gateway stores them.

/// Maximum length of each text: three times the longest path of Linux, for an escaped one.
pub const TEXT_BYTES_MAX: usize = 3 * 4096;

/// A rule that a heartbeat or a report breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("`version`: expected {expected}, found {found}")]
    Version { expected: u32, found: u32 },
    #[error("`{field}`: expected at most {TEXT_BYTES_MAX} bytes, found {found}")]
    TextTooLong { field: &'static str, found: usize },
    #[error("`{field}`: expected a text without the character NUL, found one with it")]
    Nul { field: &'static str },
    #[error("`{field}`: expected at most {at_most} of them, found {found}")]
    TooMany { field: &'static str, at_most: usize, found: usize },
}

pub(super) fn check_version(found: u32, expected: u32) -> Result<(), BodyError> {
    if found == expected { Ok(()) } else { Err(BodyError::Version { expected, found }) }
}

pub(super) fn check_text(field: &'static str, text: Option<&str>) -> Result<(), BodyError> {
    match text.map_or(0, str::len) {
        found if found > TEXT_BYTES_MAX => Err(BodyError::TextTooLong { field, found }),
        // PostgreSQL stores no NUL.
        _ if text.is_some_and(|text| text.contains('\0')) => Err(BodyError::Nul { field }),
        _ => Ok(()),
    }
}

pub(super) fn check_count(
    field: &'static str,
    found: usize,
    at_most: usize,
) -> Result<(), BodyError> {
    if found > at_most { Err(BodyError::TooMany { field, at_most, found }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_limit_and_no_nul() {
        let long = "a".repeat(TEXT_BYTES_MAX + 1);
        let found = long.len();
        #[rustfmt::skip]
        let cases = [
            (None,                           Ok(())),
            (Some("a watch"),                Ok(())),
            (Some(&long[1..]),               Ok(())),
            (Some(long.as_str()),            Err(BodyError::TextTooLong { field: "f", found })),
            (Some("a\0b"),                   Err(BodyError::Nul { field: "f" })),
        ];
        for (text, want) in cases {
            assert_eq!(check_text("f", text), want);
        }
    }
}
