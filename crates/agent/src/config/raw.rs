//! The keys of `client.yaml` and their defaults.
//!
//! A key that is not in this file does not exist: the loader refuses it. Every
//! default is written here and nowhere else.

use s3up_cli::config::AbsolutePath;
use s3up_cli::{LogFormat, Secret};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Raw {
    pub server: RawServer,
    pub database: RawDatabase,
    pub watches: Vec<RawWatch>,
    #[serde(default)]
    pub exclude: Vec<String>,
    #[serde(default)]
    pub scan: RawScan,
    #[serde(default)]
    pub stability: RawStability,
    #[serde(default)]
    pub upload: RawUpload,
    #[serde(default)]
    pub cleanup: RawCleanup,
    #[serde(default)]
    pub report: RawReport,
    #[serde(default)]
    pub log: RawLog,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawServer {
    pub url: String,
    pub api_key: Secret,
    #[serde(default)]
    pub ca_file: Option<AbsolutePath>,
    #[serde(default)]
    pub insecure: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawDatabase {
    pub path: AbsolutePath,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RawWatch {
    pub local_path: AbsolutePath,
    #[serde(default)]
    pub remote_prefix: String,
    #[serde(default = "yes")]
    pub recursive: bool,
    #[serde(default)]
    pub poll: bool,
    #[serde(default)]
    pub exclude: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawScan {
    pub upload_existing: bool,
    pub interval_minutes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawStability {
    pub debounce_seconds: f64,
    pub max_attempts: u32,
    pub on_max_attempts: OnMaxAttempts,
    pub hot_interval_seconds: f64,
    pub spool_max_mb: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMaxAttempts {
    Skip,
    Upload,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawUpload {
    pub retry_attempts: u32,
    pub retry_delay_seconds: f64,
    pub concurrent: usize,
    pub max_file_size_mb: Option<u64>,
    pub bandwidth_limit_mb: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawCleanup {
    pub enabled: bool,
    pub after_days: u64,
    pub time: String,
    pub min_age_days: u64,
    pub min_free_gb: Option<u64>,
    pub min_old_version_days: Option<u32>,
    pub files_per_minute: u32,
    pub exclude: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct RawReport {
    pub time: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RawLog {
    pub format: Option<LogFormat>,
}

impl Default for RawScan {
    fn default() -> RawScan {
        RawScan { upload_existing: false, interval_minutes: 60 }
    }
}

impl Default for RawStability {
    fn default() -> RawStability {
        RawStability {
            debounce_seconds: 3.0,
            max_attempts: 100,
            on_max_attempts: OnMaxAttempts::Skip,
            hot_interval_seconds: 3600.0,
            spool_max_mb: 1024,
        }
    }
}

impl Default for RawUpload {
    fn default() -> RawUpload {
        RawUpload {
            retry_attempts: 3,
            retry_delay_seconds: 5.0,
            concurrent: 8,
            max_file_size_mb: None,
            bandwidth_limit_mb: None,
        }
    }
}

impl Default for RawCleanup {
    fn default() -> RawCleanup {
        RawCleanup {
            enabled: false,
            after_days: 30,
            time: "03:00".to_owned(),
            min_age_days: 1,
            min_free_gb: None,
            min_old_version_days: None,
            files_per_minute: 600,
            exclude: Vec::new(),
        }
    }
}

impl Default for RawReport {
    fn default() -> RawReport {
        RawReport { time: "00:10".to_owned() }
    }
}

fn yes() -> bool {
    true
}
