//! Downloads: what to fetch (`get`), one range of an object (`range`), and whole
//! objects in order (`sequence`).

pub(crate) mod get;
mod range;
pub(crate) mod sequence;
