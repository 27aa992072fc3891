//! Admin keys: they read the state of all clients, and can neither store nor read a file.

use s3up_core::Sha256Digest;
use subtle::ConstantTimeEq;

/// The digests of all admin keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminKeys(Vec<Sha256Digest>);

impl AdminKeys {
    pub(crate) fn new(keys: Vec<Sha256Digest>) -> AdminKeys {
        AdminKeys(keys)
    }

    pub(crate) fn digests(&self) -> impl Iterator<Item = &Sha256Digest> {
        self.0.iter()
    }

    /// Returns true if this is one of the keys. An unknown key takes the same steps.
    pub(crate) fn contains(&self, key: &str) -> bool {
        let presented = Sha256Digest::of(key.as_bytes());
        let equal = |known: &Sha256Digest| bool::from(known.0.ct_eq(&presented.0));
        self.0.iter().fold(false, |found, known| found | equal(known))
    }
}
