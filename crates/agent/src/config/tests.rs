use s3up_testkit::golden::KeyProbe;

use super::*;

const GOOD: &str = r#"
server: { url: "https://backup.example:8080", api_key: "sk_live_secret" }
database: { path: "/var/lib/s3up/client.db" }
watches:
  - { local_path: "/srv/up/", remote_prefix: "uploads/" }
  - { local_path: "/srv/up2", remote_prefix: "more" }
"#;

#[test]
fn a_key_that_is_left_out_has_its_default() {
    let config = parse(GOOD).unwrap();

    assert!(!config.upload_existing);
    assert_eq!(config.scans.every, Duration::from_secs(3600));
    let on_max_attempts = settling::OnMaxAttempts::Skip;
    let debounce = Duration::from_secs(3);
    let hot_every = Duration::from_secs(3600);
    assert_eq!(
        config.settle,
        settling::SettlePolicy { debounce, max_attempts: 100, on_max_attempts, hot_every }
    );
    assert_eq!(config.spool.dir.as_os_str(), "/var/lib/s3up/spool");
    assert_eq!(config.spool.bytes_max, 1 << 30);
    let quick_delay = Duration::from_secs(5);
    assert_eq!(config.retry, retry::RetryPolicy { quick_tries: 3, quick_delay });
    assert_eq!((config.lanes.short, config.lanes.long), (8, 2));
    assert_eq!(config.file_bytes_max, None);
    assert_eq!(config.report_time, Time::constant(0, 10, 0, 0));
    assert!(config.watches.iter().all(|watch| watch.recursive && !watch.poll));
    assert_eq!(config.upload_bytes_per_second, None);
    let root = &config.watches[0].root;
    assert_eq!(root.as_os_str(), "/srv/up", "without a trailing slash");
    assert_eq!(config.watches[0].prefix.as_str(), "uploads/");
    assert_eq!(config.watches[1].prefix.as_str(), "more/");
}

#[test]
fn a_configuration_of_older_agents_is_accepted() {
    let text = r#"
server: { url: "https://backup.mycompany.com:8080", api_key: "sk_live_0" }
database: { path: "/var/lib/s3uploader/client.db" }
watches:
  - { local_path: "/var/www/webapp/uploads", remote_prefix: "uploads/", recursive: true }
scan: { upload_existing: false }
stability: { debounce_seconds: 3, max_attempts: 100 }
upload: { retry_attempts: 3, retry_delay_seconds: 5 }
"#;
    parse(text).unwrap();
}

#[test]
fn an_error_names_file_line_and_key() {
    #[rustfmt::skip]
    let cases = [
        ("https://backup.example:8080", "http://backup.example", "2: server.url: expected https, found http, which would send the client key in the clear; to allow that, set server.insecure: true"),
        ("https://backup.example:8080", "ftp://backup.example",  "2: server.url: expected a URL that starts with https://"),
        ("https://backup.example:8080", "backup.example:8080",   "2: server.url: expected a URL that starts with https://"),
        ("https://backup.example:8080", "https://",              "2: server.url: expected a URL, found \"https://\": empty host"),
        ("https://backup.example:8080", "https://me:x@host",     "2: server.url: expected a URL without a user name; the key belongs in server.api_key"),
        ("https://backup.example:8080", "http://localhost.evil.example", "2: server.url: expected https, found http, which would send the client key in the clear; to allow that, set server.insecure: true"),
        ("\"sk_live_secret\"",          "\"\"",                  "2: server.api_key: expected a key of printable ASCII without spaces; create one with `s3up-server keygen`"),
        ("\"sk_live_secret\"",          "\"a b\"",               "2: server.api_key: expected a key of printable ASCII without spaces; create one with `s3up-server keygen`"),
        ("/var/lib/s3up/client.db",     "client.db",             "3: database.path: expected an absolute path, found \"client.db\""),
        ("/srv/up/",                    "srv/up",                "5: watches[0].local_path: expected an absolute path, found \"srv/up\""),
        ("/srv/up/",                    "/srv/../etc",           "5: watches[0].local_path: expected a path without `.` and `..` segments"),
        ("/srv/up2",                    "/srv/up/sub",           "6: watches[1].local_path: \"/srv/up/sub\" overlaps with \"/srv/up\", so files would be uploaded twice; watch only the outer one"),
        ("/srv/up2",                    "/srv",                  "6: watches[1].local_path: \"/srv\" overlaps with \"/srv/up\", so files would be uploaded twice; watch only the outer one"),
        ("/srv/up2",                    "/srv//up",              "6: watches[1].local_path: \"/srv/up\" overlaps with \"/srv/up\", so files would be uploaded twice; watch only the outer one"),
        ("\"more\"",                    "\"uploads\"",           "6: watches[1].remote_prefix: prefix \"uploads/\" overlaps with \"uploads/\" of \"/srv/up\", so two files could have the same remote path and overwrite each other; use prefixes that are not inside each other"),
        ("\"more\"",                    "\"uploads/sub/\"",      "6: watches[1].remote_prefix: prefix \"uploads/sub/\" overlaps with \"uploads/\" of \"/srv/up\", so two files could"),
        ("\"more\"",                    "\"\"",                  "6: watches[1].remote_prefix: prefix \"\" overlaps with \"uploads/\" of \"/srv/up\", so two files could"),
        ("\"more\"",                    "\"\", recursive: true", "6: watches[1].remote_prefix: prefix \"\" overlaps with \"uploads/\" of \"/srv/up\", so two files could"),
        ("\"more\"",                    "\"../more\"",           "6: watches[1].remote_prefix: prefix \"../more\": expected no segment \".\" or \"..\", found one; send the resolved path"),
        ("\"more\"",                    "\"/more\"",             "6: watches[1].remote_prefix: prefix \"/more\": expected a relative path, found a slash at its start"),
        ("\"more\" }",                  "\"more\", exclude: [\"a\", \"{x\"] }", "6: watches[1].exclude[1]: "),
        ("\"more\" }",                  "\"more\", recursiv: false }", "6: watches[1].recursiv: "),
    ];
    for (good, bad, want) in cases {
        let message = parse(&GOOD.replace(good, bad)).unwrap_err().to_string();
        let want = format!("client.yaml:{want}");
        assert!(message.starts_with(&want), "\n{message}\n{want}");
    }
}

