//! The model of S3: its objects and its rules, without any I/O.

pub(crate) mod archive;
pub(crate) mod assemble;
pub(crate) mod digest;
pub(crate) mod listing;
pub(crate) mod precondition;
pub(crate) mod record;
