//! Keys whose value is one of some words, and keys that are set for nothing.

use s3up_cli::config::{ConfigError, Source};

use super::raw;
use crate::compressed::Compressed;

/// Words that a key may have, also where this version does not act on it.
pub(super) fn check_unused(raw: &raw::Raw, source: &Source) -> Result<(), ConfigError> {
    #[rustfmt::skip]
    let words: [(&str, &Option<String>, &[&str]); 3] = [
        ("retention.prune",      &raw.retention.prune,      &["auto", "off"]),
        ("restore.verify_mode",  &raw.restore.verify_mode,  &["full", "sample", "none"]),
        ("restore.restore_tier", &raw.restore.restore_tier, &["Standard", "Bulk", "Expedited"]),
    ];
    for (key, value, expected) in words {
        if let Some(value) = value
            && !expected.contains(&value.as_str())
        {
            let what = format!("expected one of {}, found {value:?}", expected.join(", "));
            return Err(source.wrong(key, what));
        }
    }
    Ok(())
}

pub(super) fn without_effect(raw: &raw::Raw) -> Vec<&'static str> {
    let raw::Raw { global, s3, retention, restore, drill, .. } = raw;
    #[rustfmt::skip]
    let set = [
        ("global.spool_dir",                global.spool_dir.is_some()),
        ("global.spool_size_bytes",         global.spool_size_bytes.is_some()),
        ("s3.spool_enabled",                s3.spool_enabled == Some(true)),
        ("retention.generations",           retention.generations.is_some()),
        ("retention.min_age_days",          retention.min_age_days.is_some()),
        ("retention.prune",                 retention.prune.as_deref() == Some("auto")),
        ("restore.target_base_dir",         restore.target_base_dir.is_some()),
        ("restore.verify_mode",             restore.verify_mode.as_deref().is_some_and(|word| word != "none")),
        ("restore.sample_max_files",        restore.sample_max_files.is_some()),
        ("restore.wait_for_restore",        restore.wait_for_restore.is_some()),
        ("restore.restore_timeout_seconds", restore.restore_timeout_seconds.is_some()),
        ("restore.restore_tier",            restore.restore_tier.is_some()),
        ("restore.thaw_days",               restore.thaw_days.is_some()),
        ("drill.scratch_dir",               drill.scratch_dir.is_some()),
    ];
    set.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

pub(super) fn compressed(raw: &raw::Send, source: &Source) -> Result<Compressed, ConfigError> {
    match raw.compressed.as_deref() {
        None | Some("never") => Ok(Compressed::Never),
        Some("auto") => Ok(Compressed::Auto),
        Some("always") => Ok(Compressed::Always),
        Some(other) => {
            let what = format!("expected one of never, auto, always, found {other:?}");
            Err(source.wrong("send.compressed", what))
        }
    }
}
