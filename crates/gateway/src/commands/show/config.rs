//! The effective configuration, formatted for `check-config`: every default
//! filled in, no secret.

use std::fmt::Display;

use s3up_cli::LogFormat;
use s3up_core::Size;
use s3up_store::{Credentials, Profile, Sse};

use crate::clients::ClientPolicy;
use crate::config::Config;

pub fn to_text(config: &Config) -> String {
    let mut text = String::from("server\n");
    let tls = config.tls.as_ref().map_or("off".into(), |tls| tls.cert.display().to_string());
    line(&mut text, "listen", config.listen);
    line(&mut text, "TLS certificate", tls);
    line(&mut text, "max_connections", config.connections_max);
    line(&mut text, "buffer_budget", Size(config.store.buffer_budget_bytes));
    s3_lines(&mut text, config);
    for policy in config.clients.policies() {
        client_lines(&mut text, policy);
    }
    text.push_str("database\n");
    line(&mut text, "location", &config.database.location);
    line(&mut text, "keep_days", config.database.keep_days);
    text.push_str("log\n");
    line(&mut text, "format", log_format(config.log_format));
    text
}

fn s3_lines(text: &mut String, config: &Config) {
    let store = &config.store;
    text.push_str("s3\n");
    line(text, "endpoint", store.endpoint.as_deref().unwrap_or("AWS"));
    line(text, "profile", profile(store.profile));
    line(text, "region", &store.region);
    line(text, "bucket", &store.bucket);
    line(text, "path_prefix", format!("{:?}", config.prefix.as_str()));
    line(text, "credentials", credentials(&store.credentials));
    line(text, "part_size", Size(config.part_bytes));
    line(text, "parts_max", config.parts_max);
    line(text, "storage_class", store.storage_class.as_deref().unwrap_or("STANDARD"));
    line(text, "sse", sse(&store.sse));
    let ca_file = store.ca_file.as_ref().map(|path| path.display().to_string());
    line(text, "ca_file", ca_file.as_deref().unwrap_or("those of the system"));
    line(text, "require_versioning", config.require_versioning);
}

fn client_lines(text: &mut String, policy: &ClientPolicy) {
    let rights: Vec<_> = policy.rights.iter().map(ToString::to_string).collect();
    let limit = policy.file_bytes_max.map(|max| Size(max).to_string());
    let extensions = policy.extensions.as_ref().map(|list| list.join(", "));
    text.push_str(&format!("client {}\n", policy.name));
    line(text, "allow", rights.join(", "));
    line(text, "overwrite", policy.overwrite);
    line(text, "max_file_size", limit.as_deref().unwrap_or("none"));
    line(text, "allowed_extensions", extensions.as_deref().unwrap_or("any"));
    line(text, "max_concurrent_uploads", policy.uploads_max);
}

fn line(text: &mut String, name: &str, value: impl Display) {
    text.push_str(&format!("  {name:<24}{value}\n"));
}

fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Aws => "aws",
        Profile::Generic => "generic",
    }
}

fn credentials(credentials: &Credentials) -> String {
    match credentials {
        Credentials::Explicit { access_key_id, .. } => format!("{access_key_id} (secret hidden)"),
        Credentials::DefaultChain => "from the environment, an AWS profile or a role".to_owned(),
    }
}

fn sse(sse: &Sse) -> String {
    match sse {
        Sse::Unset => "none".to_owned(),
        Sse::Aes256 => "AES256".to_owned(),
        Sse::Kms { key_id: None } => "aws:kms".to_owned(),
        Sse::Kms { key_id: Some(id) } => format!("aws:kms, key {id}"),
    }
}

fn log_format(format: Option<LogFormat>) -> &'static str {
    match format {
        None => "human on a terminal, otherwise logfmt",
        Some(LogFormat::Human) => "human",
        Some(LogFormat::Logfmt) => "logfmt",
        Some(LogFormat::Json) => "json",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = r#"
server: { host: "127.0.0.1" }
s3:
  region: "us-east-1"
  endpoint: "http://localhost:9000"
  bucket: "backups"
  path_prefix: "sites/"
  access_key_id: "AKIA1"
  secret_access_key: "hush-hush"
clients:
  - { name: "webapp-prod", api_key: "sk_live_0123456789012345678901234567890123456789012", max_file_size_mb: 100 }
"#;

    #[test]
    fn the_text_shows_every_setting_and_no_secret() {
        let config = Config::parse(Path::new("server.yaml"), TEXT, &|_| None).unwrap();

        assert_eq!(
            to_text(&config),
            "\
server
  listen                  127.0.0.1:8080
  TLS certificate         off
  max_connections         10000
  buffer_budget           192 MiB
s3
  endpoint                http://localhost:9000
  profile                 generic
  region                  us-east-1
  bucket                  backups
  path_prefix             \"sites/\"
  credentials             AKIA1 (secret hidden)
  part_size               8.0 MiB
  parts_max               10000
  storage_class           STANDARD
  sse                     none
  ca_file                 those of the system
  require_versioning      false
client webapp-prod
  allow                   upload, exists, download, list
  overwrite               versioned
  max_file_size           100 MiB
  allowed_extensions      any
  max_concurrent_uploads  32
database
  location                SQLite database /var/lib/s3up-server/gateway.db
  keep_days               400
log
  format                  human on a terminal, otherwise logfmt
"
        );
    }
}
