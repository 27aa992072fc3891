//! The calls of the API, one file for each.

pub(crate) mod backup_report;
pub(crate) mod clients;
pub(crate) mod download;
pub(crate) mod exists_many;
pub(crate) mod exists_one;
pub(crate) mod fleet;
pub(crate) mod freeze;
pub(crate) mod health;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod patch_file;
pub(crate) mod post_batch;
pub(crate) mod post_form;
pub(crate) mod proof;
pub(crate) mod put_file;
pub(crate) mod ready;
pub(crate) mod versions;
