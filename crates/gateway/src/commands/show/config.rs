//! The effective configuration as YAML, for `check-config`: every default filled in, and no secret.
//!
//! It loads again as it is. Client keys are shown as their SHA-256, with which the gateway works as well;
//! other secrets are `***`.

use std::fmt::Display;
use std::time::Duration;

use s3up_cli::LogFormat;
use s3up_core::part::{GIB, MIB};
use s3up_store::{Credentials, Profile, Sse};

use crate::clients::{ClientPolicy, KeyRights};
use crate::config::Config;
use crate::database::Location;
use crate::mail::{MailSettings, MailTls};
use crate::webhook::Alerts;

const REDACTED: &str = "***";

/// The lines of a file in YAML.
struct Yaml {
    text: String,
    indent: &'static str,
}

pub fn to_yaml(config: &Config) -> String {
    let mut yaml = Yaml { text: String::new(), indent: "" };
    server(&mut yaml, config);
    s3(&mut yaml, config);
    database(&mut yaml, config);
    yaml.section("dashboard");
    yaml.key("downloads", config.dashboard_downloads);
    fleet(&mut yaml, config);
    if let Some(format) = config.log_format {
        yaml.section("log");
        yaml.text_key("format", log_format(format));
    }
    yaml.section("clients");
    for policy in config.clients.policies() {
        client(&mut yaml, config, policy);
    }
    yaml.text
}

fn server(yaml: &mut Yaml, config: &Config) {
    let host = config.listen.ip();
    yaml.section("server");
    yaml.text_key("host", host);
    yaml.key("port", config.listen.port());
    yaml.key("max_connections", config.connections_max);
    yaml.key("buffer_budget_mb", config.store.buffer_budget_bytes / MIB);
    let proxies: Vec<_> = config.trusted_proxies.iter().map(quoted).collect();
    yaml.key("trusted_proxies", format!("[{}]", proxies.join(", ")));
    yaml.line("tls:");
    yaml.indent = "    ";
    yaml.key("enabled", config.tls.is_some());
    match &config.tls {
        Some(tls) => {
            yaml.text_key("cert_file", tls.cert.display());
            yaml.text_key("key_file", tls.key.display());
        }
        None => yaml.key("allow_plaintext", !host.is_loopback()),
    }
}

fn s3(yaml: &mut Yaml, config: &Config) {
    let store = &config.store;
    yaml.section("s3");
    match &store.endpoint {
        Some(endpoint) => yaml.text_key("endpoint", endpoint),
        None => yaml.line("# endpoint: not set, AWS"),
    }
    yaml.text_key("profile", profile(store.profile));
    yaml.text_key("region", &store.region);
    yaml.text_key("bucket", &store.bucket);
    yaml.text_key("path_prefix", config.prefix.as_str());
    match &store.credentials {
        Credentials::Explicit { access_key_id, .. } => {
            yaml.text_key("access_key_id", access_key_id);
            yaml.text_key("secret_access_key", REDACTED);
        }
        Credentials::DefaultChain => {
            yaml.line("# access_key_id: not set, from the environment, an AWS profile or a role");
        }
    }
    yaml.key("part_size_mb", config.part_bytes / MIB);
    yaml.key("parts_max", config.parts_max);
    yaml.text_key("storage_class", store.storage_class.as_deref().unwrap_or("STANDARD"));
    yaml.text_key("sse", sse(&store.sse));
    if let Sse::Kms { key_id: Some(key_id) } = &store.sse {
        yaml.text_key("kms_key_id", key_id);
    }
    match &store.ca_file {
        Some(path) => yaml.text_key("ca_file", path.display()),
        None => yaml.line("# ca_file: not set, system CA certificates"),
    }
    yaml.key("require_versioning", config.require_versioning);
    let accepted = config.accepted_rules.iter();
    let accepted: Vec<_> =
        accepted.map(|rule| format!("{}: {}", quoted(&rule.id), rule.days)).collect();
    yaml.key("accepted_rules", format!("{{{}}}", accepted.join(", ")));
}

fn database(yaml: &mut Yaml, config: &Config) {
    yaml.section("database");
    match &config.database.location {
        Location::Sqlite(path) => yaml.text_key("path", path.display()),
        Location::Postgres(_) => yaml.text_key("url", format!("postgresql://{REDACTED}")),
    }
    yaml.section("activity");
    yaml.key("keep_days", config.database.keep_days);
}

