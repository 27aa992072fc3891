//! What the gateway runs on, checked. Every default is written here.

mod raw;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use s3up_cli::LogFormat;
use s3up_cli::config::{ConfigError, Loaded, Source};
use s3up_core::part::{MIB, PART_BYTES_MIN};
use s3up_core::{ClientName, KeyPrefix, Sha256Digest, Size};
use s3up_store::{Bandwidth, Credentials, Patience, Profile, Settings, Sse};

use crate::client::{Client, Clients, Overwrite, Right};
use crate::tls;
use raw::{Raw, S3};

const HOST: &str = "0.0.0.0";
const PORT: u16 = 8080;
const BUFFER_BUDGET_MB: u64 = 192;
/// A TiB: no host has more for this.
const BUFFER_BUDGET_MB_MAX: u64 = 1 << 20;
const CONNECTIONS_MAX: usize = 10_000;
const PART_SIZE_MB: u64 = 8;
const CLIENT_UPLOADS_MAX: usize = 32;
const RIGHTS: [Right; 4] = [Right::Upload, Right::Exists, Right::Download, Right::List];
/// A key of a client must not be guessable.
const API_KEY_CHARS_MIN: usize = 32;
/// One client may hold half of the buffers, so that slow ones starve only
/// themselves. The longest part is half of them, too.
const CLIENT_SHARE: u64 = 2;
/// A long upload holds one buffer while it fills the next.
const BUFFERS_PER_UPLOAD_MIN: u64 = 2;

#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    pub store: Settings,
    pub prefix: KeyPrefix,
    pub part_bytes: u64,
    pub require_versioning: bool,
    pub clients: Clients,
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Config {
    /// Reads the file, the environment, and the certificate.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let loaded: Loaded<Raw> = s3up_cli::config::load(path)?;
        let source = loaded.source.clone();
        let config = Config::check(loaded)?;
        if let Some(Err(err)) = config.tls.as_ref().map(tls::acceptor) {
            return Err(source.invalid(err.key(), err));
        }
        Ok(config)
    }

    /// From text; `env` is asked for every `${VAR}`.
    pub fn parse(
        file: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        Config::check(s3up_cli::config::parse(file, text, env)?)
    }

    /// The effective configuration, for people: every default filled in, no secret.
    pub fn summary(&self) -> String {
        let store = &self.store;
        let tls = self.tls.as_ref().map_or("off".to_owned(), |tls| tls.cert.display().to_string());
        let credentials = match &store.credentials {
            Credentials::Explicit { access_key_id, .. } => format!("{access_key_id} / ***"),
            Credentials::Found => "from the environment, a profile or a role".to_owned(),
        };
        let mut text = format!(
            "listen: {}\ntls: {tls}\nmax_connections: {}\nbuffer_budget: {}\n\
             endpoint: {}\nprofile: {:?}\nregion: {}\nbucket: {}\npath_prefix: {:?}\n\
             credentials: {credentials}\npart_size: {}\nstorage_class: {}\nsse: {:?}\n\
             require_versioning: {}\nclients:\n",
            self.listen,
            self.connections_max,
            Size(store.buffer_budget_bytes),
            store.endpoint.as_deref().unwrap_or("AWS"),
            store.profile,
            store.region,
            store.bucket,
            self.prefix.as_str(),
            Size(self.part_bytes),
            store.storage_class.as_deref().unwrap_or("STANDARD"),
            store.sse,
            self.require_versioning,
        );
        for client in self.clients.policies() {
            let limit =
                client.file_bytes_max.map_or("none".to_owned(), |max| Size(max).to_string());
            text.push_str(&format!(
                "  - {}: allow {:?}, max_file_size {limit}, overwrite {:?}, \
                 max_concurrent_uploads {}\n",
                client.name, client.rights, client.overwrite, client.uploads_max
            ));
        }
        text
    }

    fn check(Loaded { raw, source }: Loaded<Raw>) -> Result<Config, ConfigError> {
        let listen = listen(&raw, &source)?;
        let part_bytes = raw.s3.part_size_mb.unwrap_or(PART_SIZE_MB).saturating_mul(MIB);
        let budget_mb = raw.server.buffer_budget_mb.unwrap_or(BUFFER_BUDGET_MB);
        let buffer_budget_bytes = budget_mb.saturating_mul(MIB);
        if budget_mb > BUFFER_BUDGET_MB_MAX {
            let what = format!("expected at most {BUFFER_BUDGET_MB_MAX}, found {budget_mb}");
            return Err(source.invalid("server.buffer_budget_mb", what));
        }
        if part_bytes < PART_BYTES_MIN {
            return Err(source.invalid("s3.part_size_mb", "S3 takes no parts under 5 MiB"));
        }
        if buffer_budget_bytes / BUFFERS_PER_UPLOAD_MIN < part_bytes {
            let what = format!("{budget_mb} MiB do not hold two parts of `s3.part_size_mb`");
            return Err(source.invalid("server.buffer_budget_mb", what));
        }
        let prefix = raw.s3.path_prefix.as_deref().unwrap_or_default();
        let prefix =
            KeyPrefix::parse(prefix).map_err(|err| source.invalid("s3.path_prefix", err))?;
        Ok(Config {
            listen,
            tls: tls_files(&raw, &source)?,
            connections_max: raw.server.max_connections.unwrap_or(CONNECTIONS_MAX),
            store: store_settings(&raw.s3, &source, buffer_budget_bytes)?,
            prefix,
            part_bytes,
            require_versioning: raw.s3.require_versioning.unwrap_or(false),
            clients: clients(&raw.clients, &source, buffer_budget_bytes / CLIENT_SHARE)?,
            log_format: raw.log.format,
        })
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
            "server.tls.enabled",
            format!(
                "without TLS the gateway listens on loopback only, not on {host}; \
                 enable TLS, or set `server.tls.allow_plaintext: true` behind a proxy that has it"
            ),
        ));
    }
    Ok(SocketAddr::new(host, raw.server.port.unwrap_or(PORT)))
}

