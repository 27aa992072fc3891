//! Keys whose value is one of a few words.

use btrfs_host::compressed::{Compressed, FormSetting, ProtocolSetting};
use s3up_cli::config::{ConfigError, Source};
use s3up_repository::retention::{MinAge, Retention};

use super::raw;
use crate::plan::schedule::UnplannedFull;

const GENERATIONS: u32 = 1;
const KEEP_DAYS: u32 = 30;

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
            let what = format!("expected 0 to {}, found {days}", raw::EVERY_DAYS_MAX);
            return Err(source.invalid("retention.min_age_days", what));
        }
    };
    let keep_days = raw.keep_days.unwrap_or(KEEP_DAYS);
    if keep_days > raw::EVERY_DAYS_MAX {
        let what = format!("expected 0 to {}, found {keep_days}", raw::EVERY_DAYS_MAX);
        return Err(source.invalid("retention.keep_days", what));
    }
    Ok(Retention { generations: generations as usize, keep_days, min_age, adopts: false })
}

/// Returns true if a backup ends with a prune.
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

/// Returns the form that send streams should have.
pub(super) fn stream_form(raw: &raw::Send, source: &Source) -> Result<FormSetting, ConfigError> {
    let wanted =
        FormSetting { compressed: compressed(raw, source)?, protocol: protocol(raw, source)? };
    if wanted.compressed == Compressed::Always && wanted.protocol == ProtocolSetting::One {
        let what = "is 1, but `send.compressed` is `always`, which needs protocol 2";
        return Err(source.invalid("send.protocol", what));
    }
    Ok(wanted)
}

fn protocol(raw: &raw::Send, source: &Source) -> Result<ProtocolSetting, ConfigError> {
    match raw.protocol.as_ref().map(|raw::WordOrNumber(text)| text.as_str()) {
        None | Some("auto") => Ok(ProtocolSetting::Auto),
        Some("1") => Ok(ProtocolSetting::One),
        Some("2") => Ok(ProtocolSetting::Two),
        Some(other) => {
            let what = format!("expected one of auto, 1, 2, found {other:?}");
            Err(source.invalid("send.protocol", what))
        }
    }
}

/// Returns what becomes of a full that the schedule did not ask for.
pub(super) fn unplanned_full(
    raw: &raw::Schedule,
    source: &Source,
) -> Result<UnplannedFull, ConfigError> {
    match raw.unplanned_full.as_deref() {
        None | Some("warn") => Ok(UnplannedFull::Warn),
        Some("refuse") => Ok(UnplannedFull::Refuse),
        Some(other) => {
            let what = format!("expected one of warn, refuse, found {other:?}");
            Err(source.invalid("schedule.unplanned_full", what))
        }
    }
}

fn compressed(raw: &raw::Send, source: &Source) -> Result<Compressed, ConfigError> {
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
