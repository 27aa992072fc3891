//! What the test helpers promise.

mod btrfs;
mod kill;
mod processes;
mod stand_in;
mod trees;
