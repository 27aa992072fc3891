//! The snapshots of this host: where they lie, what is known of each, which go.

pub mod cleanup;
pub mod dir;
pub mod leftover;
pub mod received_parent;
pub mod record;
