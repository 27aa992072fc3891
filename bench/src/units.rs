//! Units of the sizes in this crate.

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