fn tls_files(raw: &Raw, source: &Source) -> Result<Option<TlsFiles>, ConfigError> {
    let tls = &raw.server.tls;
    if !tls.enabled {
        return Ok(None);
    }
    let missing = |key| source.invalid(key, "is needed when `server.tls.enabled` is true");
    let cert = tls.cert_file.as_ref().ok_or_else(|| missing("server.tls.cert_file"))?;
    let key = tls.key_file.as_ref().ok_or_else(|| missing("server.tls.key_file"))?;
    Ok(Some(TlsFiles { cert: cert.to_path_buf(), key: key.to_path_buf() }))
}

fn store_settings(
    raw: &S3,
    source: &Source,
    buffer_budget_bytes: u64,
) -> Result<Settings, ConfigError> {
    let endpoint = s3up_store::parse_endpoint(raw.endpoint.as_deref())
        .map_err(|err| source.invalid("s3.endpoint", err))?;
    for (key, text) in [("s3.bucket", &raw.bucket), ("s3.region", &raw.region)] {
        if text.is_empty() {
            return Err(source.invalid(key, "may not be empty"));
        }
    }
    let profile = match raw.profile {
        None => Profile::of(endpoint.as_deref()),
        Some(raw::Profile::Aws) => Profile::Aws,
        Some(raw::Profile::Generic) => Profile::Generic,
    };
    let sse_default = match profile {
        Profile::Aws => Sse::Aes256,
        Profile::Generic => Sse::Unsaid,
    };
    Ok(Settings {
        endpoint,
        region: raw.region.clone(),
        bucket: raw.bucket.clone(),
        credentials: credentials(raw, source)?,
        profile,
        ca_file: raw.ca_file.as_ref().map(|path| path.to_path_buf()),
        storage_class: storage_class(raw, source)?,
        sse: Sse::parse(raw.sse.as_deref(), raw.kms_key_id.as_deref(), sse_default)
            .map_err(|err| source.invalid(&format!("s3.{}", err.key()), err))?,
        buffer_budget_bytes,
        patience: Patience::default(),
        bandwidth: Bandwidth::default(),
    })
}

fn credentials(raw: &S3, source: &Source) -> Result<Credentials, ConfigError> {
    let id = raw.access_key_id.clone().filter(|id| !id.is_empty());
    let secret = raw.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
    match (id, secret.filter(|secret| !secret.is_empty())) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Credentials::Explicit { access_key_id, secret_access_key })
        }
        (None, None) => Ok(Credentials::Found),
        (Some(_), None) => {
            Err(source.invalid("s3.secret_access_key", "is needed beside `s3.access_key_id`"))
        }
        (None, Some(_)) => {
            Err(source.invalid("s3.access_key_id", "is needed beside `s3.secret_access_key`"))
        }
    }
}

