//! What the test helpers promise.

mod btrfs;
mod trees;
