//! The spool: two keys of `[global]`, and one of `[s3]` that turns it on.

use btrfs_host::spool::Spool;
use s3up_cli::config::{ConfigError, Source};
use s3up_core::Size;

use super::raw;

/// Checks the keys of the spool, even if it is turned off.
pub(super) fn spool(
    raw: &raw::Raw,
    part_bytes: u64,
    source: &Source,
) -> Result<Option<Spool>, ConfigError> {
    let (directory, limit) = (&raw.global.spool_dir, raw.global.spool_size_bytes);
    if let Some(limit) = limit
        && limit < part_bytes
    {
        let size = Size(part_bytes);
        let what = format!("expected at least one part, {part_bytes} ({size}), found {limit}");
        return Err(source.invalid("global.spool_size_bytes", what));
    }
    if raw.s3.spool_enabled != Some(true) {
        return Ok(None);
    }
    let missing = |key| source.invalid(key, "is required by `s3.spool_enabled`, but not set");
    let directory = directory.as_ref().ok_or_else(|| missing("global.spool_dir"))?.to_path_buf();
    let limit_bytes = limit.ok_or_else(|| missing("global.spool_size_bytes"))?;
    Ok(Some(Spool { directory, limit_bytes }))
}
