//! The settings that a running gateway cannot change.

use std::fmt;

/// The name of each such key, with its value.
#[derive(Clone)]
pub(crate) struct FixedSettings(pub Vec<(&'static str, String)>);

impl FixedSettings {
    /// Returns the names of the keys whose value differs.
    pub(crate) fn differences(&self, other: &FixedSettings) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(before, after)| before != after).map(|(_, (name, _))| *name).collect()
    }
}

/// The URL of a database may contain a password.
impl fmt::Debug for FixedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
