use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use btrfs_host::compressed::ProtocolSetting;
use s3up_cli::SecretUrl;
use s3up_core::part::MIB;
use s3up_store::{Profile, Sse};

use super::*;

pub(super) const LEAST: &str = r#"
[subvolumes]
paths = ["/srv/data", "/srv/home"]
[s3]
bucket = "my-backup-bucket"
region = "us-east-1"
prefix = "backup/data"
"#;

/// The complete example of the design.
pub(super) const ALL: &str = r#"
[global]
log_level = "info"
state_path = "/var/lib/btrfs-to-s3/state.json"
lock_path = "/var/lock/btrfs-to-s3.lock"
spool_dir = "/mnt/ssd/btrfs-to-s3"
spool_size_bytes = 214748364800
[schedule]
full_every_days = 180
incremental_every_days = 7
run_at = "02:00"
[snapshots]
base_dir = "/srv/snapshots"
retain = 2
[subvolumes]
paths = ["/srv/data/data", { path = "/", name = "root" }, "/srv/data/home"]
ignore_nested = ["/var/lib/machines"]
[s3]
bucket = "my-backup-bucket"
region = "us-east-1"
prefix = "backup/data/"
endpoint = "http://127.0.0.1:9000"
ca_file = "/etc/ca.pem"
profile = "generic"
chunk_size_bytes = 214748364800
part_size_bytes = 33554432
storage_class_chunks = "DEEP_ARCHIVE"
storage_class_manifest = "STANDARD"
concurrency = 4
spool_enabled = false
sse = "AES256"
retry_hours = 6
bandwidth_limit_bytes = 1000000
[retention]
generations = 1
min_age_days = 180
prune = "auto"
[send]
compressed = "never"
protocol = "auto"
[restore]
target_base_dir = "/srv/restore"
verify_mode = "full"
sample_max_files = 1000
wait_for_restore = true
restore_timeout_seconds = 259200
restore_tier = "Standard"
thaw_days = 14
[notify]
url = "https://ping.example.com/x"
[report]
url = "https://backup.example.com:8080"
key_file = "/etc/btrfs-to-s3/report.key"
ca_file = "/etc/ca.pem"
insecure = false
[drill]
scratch_dir = "/var/tmp"
"#;

pub(super) fn parse(text: &str) -> Result<Config, ConfigError> {
    let file = Path::new("/etc/config.toml");
    Config::check(s3up_cli::config::parse(file, text, &|_| None)?)
}

#[test]
fn missing_keys_have_a_default() {
    let config = parse(LEAST).unwrap();
    let names: Vec<_> = config.subvolumes.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["data", "home"]);
    assert_eq!(config.base_dir, Path::new("/srv/snapshots"));
    assert_eq!(config.bucket.chunk_bytes, 200 << 30);
    // 32 MiB suffice: 10,000 of them are more than 200 GiB.
    assert_eq!(config.bucket.part_bytes, 32 * MIB);
    assert_eq!(config.bucket.class_chunks, "DEEP_ARCHIVE");
    assert_eq!(config.bucket.settings.sse, Sse::Aes256);
    assert_eq!(config.bucket.settings.profile, Profile::Aws);
    assert_eq!(config.bucket.retry_for, Duration::from_secs(6 * 3600));
    let schedule = &config.schedule;
    assert_eq!((schedule.full_every_days, schedule.incremental_every_days), (180, 7));
    assert_eq!(schedule.run_at, "02:00".parse().unwrap());
}

