//! What the test helpers promise.

mod btrfs;
mod processes;
mod stand_in;
mod trees;
