//! Probes of a server: calls whose only purpose is to learn its capabilities, and what
//! these mean for the guarantees.

mod bucket;
mod checksums;
pub(crate) mod conditions;
pub(crate) mod expiry;
pub(crate) mod findings;
pub(crate) mod lifecycle;
mod parts;
pub(crate) mod upload;
