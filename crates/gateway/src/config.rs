//! The configuration of the gateway, checked. Defaults are written here and in
//! `config/s3.rs`, `config/clients.rs` and `config/database.rs`, each beside the check of its section.

mod clients;
mod database;
pub mod first;
mod fleet;
mod keys;
mod raw;
mod reloaded;
mod s3;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use s3up_cli::LogFormat;
use s3up_cli::config::{ConfigError, EnvFile, LoadedConfig, Source};
use s3up_core::KeyPrefix;
use s3up_core::part::{MIB, PART_BYTES_MAX, PART_BYTES_MIN, PART_COUNT_MAX};
use s3up_store::{AcceptedRule, Settings};

pub use self::database::PATH as DATABASE_PATH;
use self::raw::Raw;
use crate::clients::{AdminKeys, Clients};
use crate::database::DatabaseSettings;
use crate::network::Network;
use crate::tls::{self, TlsFiles};
use crate::uploads::admission::BUFFERS_PER_UPLOAD_MIN;
use crate::webhook::Alerts;

const HOST: &str = "0.0.0.0";
const PORT: u16 = 8080;
const BUFFER_BUDGET_MB: u64 = 192;
/// 1 TiB; a larger number is a mistake.
const BUFFER_BUDGET_MB_MAX: u64 = 1 << 20;
/// Default of `server.max_connections`: ten for each of a thousand hosts.
const CONNECTIONS_MAX: usize = 10_000;
const PART_SIZE_MB: u64 = 8;
/// One client may hold half of the buffer budget, so that a slow client delays
/// only itself. The longest part is half of it too.
const CLIENT_SHARE: u64 = 2;

#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    pub trusted_proxies: Vec<Network>,
    pub store: Settings,
    pub prefix: KeyPrefix,
    pub part_bytes: u64,
    pub parts_max: u64,
    pub require_versioning: bool,
    pub accepted_rules: Vec<AcceptedRule>,
    pub clients: Clients,
    pub admin_keys: AdminKeys,
    pub alerts: Alerts,
    /// True if an admin key may download files in the dashboard.
    pub dashboard_downloads: bool,
    pub database: DatabaseSettings,
    pub log_format: Option<LogFormat>,
}

/// The files from which a configuration is loaded.
#[derive(Clone, Debug)]
pub struct ConfigFiles {
    pub config: PathBuf,
    /// Variables for `${NAME}` in the configuration.
    pub env: Option<PathBuf>,
}

impl ConfigFiles {
    /// Reads the files, the environment, and the TLS certificate.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let env = self.env.as_deref().map(EnvFile::load).transpose()?.unwrap_or_default();
        let loaded: LoadedConfig<Raw> = s3up_cli::config::load_with_env_file(&self.config, &env)?;
        let source = loaded.source.clone();
        let mut config = Config::check(loaded)?;
        config.database = config.database.with_state_dir(std::env::var_os("STATE_DIRECTORY"));
        if let Some(Err(err)) = config.tls.as_ref().map(tls::load) {
            return Err(source.invalid(err.key(), err));
        }
        Ok(config)
    }
}

impl Config {
    /// Parses text. `env` returns the value of each `${VAR}`; `file` is named in
    /// errors.
    pub fn parse(
        file: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        Config::check(s3up_cli::config::parse(file, text, env)?)
    }

    fn check(LoadedConfig { raw, source }: LoadedConfig<Raw>) -> Result<Config, ConfigError> {
        let listen = listen(&raw, &source)?;
        let (part_bytes, buffer_budget_bytes) = buffers(&raw, &source)?;
        let alerts = fleet::alerts(&raw.alerts, &source)?;
        let fleet = fleet::thresholds(&raw.fleet, &source)?;
        let share_bytes = buffer_budget_bytes / CLIENT_SHARE;
        let clients = clients::clients(&raw.clients, fleet, &source, share_bytes)?;
        let prefix = raw.s3.path_prefix.as_deref().unwrap_or_default();
        let prefix =
            KeyPrefix::parse(prefix).map_err(|err| source.invalid("s3.path_prefix", err))?;
        Ok(Config {
            listen,
            tls: tls_files(&raw, &source)?,
            connections_max: connections_max(&raw, &source)?,
            trusted_proxies: trusted_proxies(&raw, &source)?,
            store: s3::settings(&raw.s3, &source, buffer_budget_bytes)?,
            prefix,
            part_bytes,
            parts_max: parts_max(&raw, &source)?,
            require_versioning: raw.s3.require_versioning.unwrap_or(false),
            accepted_rules: s3::accepted_rules(&raw.s3),
            admin_keys: fleet::admin_keys(&raw, &source, &clients)?,
            clients,
            alerts,
            dashboard_downloads: raw.dashboard.downloads,
            database: database::settings(&raw, &source)?,
            log_format: raw.log.format,
        })
    }
}

