//! The effective configuration, formatted for `check-config`: every default
//! filled in, no secret.

use std::fmt::Display;

use s3up_cli::LogFormat;
use s3up_core::Size;
use s3up_store::{Credentials, Profile, Sse};

use super::Config;
use crate::clients::ClientPolicy;

impl Config {
    pub fn summary(&self) -> String {
        let mut text = String::from("server\n");
        let tls = self.tls.as_ref().map_or("off".into(), |tls| tls.cert.display().to_string());
        line(&mut text, "listen", self.listen);
        line(&mut text, "TLS certificate", tls);
        line(&mut text, "max_connections", self.connections_max);
        line(&mut text, "buffer_budget", Size(self.store.buffer_budget_bytes));
        self.s3_summary(&mut text);
        for policy in self.clients.policies() {
            client_summary(&mut text, policy);
        }
        text.push_str("database\n");
        line(&mut text, "location", &self.database.location);
        line(&mut text, "keep_days", self.database.keep_days);
        text.push_str("log\n");
        line(&mut text, "format", log_format(self.log_format));
        text
    }

    fn s3_summary(&self, text: &mut String) {
        let store = &self.store;
        text.push_str("s3\n");
        line(text, "endpoint", store.endpoint.as_deref().unwrap_or("AWS"));
        line(text, "profile", profile(store.profile));
        line(text, "region", &store.region);
        line(text, "bucket", &store.bucket);
        line(text, "path_prefix", format!("{:?}", self.prefix.as_str()));
        line(text, "credentials", credentials(&store.credentials));
        line(text, "part_size", Size(self.part_bytes));
        line(text, "parts_max", self.parts_max);
        line(text, "storage_class", store.storage_class.as_deref().unwrap_or("STANDARD"));
        line(text, "sse", sse(&store.sse));
        let ca_file = store.ca_file.as_ref().map(|path| path.display().to_string());
        line(text, "ca_file", ca_file.as_deref().unwrap_or("those of the system"));
        line(text, "require_versioning", self.require_versioning);
    }
}

fn client_summary(text: &mut String, policy: &ClientPolicy) {
    let rights: Vec<_> = policy.rights.iter().map(ToString::to_string).collect();
    let limit = policy.file_bytes_max.map(|max| Size(max).to_string());
    let extensions = policy.extensions.as_ref().map(|list| list.join(", "));
    text.push_str(&format!("client {}\n", policy.name));
    line(text, "allow", rights.join(", "));
    line(text, "overwrite", policy.overwrite);
    line(text, "max_file_size", limit.as_deref().unwrap_or("none"));
    line(text, "allowed_extensions", extensions.as_deref().unwrap_or("any"));
    line(text, "max_concurrent_uploads", policy.uploads_max);
    let rate = policy.requests_per_second_max.map(|limit| limit.to_string());
    let quota = policy.quota_bytes.map(|bytes| Size(bytes).to_string());
    line(text, "quota", quota.as_deref().unwrap_or("none"));
    line(text, "max_requests_per_second", rate.as_deref().unwrap_or("no limit"));
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
