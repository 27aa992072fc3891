//! `[restore]`: how archived chunks are thawed, and how a restore is compared with its
//! source.

use std::time::Duration;

use s3up_cli::config::{ConfigError, Source};
use s3up_repository::thaw::{ThawMode, ThawTerms};
use s3up_store::Tier;

use super::raw;
use crate::compare::Extent;

const SAMPLE_MAX_FILES: u64 = 1000;
/// Each file of a sample takes eight bytes of memory.
const SAMPLE_MAX_FILES_MAX: u64 = 1_000_000;
/// Three days; the slowest tier takes two.
const TIMEOUT: Duration = Duration::from_secs(259_200);
const THAW_DAYS: u32 = 14;
/// A thawed copy costs as much as an object of STANDARD; a longer time is a mistake.
const THAW_DAYS_MAX: u32 = 365;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreConfig {
    pub verify: Extent,
    /// Number of files whose content a sample compares.
    pub sample_max_files: u64,
    pub waits: bool,
    pub timeout: Duration,
    pub terms: ThawTerms,
}

impl RestoreConfig {
    /// Returns what to do about archived chunks.
    pub fn mode(&self) -> ThawMode {
        if self.waits { ThawMode::Wait { at_most: self.timeout } } else { ThawMode::Request }
    }
}

impl Default for RestoreConfig {
    fn default() -> RestoreConfig {
        RestoreConfig {
            verify: Extent::Full,
            sample_max_files: SAMPLE_MAX_FILES,
            waits: true,
            timeout: TIMEOUT,
            terms: ThawTerms { tier: Tier::Standard, days: THAW_DAYS, speeds_up: false },
        }
    }
}

pub(super) fn restore(raw: &raw::Restore, source: &Source) -> Result<RestoreConfig, ConfigError> {
    let default = RestoreConfig::default();
    let wrong = |key: &str, expected: &str, found: &str| {
        source.invalid(key, format!("expected one of {expected}, found {found:?}"))
    };
    let verify = match raw.verify_mode.as_deref() {
        None => default.verify,
        Some(word) => Extent::parse(word)
            .ok_or_else(|| wrong("restore.verify_mode", "full, sample, none", word))?,
    };
    let tier = match raw.restore_tier.as_deref() {
        None => default.terms.tier,
        Some(word) => Tier::parse(word)
            .ok_or_else(|| wrong("restore.restore_tier", "Standard, Bulk, Expedited", word))?,
    };
    let days = raw.thaw_days.unwrap_or(default.terms.days);
    if !(1..=THAW_DAYS_MAX).contains(&days) {
        let what = format!("expected 1 to {THAW_DAYS_MAX}, found {days}");
        return Err(source.invalid("restore.thaw_days", what));
    }
    let sample_max_files = raw.sample_max_files.unwrap_or(default.sample_max_files);
    if !(1..=SAMPLE_MAX_FILES_MAX).contains(&sample_max_files) {
        let what = format!("expected 1 to {SAMPLE_MAX_FILES_MAX}, found {sample_max_files}");
        return Err(source.invalid("restore.sample_max_files", what));
    }
    Ok(RestoreConfig {
        verify,
        sample_max_files,
        waits: raw.wait_for_restore.unwrap_or(default.waits),
        timeout: raw.restore_timeout_seconds.map_or(default.timeout, Duration::from_secs),
        terms: ThawTerms { tier, days, speeds_up: false },
    })
}