fn fleet(yaml: &mut Yaml, config: &Config) {
    let keys = config.admin_keys.digests().map(ToString::to_string).collect();
    yaml.indent = "";
    yaml.key("admin_keys_sha256", list(keys));
    let Alerts { webhook_url, ping_url, report_at, mail } = &config.alerts;
    if webhook_url.is_none() && ping_url.is_none() && mail.is_none() && report_at.is_none() {
        return;
    }
    yaml.section("alerts");
    for (key, url) in [("webhook_url", webhook_url), ("ping_url", ping_url)] {
        if let Some(url) = url {
            yaml.text_key(key, format!("https://{}/{REDACTED}", url.host()));
        }
    }
    if let Some(at) = report_at {
        yaml.text_key("report_at", at.strftime("%H:%M"));
    }
    if let Some(MailSettings { host, port, tls, from, to, user }) = mail {
        yaml.line("mail:");
        yaml.indent = "    ";
        yaml.text_key("host", host);
        yaml.key("port", port);
        yaml.text_key("tls", mail_tls(*tls));
        yaml.text_key("from", from);
        yaml.key("to", list(to.iter().map(ToString::to_string).collect()));
        if let Some((user, _)) = user {
            yaml.text_key("user", user);
            yaml.text_key("password", REDACTED);
        }
        yaml.indent = "  ";
    }
}

fn client(yaml: &mut Yaml, config: &Config, policy: &ClientPolicy) {
    let keys = |rights| {
        let keys = config
            .clients
            .keys()
            .filter(move |(client, _, of_key)| **client == policy.name && *of_key == rights);
        list(keys.map(|(_, key, _)| key.to_string()).collect())
    };
    yaml.line(&format!("- name: {}", quoted(&policy.name)));
    yaml.indent = "    ";
    yaml.key("api_keys_sha256", keys(KeyRights::OfClient));
    yaml.key("restore_keys_sha256", keys(KeyRights::Restore));
    let rights = policy.rights.iter().map(ToString::to_string);
    yaml.key("allow", format!("[{}]", rights.collect::<Vec<_>>().join(", ")));
    yaml.text_key("overwrite", policy.overwrite);
    yaml.key("max_concurrent_uploads", policy.uploads_max);
    yaml.limit("max_file_size_mb", policy.file_bytes_max.map(|bytes| bytes / MIB));
    yaml.limit("quota_gb", policy.quota_bytes.map(|bytes| bytes / GIB));
    yaml.limit("max_requests_per_second", policy.requests_per_second_max);
    yaml.text_key("silent_after", seconds(policy.silent_after));
    yaml.text_key("lag_after", seconds(policy.lag_after));
    match policy.backup_late_after {
        Some(age) => yaml.text_key("backup_late_after", seconds(age)),
        None => yaml.line("# backup_late_after: not set, by the schedule of the host"),
    }
    yaml.text_key("drill_after", seconds(policy.drill_after));
    yaml.key("changed_percent", policy.changed_percent);
    yaml.key("changed_files_min", policy.changed_files_min);
    match &policy.extensions {
        Some(extensions) => yaml.key("allowed_extensions", list(extensions.clone())),
        None => yaml.line("# allowed_extensions: not set, all are allowed"),
    }
    yaml.indent = "  ";
}

impl Yaml {
    fn section(&mut self, name: &str) {
        self.text.push_str(&format!("{name}:\n"));
        self.indent = "  ";
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&format!("{}{line}\n", self.indent));
    }

    fn key(&mut self, name: &str, value: impl Display) {
        self.line(&format!("{name}: {value}"));
    }

    fn text_key(&mut self, name: &str, value: impl Display) {
        self.key(name, quoted(value));
    }

    fn limit<T: Display>(&mut self, name: &str, value: Option<T>) {
        match value {
            Some(value) => self.key(name, value),
            None => self.line(&format!("# {name}: not set, no limit")),
        }
    }
}

/// Formats an age as the configuration has it.
fn seconds(age: Duration) -> String {
    format!("{}s", age.as_secs())
}

fn list(texts: Vec<String>) -> String {
    let texts: Vec<_> = texts.iter().map(quoted).collect();
    format!("[{}]", texts.join(", "))
}

/// Formats a text. A string of JSON is one of YAML; `${` would be read as a variable.
fn quoted(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string().replace("${", "$${")
}

