//! Keys whose value is one of a few words.

use btrfs_host::compressed::Compressed;
use s3up_cli::config::{ConfigError, Source};
use s3up_repository::retention::{MinAge, Retention};

use super::raw;

const GENERATIONS: u32 = 1;

/// Returns which backups stay in the bucket.
pub(super) fn retention(raw: &raw::Retention, source: &Source) -> Result<Retention, ConfigError> {
    let generations = raw.generations.unwrap_or(GENERATIONS);
    if generations == 0 {
        let what = "expected at least 1, because the published generation is always kept";
        return Err(source.invalid("retention.generations", what));
    }
    let min_age = match raw.min_age_days {
        None => MinAge::ByClass,
        Some(days) if days <= raw::EVERY_DAYS_MAX => MinAge::Days(days),
        Some(days) => {
            let what = format!("is {days}, expected 0 to {}", raw::EVERY_DAYS_MAX);
            return Err(source.invalid("retention.min_age_days", what));
        }
    };
    Ok(Retention { generations: generations as usize, min_age })
}

/// Returns whether a backup ends with a prune.
pub(super) fn prunes(raw: &raw::Retention, source: &Source) -> Result<bool, ConfigError> {
    match raw.prune.as_deref() {
        None | Some("auto") => Ok(true),
        Some("off") => Ok(false),
        Some(other) => {
            let what = format!("expected one of auto, off, found {other:?}");
            Err(source.invalid("retention.prune", what))
        }
    }
}

pub(super) fn compressed(raw: &raw::Send, source: &Source) -> Result<Compressed, ConfigError> {
    match raw.compressed.as_deref() {
        None | Some("never") => Ok(Compressed::Never),
        Some("auto") => Ok(Compressed::Auto),
        Some("always") => Ok(Compressed::Always),
        Some(other) => {
            let what = format!("expected one of never, auto, always, found {other:?}");
            Err(source.invalid("send.compressed", what))
        }
    }
}
