//! Reads btrfs send streams.
