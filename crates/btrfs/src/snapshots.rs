//! The snapshots of this host: their directory, their records, and which of them are removed.

pub mod cleanup;
pub mod dir;
pub mod leftover;
pub mod received_parent;
pub mod record;
