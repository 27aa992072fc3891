use s3up_core::Sha256Digest;
use s3up_store::{Profile, Sse};
use s3up_testkit::golden::KeyProbe;
use serde_json::json;

use super::*;

const GOOD: &str = r#"
server:
  host: "127.0.0.1"
s3:
  region: "us-east-1"
  bucket: "backups"
  path_prefix: "sites/"
  access_key_id: "${ID}"
  secret_access_key: "${SECRET}"
clients:
  - { name: "webapp-prod", api_key: "sk_live_0123456789012345678901234567890123456789012", max_file_size_mb: 100 }
"#;

fn parse(text: &str) -> Result<Config, String> {
    let env = |name: &str| match name {
        "ID" => Some("AKIA1".to_owned()),
        "SECRET" => Some("hush-hush".to_owned()),
        _ => None,
    };
    Config::parse(Path::new("server.yaml"), text, &env).map_err(|err| err.to_string())
}

#[test]
fn a_minimal_file_gets_the_defaults() {
    let config = parse(GOOD).unwrap();

    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.prefix.as_str(), "sites/");
    assert_eq!(config.part_bytes, 8 * MIB);
    assert_eq!(config.store.profile, Profile::Aws);
    assert_eq!(config.store.sse, Sse::Aes256);
    assert_eq!(config.store.buffer_budget_bytes, 192 * MIB);
    assert_eq!(config.database.keep_days, 400);
    let database = config.database.location.to_string();
    assert_eq!(database, "SQLite database /var/lib/s3up-server/gateway.db");
    let key = "sk_live_0123456789012345678901234567890123456789012";
    let client = config.clients.find(key).unwrap();
    assert_eq!(client.policy.name.as_str(), "webapp-prod");
    assert_eq!(client.policy.file_bytes_max, Some(100 * MIB));
    assert!(config.clients.find("sk_live_").is_none());
    assert!(config.clients.find("").is_none());
}

#[test]
fn freezes_are_remembered_beside_the_database_or_in_the_directory_of_the_service() {
    let postgres = GOOD.replace("s3:", "database: { url: \"postgresql://h/d\" }\ns3:");
    let beside = Some("/var/lib/s3up-server/gateway.db.freezes");
    #[rustfmt::skip]
    let cases = [
        (GOOD,         None,                  beside),
        (GOOD,         Some("/state"),        beside),
        (&*postgres,   None,                  None),
        (&*postgres,   Some("/state"),        Some("/state/freezes")),
        (&*postgres,   Some("/state:/other"), Some("/state/freezes")),
        (&*postgres,   Some(""),              None),
    ];
    for (text, state_dirs, want) in cases {
        let database = parse(text).unwrap().database.with_state_dir(state_dirs.map(Into::into));
        assert_eq!(database.freezes_file.as_deref(), want.map(Path::new), "{text} {state_dirs:?}");
    }
}

#[test]
fn the_table_of_keys_has_the_defaults_of_the_code() {
    let printed = crate::commands::effective_yaml(&parse(GOOD).unwrap());
    let loaded: LoadedConfig<serde_json::Value> =
        s3up_cli::config::parse(Path::new("server.yaml"), &printed, &|_| None).unwrap();
    let mut defaults = s3up_testkit::golden::key_defaults("## `server.yaml`");
    // Without TLS, another address than that of loopback is refused. The durations are printed in seconds.
    defaults.retain(|(key, _)| key != "server.host" && !key.ends_with("_after"));
    assert!(defaults.len() >= 10, "{defaults:?}");
    for (key, default) in defaults {
        // The thresholds are printed with each client.
        let key = key.replace("fleet.", "clients[].");
        let path = format!("/{}", key.replace("[]", ".0").replace('.', "/"));
        let Some(value) = loaded.raw.pointer(&path) else {
            assert!(key.starts_with("alerts."), "{key} is not in {printed}");
            continue;
        };
        let printed = value.to_string();
        let is_same = value.as_str() == Some(&default) || printed == default;
        assert!(is_same, "{key}: expected {value}, found {default} in docs/configuration.md");
    }
}

#[test]
fn the_table_of_keys_has_the_limits_of_the_code() {
    let good: serde_json::Value =
        s3up_cli::config::parse(Path::new("server.yaml"), GOOD, &|_| Some("a-secret".to_owned()))
            .unwrap()
            .raw;
    let probes = s3up_testkit::golden::key_probes("## `server.yaml`");
    assert!(probes.len() >= 40, "{probes:?}");
    for KeyProbe { key, value, is_valid } in probes {
        let mut raw = good.clone();
        if key.starts_with("alerts.mail.") {
            let (from, to) = ("a@example.org", ["b@example.org"]);
            raw["alerts"]["mail"] = json!({ "host": "localhost", "from": from, "to": to });
        }
        let clients = key.strip_prefix("clients[].");
        let section = if clients.is_some() { &mut raw["clients"][0] } else { &mut raw };
        let mut place = section;
        for name in clients.unwrap_or(&key).split('.') {
            place = &mut place[name];
        }
        *place = value.clone();
        if value == "aws:kms" {
            raw["s3"]["kms_key_id"] = json!("a-key");
        }

        let found = parse(&raw.to_string());
        assert_eq!(found.is_ok(), is_valid, "{key}: {value}: {:?}", found.err());
    }
}

