//! The files that the gateway has: page by page, as they are or as they were at a time.
//!
//! [`pages::Pages`] asks the gateway. [`at_time`] finds the files of an earlier time among their
//! versions, [`local_names`] says under which name a file is restored, and [`name_pattern`] which names
//! a glob matches; these are pure.

pub mod at_time;
pub mod file_metadata;
pub mod local_names;
pub mod name_pattern;
pub mod pages;
pub mod remote_file;
pub mod versioning;