/// Classes whose objects can be read at once, so that `/download` works.
const STORAGE_CLASSES: [&str; 7] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "REDUCED_REDUNDANCY",
    "EXPRESS_ONEZONE",
];

fn storage_class(raw: &S3, source: &Source) -> Result<Option<String>, ConfigError> {
    match raw.storage_class.as_deref() {
        None | Some("STANDARD") => Ok(None),
        Some(class) if STORAGE_CLASSES.contains(&class) => Ok(Some(class.to_owned())),
        Some(class) => {
            let what = format!("expected one of {}, found {class:?}", STORAGE_CLASSES.join(", "));
            Err(source.invalid("s3.storage_class", what))
        }
    }
}

fn clients(raw: &[raw::Client], source: &Source, share_bytes: u64) -> Result<Clients, ConfigError> {
    if raw.is_empty() {
        return Err(source.invalid("clients", "expected at least one client"));
    }
    let mut names = BTreeSet::new();
    let mut by_key = BTreeMap::new();
    let mut clients = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let at = |key: &str| format!("clients[{n}].{key}");
        let client = client(raw, source, &at)?;
        if !names.insert(client.name.clone()) {
            let what = format!("another client is called {} too", client.name);
            return Err(source.invalid(&at("name"), what));
        }
        for key in api_keys(raw, source, &at)? {
            if let Some(other) = by_key.insert(key, n) {
                let what = format!("client {} has the same API key", clients_name(&clients, other));
                return Err(source.invalid(&at("api_key"), what));
            }
        }
        clients.push(client);
    }
    Ok(Clients::new(clients, by_key, share_bytes))
}

fn clients_name(clients: &[Client], n: usize) -> String {
    clients.get(n).map_or_else(|| "itself".to_owned(), |client| client.name.to_string())
}

fn client(
    raw: &raw::Client,
    source: &Source,
    at: &dyn Fn(&str) -> String,
) -> Result<Client, ConfigError> {
    let name = ClientName::parse(&raw.name).map_err(|err| source.invalid(&at("name"), err))?;
    if raw.max_file_size_mb == Some(0) || raw.max_concurrent_uploads == Some(0) {
        let key = if raw.max_file_size_mb == Some(0) {
            "max_file_size_mb"
        } else {
            "max_concurrent_uploads"
        };
        return Err(source.invalid(&at(key), "expected at least 1"));
    }
    let extensions = raw
        .allowed_extensions
        .as_ref()
        .map(|list| list.iter().map(|ext| ext.trim_start_matches('.').to_lowercase()).collect());
    Ok(Client {
        name,
        file_bytes_max: raw.max_file_size_mb.map(|mb| mb.saturating_mul(MIB)),
        rights: raw.allow.clone().unwrap_or_else(|| RIGHTS.to_vec()),
        overwrite: raw.overwrite.unwrap_or(Overwrite::Versioned),
        extensions,
        uploads_max: raw.max_concurrent_uploads.unwrap_or(CLIENT_UPLOADS_MAX),
    })
}

/// The digests of all keys of one client.
fn api_keys(
    raw: &raw::Client,
    source: &Source,
    at: &dyn Fn(&str) -> String,
) -> Result<Vec<Sha256Digest>, ConfigError> {
    let mut digests = Vec::new();
    let single = raw.api_key.iter().map(|key| (at("api_key"), key));
    let several = raw.api_keys.iter().enumerate();
    let several = several.map(|(n, key)| (at(&format!("api_keys[{n}]")), key));
    for (key, secret) in single.chain(several) {
        let found = secret.expose().chars().count();
        if found < API_KEY_CHARS_MIN {
            let what = format!(
                "expected at least {API_KEY_CHARS_MIN} characters, found {found}; \
                 `s3up-server keygen` makes a key"
            );
            return Err(source.invalid(&key, what));
        }
        digests.push(Sha256Digest::of(secret.expose().as_bytes()));
    }
    if let Some(hex) = &raw.api_key_sha256 {
        let digest = Sha256Digest::parse_hex(hex)
            .map_err(|_| source.invalid(&at("api_key_sha256"), "expected 64 hex digits"))?;
        digests.push(digest);
    }
    if digests.is_empty() {
        let what = "expected `api_key`, `api_keys` or `api_key_sha256`";
        return Err(source.invalid(&at("api_key"), what));
    }
    Ok(digests)
}

#[cfg(test)]
mod tests;