#[test]
fn the_examples_of_the_documents_are_valid() {
    let examples = s3up_testkit::golden::examples("yaml", "clients:");
    assert!(!examples.is_empty());
    for (page, text) in examples {
        let text = text.replace("THE DIGEST FROM keygen", &"05".repeat(32));
        let any = |_: &str| Some("a-secret".to_owned());
        if let Err(err) = Config::parse(Path::new("server.yaml"), &text, &any) {
            panic!("{page}: {err}: {text}");
        }
    }
}

#[test]
fn the_example_of_the_package_is_valid() {
    let text = include_str!("../../../../packaging/examples/s3up-server.yaml");
    let key = |_: &str| Some("a-secret".to_owned());
    let config = Config::parse(Path::new("server.yaml"), text, &key).unwrap();
    assert!(config.tls.is_some() && config.require_versioning);
}

#[test]
fn the_debug_form_shows_no_secret() {
    let config = parse(GOOD).unwrap();

    let text = format!("{config:?}");
    assert!(text.contains("AKIA1") && text.contains("webapp-prod"), "{text}");
    assert!(!text.contains("hush-hush") && !text.contains("sk_live_"), "{text}");
}

#[test]
fn an_error_names_the_file_and_the_key() {
    #[rustfmt::skip]
    let cases = [
        ("region: \"us-east-1\"", "region: \"\"",  "s3.region: expected a name"),
        ("bucket: \"backups\"", "bukket: \"b\"",   "unknown key"),
        ("\"127.0.0.1\"", "\"0.0.0.0\"",           "server.host: expected a loopback address without TLS"),
        ("\"127.0.0.1\"", "\"localhorst\"",        "server.host: expected an IP address"),
        ("${ID}", "${NO_SUCH}",                    "NO_SUCH"),
        ("s3:", "database: { path: \"a.db\" }\ns3:", "database.path: expected an absolute path"),
        ("s3:", "database: { url: \"mysql://u:hush-hush@h/d\" }\ns3:", "database.url: expected postgresql://"),
        ("s3:", "database: { path: \"/a\", url: \"postgresql://h/d\" }\ns3:", "database.url: expected either"),
        ("s3:", "activity: { keep_days: 0 }\ns3:", "activity.keep_days: expected 1 to 36525, found 0"),
        ("s3:", "fleet: { lag_after: soon }\ns3:", "fleet.lag_after: expected a time like 90s, 30m, 2h or 1d, found \"soon\""),
        ("s3:", "fleet: { silent_after: 2m }\ns3:", "fleet.silent_after: expected at least 5m, found 2m"),
        ("s3:", "admin_keys: [short]\ns3:",        "admin_keys[0]: expected at least 32 characters, found 5"),
        ("s3:", "admin_keys: [sk_live_0123456789012345678901234567890123456789012]\ns3:", "admin_keys[0]: expected another key than those of clients, found that of webapp"),
        ("s3:", "alerts: { webhook_url: \"ftp://hush-hush\" }\ns3:", "alerts.webhook_url: expected a URL with http:// or https:// and a host"),
        ("s3:", "alerts: { mail: { host: h, from: me, to: [a@b.org] } }\ns3:", "alerts.mail.from: expected an address like ops@example.org, found \"me\""),
        ("s3:", "alerts: { mail: { host: h, from: a@b.org, to: [] } }\ns3:", "alerts.mail.to: expected at least one address"),
        ("s3:", "alerts: { mail: { host: h, from: a@b.org, to: [a@b.org], user: u } }\ns3:", "alerts.mail.user: expected `user` and `password`, found one of them"),
        ("s3:", "alerts: { mail: { host: h, tls: none, from: a@b.org, to: [a@b.org], user: u, password: hush-hush } }\ns3:", "alerts.mail.tls: expected `starttls` or `implicit`"),
        ("${SECRET}", "",                          "s3.secret_access_key: expected a value, since `s3.access_key_id` is set"),
        ("\"sites/\"", "\"/sites\"",               "s3.path_prefix: prefix \"/sites\": expected a relative path, found a slash at its start"),
        ("webapp-prod", "WebApp",                  "clients[0].name: client name \"WebApp\""),
        ("_mb: 100", "_mb: 0",                     "clients[0].max_file_size_mb: expected at least 1, found 0"),
        ("_mb: 100", "_mb: much",                  "clients[0].max_file_size_mb"),
        ("sk_live_0123456789012345678901234567890123456789012", "short", "clients[0].api_key: expected at least 32 characters, found 5"),
        ("api_key:", "api_key_sha256:",            "clients[0].api_key_sha256: expected 64 hex digits"),
        ("max_file_size_mb: 100", "allow: [erase]", "clients[0].allow[0]"),
        ("host:", "tls: { enabled: true }\n  host:", "server.tls.cert_file: expected a file"),
        ("host:", "trusted_proxies: [\"::1\", \"proxy\"]\n  host:", "server.trusted_proxies[1]: expected an address"),
        ("host:", "tls: { cert_file: \"x.pem\" }\n  host:", "server.tls.cert_file: expected an absolute path"),
        ("host:", "buffer_budget_mb: 8\n  host:",  "server.buffer_budget_mb: expected at least 16, two parts of `s3.part_size_mb`, found 8"),
        ("region:", "part_size_mb: 4\n  region:",  "s3.part_size_mb: expected at least 5, the minimum of S3, found 4"),
        ("region:", "endpoint: \"minio:9000\"\n  region:", "s3.endpoint: expected a URL"),
        ("region:", "sse: \"AES\"\n  region:",     "s3.sse: expected \"AES256\""),
        ("region:", "kms_key_id: \"k\"\n  region:", "s3.kms_key_id: expected only with"),
        ("region:", "storage_class: \"DEEP_ARCHIVE\"\n  region:", "s3.storage_class: expected one of STANDARD"),
    ];
    for (old, new, want) in cases {
        assert!(GOOD.contains(old), "{old}");
        let err = parse(&GOOD.replace(old, new)).unwrap_err();
        assert!(err.starts_with("server.yaml:") && err.contains(want), "{new}: {err}");
        assert!(!err.contains('\n') && !err.contains("hush-hush"), "{new}: {err}");
    }
}

