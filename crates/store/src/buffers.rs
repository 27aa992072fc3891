//! Part buffers and the digests of what is in them. Nothing here knows S3.

pub(crate) mod buffer;
mod fair_queue;
pub(crate) mod hashing;
mod idle_maps;
pub(crate) mod paired_hasher;
pub(crate) mod pool;
mod units;
