//! Buckets, objects and uploads: in memory, and in the directory on disk.

pub(crate) mod blob;
pub(crate) mod bucket;
pub(crate) mod disk;
mod load;
pub(crate) mod objects;
pub(crate) mod receive;
pub(crate) mod refusal;
pub(crate) mod restore;
pub(crate) mod store;
pub(crate) mod uploads;
