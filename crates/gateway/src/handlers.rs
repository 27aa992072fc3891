//! The calls of the API, one file for each.

pub(crate) mod download;
pub(crate) mod exists;
pub(crate) mod post_form;
pub(crate) mod put_file;
