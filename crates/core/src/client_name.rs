//! The name of a client of the gateway. It is also part of the keys of its files:
//! `{prefix}{client}/{path}`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A checked client name: `[a-z0-9][a-z0-9._-]{0,62}`. Lower case only, so that
/// no two names differ only in case; never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(String);

/// Length of a DNS label, so that every host name without its domain is a client name.
const CLIENT_NAME_BYTES_MAX: usize = 63;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "client name {0:?}: expected 1 to 63 characters of a-z, 0-9, \".\", \"_\" and \"-\", \
     starting with a letter or digit"
)]
pub struct ClientNameError(String);

impl ClientName {
    pub fn parse(text: &str) -> Result<ClientName, ClientNameError> {
        let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let rest = |b: &u8| alnum(b) || b"._-".contains(b);
        let bytes = text.as_bytes();
        let good = bytes.first().is_some_and(alnum)
            && bytes.iter().all(rest)
            && bytes.len() <= CLIENT_NAME_BYTES_MAX;
        if good { Ok(ClientName(text.to_owned())) } else { Err(ClientNameError(text.to_owned())) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClientName {
    type Error = ClientNameError;

    fn try_from(text: String) -> Result<ClientName, ClientNameError> {
        ClientName::parse(&text)
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        let longest = "a".repeat(CLIENT_NAME_BYTES_MAX);
        for good in ["a", "0", "webapp-prod", "a.b_c-d", "9..", &longest] {
            assert_eq!(ClientName::parse(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(CLIENT_NAME_BYTES_MAX + 1);
        for bad in ["", ".", "..", "-a", "_a", "A", "webApp", "a/b", "a b", "\u{e9}", &too_long] {
            assert!(ClientName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