#[test]
fn prefixes_whose_files_cannot_share_a_remote_path_are_accepted() {
    for prefix in ["\"uploads2/\"", "\"upload\"", "\"\", recursive: false", "\"a/uploads\""] {
        parse(&GOOD.replace("\"more\"", prefix)).unwrap_or_else(|err| panic!("{prefix}: {err}"));
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    #[rustfmt::skip]
    let cases = [
        ("scan: { interval_minutes: 0 }",           "7: scan.interval_minutes: expected 1 to 10080, found 0"),
        ("stability: { debounce_seconds: 0 }",      "7: stability.debounce_seconds: expected 0.1 to 3600, found 0"),
        ("stability: { max_attempts: 0 }",          "7: stability.max_attempts: expected at least 1, found 0"),
        ("stability: { on_max_attempts: never }",   "7: stability.on_max_attempts: "),
        ("upload: { concurrent: 0 }",               "7: upload.concurrent: expected 1 to 256, found 0"),
        ("upload: { concurrent: 300 }",             "7: upload.concurrent: expected 1 to 256, found 300"),
        ("upload: { retry_delay_seconds: -1 }",     "7: upload.retry_delay_seconds: expected 0 to 300, found -1"),
        ("upload: { max_file_size_mb: 0 }",         "7: upload.max_file_size_mb: expected at least 1, found 0; leave the key out for no limit"),
        ("upload: { bandwidth_limit_mb: 0 }",       "7: upload.bandwidth_limit_mb: expected at least 1, found 0; leave the key out for no limit"),
        ("report: { time: \"24:00\" }",              "7: report.time: expected a time like 00:10, found \"24:00\""),
        ("report: { time: noon }",                  "7: report.time: expected a time like 00:10, found \"noon\""),
        ("cleanup: { after_days: 0 }",              "7: cleanup.after_days: expected 1 to 36500, found 0"),
        ("cleanup: { time: \"3\" }",                "7: cleanup.time: expected a time like 03:00, found \"3\""),
        ("cleanup: { files_per_minute: 0 }",        "7: cleanup.files_per_minute: expected at least 1, found 0"),
        ("cleanup: { min_free_gb: 0 }",             "7: cleanup.min_free_gb: expected at least 1, found 0; leave the key out to delete in any case"),
        ("cleanup: { exclude: [\"{x\"] }",          "7: cleanup.exclude[0]: "),
        ("cleanup: { now: true }",                  "7: cleanup.now: "),
    ];
    for (line, want) in cases {
        let message = parse(&format!("{GOOD}{line}\n")).unwrap_err().to_string();
        let want = format!("client.yaml:{want}");
        assert!(message.starts_with(&want), "\n{message}\n{want}");
    }
}

#[test]
fn plain_http_is_accepted_for_loopback_or_if_set_insecure() {
    for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.9.9.9"] {
        parse(&GOOD.replace("https://backup.example:8080", url)).unwrap();
    }
    let insecure = GOOD
        .replace("https://backup.example:8080", "http://backup.example")
        .replace("\"sk_live_secret\"", "\"sk_live_secret\", insecure: true");
    parse(&insecure).unwrap();
}

