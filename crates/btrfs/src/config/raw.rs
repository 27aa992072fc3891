//! The configuration as it is written in the file.

use std::collections::BTreeMap;
use std::fmt;

use s3up_cli::config::AbsolutePath;
use s3up_cli::{LogLevel, Secret};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A century; a longer interval is a typing error.
pub const EVERY_DAYS_MAX: u32 = 36_500;

#[derive(Debug, Deserialize)]
pub struct Raw {
    #[serde(default)]
    pub global: Global,
    #[serde(default)]
    pub schedule: Schedule,
    #[serde(default)]
    pub snapshots: Snapshots,
    pub subvolumes: Subvolumes,
    pub s3: S3,
    #[serde(default)]
    pub retention: Retention,
    #[serde(default)]
    pub send: Send,
    #[serde(default)]
    pub restore: Restore,
    #[serde(default)]
    pub notify: Notify,
    #[serde(default)]
    pub drill: Drill,
    #[serde(default)]
    pub report: Report,
    #[serde(default)]
    pub prices: Prices,
}

/// The part of the configuration that commands accept without a file.
#[derive(Debug, Deserialize)]
pub struct WithoutFile {
    pub s3: S3,
    #[serde(default)]
    pub restore: Restore,
    #[serde(default)]
    pub prices: Prices,
}

#[derive(Debug, Default, Deserialize)]
pub struct Global {
    pub log_level: Option<LogLevel>,
    pub state_path: Option<AbsolutePath>,
    pub lock_path: Option<AbsolutePath>,
    pub spool_dir: Option<AbsolutePath>,
    pub spool_size_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Schedule {
    pub full_every_days: Option<u32>,
    pub incremental_every_days: Option<u32>,
    pub run_at: Option<String>,
    pub unplanned_full: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Snapshots {
    pub base_dir: Option<AbsolutePath>,
    pub retain: Option<usize>,
}

#[derive(Debug, Deserialize)]
pub struct Subvolumes {
    pub paths: Vec<Subvolume>,
    pub ignore_nested: Option<Vec<AbsolutePath>>,
}

/// A word or a number, as text.
#[derive(Debug)]
pub struct WordOrNumber(pub String);

/// A path, or `{path, name}`.
#[derive(Debug)]
pub struct Subvolume {
    pub path: AbsolutePath,
    pub name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct S3 {
    pub bucket: String,
    pub region: String,
    pub prefix: String,
    pub endpoint: Option<String>,
    pub ca_file: Option<AbsolutePath>,
    pub profile: Option<String>,
    pub chunk_size_bytes: Option<u64>,
    pub part_size_bytes: Option<u64>,
    pub parts_max: Option<u64>,
    pub storage_class_chunks: Option<String>,
    pub storage_class_manifest: Option<String>,
    pub concurrency: Option<usize>,
    pub spool_enabled: Option<bool>,
    pub sse: Option<String>,
    pub kms_key_id: Option<String>,
    pub retry_hours: Option<f64>,
    pub bandwidth_limit_bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Retention {
    pub generations: Option<u32>,
    pub keep_days: Option<u32>,
    pub min_age_days: Option<u32>,
    pub prune: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Send {
    pub compressed: Option<String>,
    pub protocol: Option<WordOrNumber>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Restore {
    pub target_base_dir: Option<AbsolutePath>,
    pub verify_mode: Option<String>,
    pub sample_max_files: Option<u64>,
    pub wait_for_restore: Option<bool>,
    pub restore_timeout_seconds: Option<u64>,
    pub restore_tier: Option<String>,
    pub thaw_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Notify {
    pub url: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Report {
    pub url: Option<String>,
    pub key_file: Option<AbsolutePath>,
    pub ca_file: Option<AbsolutePath>,
    pub insecure: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Drill {
    pub scratch_dir: Option<AbsolutePath>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Prices {
    pub source: Option<String>,
    pub transfer_gib: Option<f64>,
    pub get_1000: Option<f64>,
    pub put_1000: Option<f64>,
    pub classes: Option<BTreeMap<String, ClassPrices>>,
}

/// The prices of one storage class, `{ gib_month = 0.01, … }`.
#[derive(Debug, Default, Deserialize)]
pub struct ClassPrices {
    pub gib_month: Option<f64>,
    pub put_1000: Option<f64>,
    pub read_gib: Option<f64>,
    pub thaw_standard_gib: Option<f64>,
    pub thaw_standard_1000: Option<f64>,
    pub thaw_bulk_gib: Option<f64>,
    pub thaw_bulk_1000: Option<f64>,
    pub thaw_expedited_gib: Option<f64>,
    pub thaw_expedited_1000: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    path: AbsolutePath,
    name: Option<String>,
}

impl<'de> Deserialize<'de> for Subvolume {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Subvolume, D::Error> {
        deserializer.deserialize_any(PathOrNamed)
    }
}

impl<'de> Deserialize<'de> for WordOrNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WordOrNumber, D::Error> {
        deserializer.deserialize_any(TextOfWordOrNumber)
    }
}

struct TextOfWordOrNumber;

impl Visitor<'_> for TextOfWordOrNumber {
    type Value = WordOrNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<WordOrNumber, E> {
        Ok(WordOrNumber(text.to_owned()))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<WordOrNumber, E> {
        Ok(WordOrNumber(number.to_string()))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<WordOrNumber, E> {
        Ok(WordOrNumber(number.to_string()))
    }
}

struct PathOrNamed;

impl<'de> Visitor<'de> for PathOrNamed {
    type Value = Subvolume;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an absolute path, or {path, name}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Subvolume, E> {
        let path = AbsolutePath::try_from(std::path::PathBuf::from(text)).map_err(E::custom)?;
        Ok(Subvolume { path, name: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Subvolume, A::Error> {
        let Named { path, name } = Named::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Subvolume { path, name })
    }
}
