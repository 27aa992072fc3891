//! The keys of `server.yaml` as the file has them, before any check. The
//! loader refuses unknown keys.

use std::collections::BTreeMap;

use s3up_cli::config::AbsolutePath;
use s3up_cli::{LogFormat, Secret};
use serde::Deserialize;

use crate::clients::{OverwritePolicy, Right};

#[derive(Debug, Deserialize)]
pub struct Raw {
    pub server: Server,
    pub s3: S3,
    pub clients: Vec<Client>,
    #[serde(default)]
    pub admin_keys: Vec<Secret>,
    #[serde(default)]
    pub admin_keys_sha256: Vec<String>,
    #[serde(default)]
    pub fleet: Fleet,
    #[serde(default)]
    pub alerts: Alerts,
    #[serde(default)]
    pub dashboard: Dashboard,
    #[serde(default)]
    pub database: Database,
    #[serde(default)]
    pub activity: Activity,
    #[serde(default)]
    pub log: Log,
}

#[derive(Debug, Deserialize)]
pub struct Server {
    pub host: Option<String>,
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: Tls,
    pub buffer_budget_mb: Option<u64>,
    pub max_connections: Option<usize>,
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Tls {
    #[serde(default)]
    pub enabled: bool,
    pub cert_file: Option<AbsolutePath>,
    pub key_file: Option<AbsolutePath>,
    #[serde(default)]
    pub allow_plaintext: bool,
}

#[derive(Debug, Deserialize)]
pub struct S3 {
    pub endpoint: Option<String>,
    pub region: String,
    pub bucket: String,
    pub path_prefix: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<Secret>,
    pub require_versioning: Option<bool>,
    #[serde(default)]
    pub accepted_rules: BTreeMap<String, u32>,
    pub profile: Option<Profile>,
    pub part_size_mb: Option<u64>,
    pub parts_max: Option<u64>,
    pub storage_class: Option<String>,
    pub sse: Option<String>,
    pub kms_key_id: Option<String>,
    pub ca_file: Option<AbsolutePath>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    Aws,
    Generic,
}

#[derive(Debug, Deserialize)]
pub struct Client {
    pub name: String,
    pub api_key: Option<Secret>,
    #[serde(default)]
    pub api_keys: Vec<Secret>,
    pub api_key_sha256: Option<String>,
    #[serde(default)]
    pub api_keys_sha256: Vec<String>,
    #[serde(default)]
    pub restore_keys: Vec<Secret>,
    #[serde(default)]
    pub restore_keys_sha256: Vec<String>,
    pub max_file_size_mb: Option<u64>,
    pub allow: Option<Vec<Right>>,
    pub overwrite: Option<OverwritePolicy>,
    pub allowed_extensions: Option<Vec<String>>,
    pub max_concurrent_uploads: Option<usize>,
    pub max_requests_per_second: Option<u32>,
    pub quota_gb: Option<u64>,
    pub silent_after: Option<String>,
    pub lag_after: Option<String>,
    pub backup_late_after: Option<String>,
    pub drill_after: Option<String>,
    pub changed_percent: Option<u64>,
    pub changed_files_min: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Alerts {
    pub webhook_url: Option<Secret>,
    pub ping_url: Option<Secret>,
    pub report_at: Option<String>,
    pub mail: Option<Mail>,
}

#[derive(Debug, Deserialize)]
pub struct Mail {
    pub host: String,
    pub port: Option<u16>,
    pub tls: Option<MailTls>,
    pub from: String,
    pub to: Vec<String>,
    pub user: Option<String>,
    pub password: Option<Secret>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    Implicit,
    Starttls,
    None,
}

#[derive(Debug, Default, Deserialize)]
pub struct Fleet {
    pub silent_after: Option<String>,
    pub lag_after: Option<String>,
    pub backup_late_after: Option<String>,
    pub drill_after: Option<String>,
    pub changed_percent: Option<u64>,
    pub changed_files_min: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Dashboard {
    #[serde(default)]
    pub downloads: bool,
}

#[derive(Debug, Default, Deserialize)]
pub struct Database {
    pub path: Option<AbsolutePath>,
    pub url: Option<Secret>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Activity {
    pub keep_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Log {
    pub format: Option<LogFormat>,
}