fn connections_max(raw: &Raw, source: &Source) -> Result<usize, ConfigError> {
    match raw.server.max_connections.unwrap_or(CONNECTIONS_MAX) {
        0 => Err(source.invalid("server.max_connections", "expected at least 1, found 0")),
        connections => Ok(connections),
    }
}

fn listen(raw: &Raw, source: &Source) -> Result<SocketAddr, ConfigError> {
    let host = raw.server.host.as_deref().unwrap_or(HOST);
    let host: IpAddr = match host {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        host => host.parse().map_err(|_| {
            source.invalid("server.host", format!("expected an IP address, found {host:?}"))
        })?,
    };
    if !raw.server.tls.enabled && !host.is_loopback() && !raw.server.tls.allow_plaintext {
        return Err(source.invalid(
            "server.host",
            format!(
                "expected a loopback address without TLS, found {host}; enable `server.tls`, set \
                 `server.host: 127.0.0.1` to serve this host only, or set \
                 `server.tls.allow_plaintext: true` if a proxy in front of it has TLS"
            ),
        ));
    }
    Ok(SocketAddr::new(host, raw.server.port.unwrap_or(PORT)))
}

fn trusted_proxies(raw: &Raw, source: &Source) -> Result<Vec<Network>, ConfigError> {
    let networks = raw.server.trusted_proxies.iter().enumerate();
    let parsed = networks.map(|(n, text)| {
        Network::parse(text).ok_or_else(|| {
            let what = format!("expected an address or a network like 10.0.0.0/8, found {text:?}");
            source.invalid(&format!("server.trusted_proxies[{n}]"), what)
        })
    });
    parsed.collect()
}

/// Returns the part length and the buffer budget.
fn buffers(raw: &Raw, source: &Source) -> Result<(u64, u64), ConfigError> {
    let part_mb = raw.s3.part_size_mb.unwrap_or(PART_SIZE_MB);
    let budget_mb = raw.server.buffer_budget_mb.unwrap_or(BUFFER_BUDGET_MB);
    let (part_bytes, budget_bytes) = (part_mb.saturating_mul(MIB), budget_mb.saturating_mul(MIB));
    if budget_mb > BUFFER_BUDGET_MB_MAX {
        let what = format!("expected at most {BUFFER_BUDGET_MB_MAX}, found {budget_mb}");
        return Err(source.invalid("server.buffer_budget_mb", what));
    }
    if part_bytes < PART_BYTES_MIN {
        let min = PART_BYTES_MIN / MIB;
        let what = format!("expected at least {min}, the minimum of S3, found {part_mb}");
        return Err(source.invalid("s3.part_size_mb", what));
    }
    if part_bytes > PART_BYTES_MAX {
        let max = PART_BYTES_MAX / MIB;
        let what = format!("expected at most {max}, the maximum of S3, found {part_mb}");
        return Err(source.invalid("s3.part_size_mb", what));
    }
    if budget_bytes / BUFFERS_PER_UPLOAD_MIN < part_bytes {
        let min = part_mb.saturating_mul(BUFFERS_PER_UPLOAD_MIN);
        let what =
            format!("expected at least {min}, two parts of `s3.part_size_mb`, found {budget_mb}");
        return Err(source.invalid("server.buffer_budget_mb", what));
    }
    Ok((part_bytes, budget_bytes))
}

/// Returns the maximum number of parts of an upload.
fn parts_max(raw: &Raw, source: &Source) -> Result<u64, ConfigError> {
    let parts_max = raw.s3.parts_max.unwrap_or(PART_COUNT_MAX);
    if (1..=PART_COUNT_MAX).contains(&parts_max) {
        return Ok(parts_max);
    }
    let what = format!("expected 1 to {PART_COUNT_MAX}, found {parts_max}");
    Err(source.invalid("s3.parts_max", what))
}

fn tls_files(raw: &Raw, source: &Source) -> Result<Option<TlsFiles>, ConfigError> {
    let tls = &raw.server.tls;
    if !tls.enabled {
        return Ok(None);
    }
    let missing = |key| {
        source.invalid(key, "expected a file, since `server.tls.enabled` is true; found none")
    };
    let cert = tls.cert_file.as_ref().ok_or_else(|| missing("server.tls.cert_file"))?;
    let key = tls.key_file.as_ref().ok_or_else(|| missing("server.tls.key_file"))?;
    Ok(Some(TlsFiles { cert: cert.to_path_buf(), key: key.to_path_buf() }))
}