#[test]
fn no_two_clients_share_a_name_or_a_key() {
    let second = "  - { name: \"other\", api_key: \"sk_live_1123456789012345678901234567890123456789012\" }\n";
    parse(&format!("{GOOD}{second}")).unwrap();
    #[rustfmt::skip]
    let cases = [
        ("other", "webapp-prod",     "clients[1].name: expected a name of its own, found webapp-prod twice"),
        ("sk_live_1", "sk_live_0",   "clients[1].api_key: expected a key of its own, found the key of client webapp-prod"),
    ];
    for (old, new, want) in cases {
        let err = parse(&format!("{GOOD}{}", second.replace(old, new))).unwrap_err();
        assert!(err.contains(want), "{err}");
    }
}

#[test]
fn a_key_may_be_given_by_its_digest() {
    let key = "sk_live_0123456789012345678901234567890123456789012";
    let digest = Sha256Digest::of(key.as_bytes());
    let by_digest =
        GOOD.replace(&format!("api_key: \"{key}\""), &format!("api_key_sha256: \"{digest}\""));
    assert!(!by_digest.contains("sk_live_"));

    assert!(parse(&by_digest).unwrap().clients.find(key).is_some());

    let (other_key, other) = ("s3up_other", Sha256Digest::of(b"s3up_other"));
    let two = by_digest.replace(
        &format!("api_key_sha256: \"{digest}\""),
        &format!("api_keys_sha256: [\"{digest}\", \"{other}\"]"),
    );
    let clients = parse(&two).unwrap().clients;
    assert!(clients.find(key).is_some() && clients.find(other_key).is_some());
    let err = parse(&two.replace(&other.to_string(), "abc")).unwrap_err();
    assert!(err.contains("clients[0].api_keys_sha256[1]: expected 64 hex digits"), "{err}");
}

#[test]
fn the_digest_of_an_empty_key_is_refused() {
    let key = "api_key: \"sk_live_0123456789012345678901234567890123456789012\"";
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    #[rustfmt::skip]
    let cases = [
        (format!("api_key_sha256: {empty}"),                   "clients[0].api_key_sha256"),
        (format!("api_key_sha256: {}", empty.to_uppercase()),  "clients[0].api_key_sha256"),
        (format!("api_keys_sha256: [{empty}]"),                "clients[0].api_keys_sha256[0]"),
    ];
    for (instead, field) in cases {
        let text = GOOD.replace(key, &instead);
        assert!(text.contains(&instead));
        let err = parse(&text).unwrap_err();
        let want = format!("{field}: this is the SHA-256 of an empty key");
        assert!(err.contains(&want), "{err}");
    }
}