#[test]
fn every_key_of_the_format_is_known() {
    let config = parse(ALL).unwrap();
    assert_eq!(config.subvolumes[1].name.as_str(), "root");
    assert_eq!(config.subvolumes[1].path, Path::new("/"));
    assert_eq!(config.bucket.settings.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    let bandwidth = config.bucket.settings.bandwidth.upload_bytes_per_second;
    assert_eq!(bandwidth.map(NonZeroU64::get), Some(1_000_000));
    assert_eq!(config.spool, None);
    let spooled = parse(&ALL.replace("spool_enabled = false", "spool_enabled = true")).unwrap();
    let directory = PathBuf::from("/mnt/ssd/btrfs-to-s3");
    assert_eq!(spooled.spool, Some(Spool { directory, limit_bytes: 200 << 30 }));
    assert!(spooled.summary().contains("spool_dir = \"/mnt/ssd/btrfs-to-s3\"\n"));
    assert_eq!(config.notify.as_ref().map(SecretUrl::host), Some("ping.example.com"));
    assert_eq!(config.stream_form, FormSetting::default());
    for (value, want) in
        [("1", ProtocolSetting::One), ("2", ProtocolSetting::Two), ("\"2\"", ProtocolSetting::Two)]
    {
        let config = parse(&format!("{LEAST}[send]\nprotocol = {value}\n")).unwrap();
        assert_eq!(config.stream_form.protocol, want);
        assert!(config.summary().contains(&format!("\nprotocol = {}", value.trim_matches('"'))));
    }
    assert_eq!(config.restore, RestoreConfig::default(), "the example has the defaults");
    assert_eq!(config.drill_dir.as_deref(), Some(Path::new("/var/tmp")));
    assert!(!config.summary().contains("example.com/x"), "the URL is a secret");
    let report = config.report.as_ref().unwrap();
    assert_eq!(report.url.as_str(), "https://backup.example.com:8080/");
    assert_eq!(report.key_file, Path::new("/etc/btrfs-to-s3/report.key"));
    assert_eq!(report.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
}

#[test]
fn yaml_is_read_like_toml() {
    let yaml = "subvolumes: { paths: [/srv/data, { path: /, name: root }] }\n\
                s3: { bucket: b, region: r, prefix: p }\n";
    let raw = s3up_cli::config::parse(Path::new("/etc/config.yaml"), yaml, &|_| None).unwrap();
    assert_eq!(Config::check(raw).unwrap().subvolumes.len(), 2);
}

#[test]
fn an_error_names_file_line_and_key() {
    #[rustfmt::skip]
    let cases = [
        ("\"/srv/home\"", "\"/mnt/data\"", ":3: subvolumes.paths[1]: the name \"data\" is already used for \"/srv/data\"; give this one another name: { path = \"/mnt/data\", name = \"…\" }"),
        ("\"/srv/home\"", "\"/\"", ":3: subvolumes.paths[1]: \"/\" has no last segment; give it a name: { path = \"/\", name = \"…\" }"),
        ("\"/srv/home\"", "\"srv\"", "expected an absolute path, found \"srv\""),
        ("\"/srv/home\"", "\"/srv/../home\"", "expected a path without `.` and `..` segments"),
        ("\"/srv/home\"", "{ path = \"/srv/home\", name = \"a/b\" }", "it contains a slash"),
        ("\"/srv/home\"", "{ path = \"/srv/home\", nmae = \"a\" }", "nmae"),
        ("\"/srv/home\"", "{ name = \"a\" }", "path"),
        ("\"/srv/home\"", "7", "subvolumes.paths[1]"),
        ("[\"/srv/data\", \"/srv/home\"]", "[]", "expected at least one subvolume"),
        ("bucket = \"my-backup-bucket\"", "bucket = \"\"", ":5: s3.bucket: must not be empty"),
        ("bucket = \"my-backup-bucket\"", "", "bucket"),
        ("[s3]", "[s3]\npart_size_bytes = 5242879", "s3.part_size_bytes: expected 5242880 to 5368709120, found 5242879"),
        ("[s3]", "[s3]\nchunk_size_bytes = 0", "s3.chunk_size_bytes: expected at least 1"),
        ("[s3]", "[s3]\nchunk_size_bytes = 90000000000000", "s3.chunk_size_bytes: "),
        ("[s3]", "[s3]\nbandwidth_limit_bytes = 0", "s3.bandwidth_limit_bytes: expected at least 1, found 0"),
        ("[s3]", "[s3]\nconcurrency = 0", "s3.concurrency: expected 1 to 256, found 0"),
        ("[s3]", "[s3]\nretry_hours = -1", "s3.retry_hours: expected 0 to 744, found -1"),
        ("[s3]", "[s3]\nstorage_class_manifest = \"DEEP_ARCHIVE\"", "s3.storage_class_manifest: manifests must be readable without a thaw"),
        ("[s3]", "[s3]\nstorage_class_chunks = \"COLD\"", "s3.storage_class_chunks: expected one of STANDARD, "),
        ("[s3]", "[s3]\nendpoint = \"minio:9000\"", "s3.endpoint: expected a URL"),
        ("[s3]", "[s3]\nsse = \"aes\"", "s3.sse: expected \"AES256\""),
        ("[s3]", "[s3]\nkms_key_id = \"x\"", "s3.kms_key_id: expected only with"),
        ("[s3]", "[s3]\nprofile = \"minio\"", "s3.profile: expected \"aws\" or \"generic\""),
        ("[s3]", "[snapshots]\nretain = 0\n[s3]", "snapshots.retain: expected at least 1"),
        ("[s3]", "[schedule]\nrun_at = \"25:00\"\n[s3]", "schedule.run_at: expected a time like 02:00"),
        ("[s3]", "[schedule]\nfull_every_days = 0\n[s3]", "schedule.full_every_days: expected 1 to 36500, found 0"),
        ("[s3]", "[schedule]\nincremental_every_days = 0\n[s3]", "schedule.incremental_every_days: expected 1 to 36500, found 0"),
        ("[s3]", "[retention]\ngenerations = 0\n[s3]", "retention.generations: expected at least 1"),
        ("[s3]", "[retention]\nmin_age_days = 99999\n[s3]", "retention.min_age_days: expected 0 to 36500, found 99999"),
        ("[s3]", "[retention]\nprune = \"yes\"\n[s3]", "retention.prune: expected one of auto, off"),
        ("[s3]", "[restore]\nverify_mode = \"all\"\n[s3]", "restore.verify_mode: expected one of full, sample, none, found \"all\""),
        ("[s3]", "[restore]\nrestore_tier = \"bulk\"\n[s3]", "restore.restore_tier: expected one of Standard, Bulk, Expedited, found \"bulk\""),
        ("[s3]", "[restore]\nsample_max_files = 0\n[s3]", "restore.sample_max_files: expected 1 to 1000000, found 0"),
        ("[s3]", "[restore]\nthaw_days = 366\n[s3]", "restore.thaw_days: expected 1 to 365, found 366"),
        ("[s3]", "[send]\ncompressed = \"yes\"\n[s3]", "send.compressed: expected one of never, auto, always"),
        ("[s3]", "[send]\nprotocol = 3\n[s3]", "send.protocol: expected one of auto, 1, 2, found \"3\""),
        ("[s3]", "[send]\nprotocol = 1\ncompressed = \"always\"\n[s3]", "send.protocol: is 1, but `send.compressed` is `always`"),
        ("[s3]", "[notify]\nurl = \"hunter2\"\n[s3]", "notify.url: expected a URL with http:// or https:// and a host"),
        ("prefix = \"backup/data\"", "prefix = \"../x\"", "s3.prefix: "),
        ("[s3]", "[s3]\nbuckte = \"x\"", "bucket"),
        ("[s3]", "[s3]\nspool_enabled = true", "global.spool_dir: is required by `s3.spool_enabled`, but not set"),
        ("[s3]", "[global]\nspool_dir = \"/tmp\"\n[s3]\nspool_enabled = true", "global.spool_size_bytes: is required by"),
        ("[s3]", "[global]\nspool_size_bytes = 5242880\n[s3]", "global.spool_size_bytes: expected at least one part, 33554432 (32 MiB), found 5242880"),
    ];
    for (from, to, want) in cases {
        let text = LEAST.replacen(from, to, 1);
        assert_ne!(text, LEAST, "{from}");
        let err = parse(&text).unwrap_err().to_string();
        assert!(err.starts_with("/etc/config.toml"), "{err}");
        assert!(err.contains(want), "{to}: {err}");
    }
}

#[test]
fn check_config_shows_the_effective_values() {
    let text = parse(ALL).unwrap().summary();
    for line in [
        "chunk_size_bytes = 214748364800  # 200 GiB",
        "{ path = \"/\", name = \"root\" }",
        "concurrency = 4  # 176 MiB of memory for buffers",
        "verify_mode = \"full\"",
        "restore_timeout_seconds = 259200",
        "scratch_dir = \"/var/tmp\"",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn the_output_of_check_config_is_a_configuration() {
    let odd = r#"/srv/h\u00e4user \"a\" \\ \t $${x} \u007f \u200b"#;
    let odd = ALL.replace("\"/srv/data/home\"", &format!("{{ path = \"{odd}\", name = \"odd\" }}"));
    for text in [LEAST, ALL, odd.as_str()] {
        let summary = parse(text).unwrap().summary();

        let again = parse(&summary).unwrap_or_else(|err| panic!("{err}: {summary}"));

        // The URL is a secret, so it is left out.
        let is_of_notify = |line: &&str| line.starts_with("# url:");
        let lines = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !is_of_notify(line)).map(str::to_owned).collect()
        };
        assert_eq!(lines(&again.summary()), lines(&summary));
    }
}

#[test]
fn the_examples_of_the_documents_are_valid() {
    let examples = s3up_testkit::golden::examples("toml", "");
    assert!(examples.len() >= 3, "{examples:?}");
    for (page, text) in examples {
        if let Err(err) = parse(&text) {
            panic!("{page}: {err}: {text}");
        }
    }
}

#[test]
fn the_example_of_the_package_is_valid() {
    let text = include_str!("../../../../packaging/examples/btrfs-to-s3.toml");
    assert_eq!(parse(text).unwrap().subvolumes.len(), 1);
}