fn profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Aws => "aws",
        Profile::Generic => "generic",
    }
}

fn sse(sse: &Sse) -> &'static str {
    match sse {
        Sse::Unset => "none",
        Sse::Aes256 => "AES256",
        Sse::Kms { .. } => "aws:kms",
    }
}

fn mail_tls(tls: MailTls) -> &'static str {
    match tls {
        MailTls::Implicit => "implicit",
        MailTls::Starttls => "starttls",
        MailTls::None => "none",
    }
}

fn log_format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Human => "human",
        LogFormat::Logfmt => "logfmt",
        LogFormat::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KEY: &str = "sk_live_0123456789012345678901234567890123456789012";
    const OTHER_KEY: &str = "sk_live_other_5678901234567890123456789012345678901";
    const ADMIN_KEY: &str = "admin_0123456789012345678901234567890123456789012345";
    const ALL: &str = r#"
server: { host: "0.0.0.0", port: 1, max_connections: 2, buffer_budget_mb: 100, trusted_proxies: ["10.0.0.0/8"], tls: { allow_plaintext: true } }
s3:
  region: "eu"
  endpoint: "https://s3.example.com"
  bucket: "b"
  path_prefix: "odd $${name}/"
  access_key_id: "AKIA1"
  secret_access_key: "hush-hush"
  profile: aws
  part_size_mb: 16
  parts_max: 1000
  storage_class: STANDARD_IA
  sse: aws:kms
  kms_key_id: "key \"1\""
  ca_file: "/etc/ca.pem"
  require_versioning: true
  accepted_rules: { tidy: 90, "old: 1": 3 }
database: { url: "postgres://user:hush-hush@db/s3up" }
activity: { keep_days: 5 }
dashboard: { downloads: true }
log: { format: json }
admin_keys: ["KEY_OF_ADMIN"]
fleet: { silent_after: 2h, lag_after: 30m, backup_late_after: 3d, drill_after: 40d, changed_percent: 10, changed_files_min: 20 }
alerts:
  webhook_url: "https://hooks.example.com/hush-hush"
  ping_url: "http://ping.example.com/hush-hush"
  report_at: "07:30"
  mail: { host: mail.example.com, from: a@example.com, to: [b@example.com], user: u, password: hush-hush }
clients:
  - { name: "a", api_keys: ["KEY", "OTHER_KEY"], max_file_size_mb: 100, quota_gb: 3, overwrite: never, allow: [upload],
      max_concurrent_uploads: 4, max_requests_per_second: 5, allowed_extensions: [".JPG", "tar.gz"] }
"#;
    const MINIMAL: &str = r#"
server: { host: "127.0.0.1" }
s3: { region: "us-east-1", bucket: "backups" }
clients: [{ name: "web", api_key: "KEY" }]
"#;

    fn load(text: &str) -> Config {
        let text = text
            .replace("OTHER_KEY", OTHER_KEY)
            .replace("KEY_OF_ADMIN", ADMIN_KEY)
            .replace("\"KEY", &format!("\"{KEY}"));
        let loaded = Config::parse(Path::new("server.yaml"), &text, &|_| None);
        loaded.unwrap_or_else(|err| panic!("{err}: {text}"))
    }

    #[test]
    fn the_shown_configuration_loads_again_and_has_no_secret() {
        for text in [ALL, MINIMAL] {
            let config = load(text);

            let shown = to_yaml(&config);

            assert!(!shown.contains("hush-hush") && !shown.contains("sk_live"), "{shown}");
            assert!(!shown.contains(ADMIN_KEY), "{shown}");
            let again = load(&shown);
            assert_eq!(to_yaml(&again), shown);
            let of = |config: &Config, key| config.clients.find(key).map(|it| it.policy);
            for key in [KEY, OTHER_KEY] {
                assert_eq!(of(&again, key), of(&config, key), "{shown}");
            }
            let facts = |config: &Config| {
                let Config { listen, connections_max, prefix, part_bytes, parts_max, .. } = config;
                let store = &config.store;
                let s3 = (store.endpoint.clone(), store.sse.clone(), store.storage_class.clone());
                (*listen, *connections_max, prefix.clone(), *part_bytes, *parts_max, s3)
            };
            assert_eq!(facts(&again), facts(&config));
            assert_eq!(again.admin_keys, config.admin_keys);
            assert_eq!(again.accepted_rules, config.accepted_rules);
        }
    }
}