#[test]
fn excludes_of_a_watch_are_added_to_the_global_ones() {
    let text = GOOD.replace("\"more\" }", "\"more\", exclude: [\"!keep.tmp\"] }")
        + "exclude: [\"*.tmp\"]\n";
    let config = parse(&text).unwrap();
    let excluded = |n: usize, path: &str| {
        config.watches[n].excludes(Path::new(path), crate::files::watch::EntryKind::Other)
    };
    assert!(excluded(0, "a.tmp") && excluded(0, "keep.tmp") && excluded(1, "a.tmp"));
    assert!(!excluded(1, "keep.tmp"), "a later line wins");
    let all = parse(&GOOD.replace("\"more\" }", "\"more\", exclude: [\"!.s3up-*\"] }")).unwrap();
    let removed = Path::new("sub/.s3up-cleanup-0123456789abcdef");
    assert!(all.watches[1].excludes(removed, crate::files::watch::EntryKind::Other));
}

#[test]
fn the_shown_configuration_loads_again_and_hides_the_key() {
    let text = format!("{GOOD}exclude: [\"*.tmp\", \"a: b\"]\nscan: {{ upload_existing: true }}\n");
    let raw = load(&text).unwrap().raw;

    let shown = raw.to_yaml();

    assert!(!shown.contains("sk_live"), "{shown}");
    let again = load(&shown.replace("***", "key")).unwrap().raw;
    assert_eq!(again.to_yaml(), shown);
    assert!(again.scan.upload_existing);
    assert_eq!(again.exclude, ["*.tmp", "a: b"]);
}

#[test]
fn the_fingerprint_changes_with_settings_that_decide_whether_a_file_is_accepted() {
    let fingerprint = |text: &str| parse(text).unwrap().fingerprint;
    let base = fingerprint(GOOD);

    assert_eq!(fingerprint(&format!("{GOOD}scan: {{ interval_minutes: 5 }}\n")), base);
    assert_ne!(fingerprint(&GOOD.replace("sk_live_secret", "sk_live_other")), base);
    assert_ne!(fingerprint(&GOOD.replace(":8080", ":8081")), base);
    assert_ne!(fingerprint(&format!("{GOOD}upload: {{ max_file_size_mb: 5 }}\n")), base);
    assert!(!base.contains("sk_live"));
}

fn load(text: &str) -> Result<LoadedConfig<Raw>, ConfigError> {
    s3up_cli::config::parse(Path::new("client.yaml"), text, &|_| None)
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::check(load(text)?)
}

#[test]
fn the_example_of_the_package_is_valid() {
    let config = parse(include_str!("../../../../packaging/examples/s3up.yaml")).unwrap();
    assert_eq!(config.watches.len(), 1);
}

#[test]
fn the_examples_of_the_documents_are_valid() {
    let examples = s3up_testkit::golden::examples("yaml", "watches:");
    assert!(examples.len() >= 2, "{examples:?}");
    for (page, text) in examples {
        let text = text.replace("THE KEY FROM keygen", "s3up_0123456789012345678901234567890");
        if let Err(err) = parse(&text) {
            panic!("{page}: {err}: {text}");
        }
    }
}

#[test]
fn the_table_of_keys_has_the_defaults_of_the_code() {
    let raw = serde_json::to_value(load(GOOD).unwrap().raw).unwrap();
    let defaults = s3up_testkit::golden::key_defaults("## `client.yaml`");
    assert!(defaults.len() >= 13, "{defaults:?}");
    for (key, default) in defaults {
        let path = format!("/{}", key.replace("[]", ".0").replace('.', "/"));
        let value = raw.pointer(&path).unwrap_or_else(|| panic!("{key} is not in {raw}"));
        let is_same = match value.as_f64() {
            Some(number) => default.parse() == Ok(number),
            None => {
                let printed = value.to_string();
                value.as_str() == Some(&default) || printed == default
            }
        };
        assert!(is_same, "{key}: expected {value}, found {default} in docs/configuration.md");
    }
}

#[test]
fn the_table_of_keys_has_the_limits_of_the_code() {
    let good = serde_json::to_value(load(GOOD).unwrap().raw).unwrap();
    let probes = s3up_testkit::golden::key_probes("## `client.yaml`");
    assert!(probes.len() >= 25, "{probes:?}");
    for KeyProbe { key, value, is_valid } in probes {
        let mut raw = good.clone();
        let mut place = &mut raw;
        for name in key.split('.') {
            place = &mut place[name];
        }
        *place = value.clone();

        let found = parse(&raw.to_string());
        assert_eq!(found.is_ok(), is_valid, "{key}: {value}: {:?}", found.err());
    }
}
