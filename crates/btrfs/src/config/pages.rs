//! Holds the description of the keys to the code, and the pages for the operator to
//! the description.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::keys::{HEADER, KEYS, Key, KeyDefault, table};
use super::tests::{LEAST, parse};
use super::*;

const PAGES: [&str; 2] = ["README.md", "docs/configuration.md"];
const RAW: &str = include_str!("raw.rs");

/// Returns all keys, from the structs that mirror the file.
fn keys() -> BTreeSet<String> {
    let fields = |name: &str| -> Vec<(String, String)> {
        let start = format!("pub struct {name} {{");
        let (_, rest) = RAW.split_once(&start).unwrap_or_else(|| panic!("no struct {name}"));
        let (body, _) = rest.split_once("\n}").expect("the end of a struct");
        let field = |line: &str| {
            let (name, kind) = line.trim().strip_prefix("pub ")?.split_once(": ")?;
            Some((name.to_owned(), kind.trim_end_matches(',').to_owned()))
        };
        body.lines().filter_map(field).collect()
    };
    let sections = fields("Raw").into_iter();
    let keys = sections.flat_map(|(section, kind)| {
        fields(&kind).into_iter().map(move |(key, _)| format!("{section}.{key}"))
    });
    keys.collect()
}

/// Returns the defaults of all keys that have one, with only the required keys set.
fn defaults() -> BTreeMap<&'static str, String> {
    let config = parse(LEAST).unwrap();
    let bucket = &config.bucket;
    let prices = bucket.prices.as_ref().expect("the prices of AWS");
    let path = |path: &Path| path.display().to_string();
    BTreeMap::from([
        ("global.log_level", "info".to_owned()),
        ("global.lock_path", path(&config.lock_path)),
        ("global.state_path", path(&config.state_path)),
        ("schedule.full_every_days", config.schedule.full_every_days.to_string()),
        ("schedule.incremental_every_days", config.schedule.incremental_every_days.to_string()),
        ("schedule.run_at", config.schedule.run_at.strftime("%H:%M").to_string()),
        ("schedule.unplanned_full", config.schedule.unplanned_full.as_str().to_owned()),
        ("snapshots.base_dir", path(&config.base_dir)),
        ("snapshots.retain", config.retain.to_string()),
        ("s3.profile", format!("{:?}", bucket.settings.profile).to_lowercase()),
        ("s3.chunk_size_bytes", bucket.chunk_bytes.to_string()),
        ("s3.part_size_bytes", bucket.part_bytes.to_string()),
        ("s3.parts_max", bucket.parts_max.to_string()),
        ("s3.storage_class_chunks", bucket.class_chunks.clone()),
        ("s3.storage_class_manifest", bucket.class_manifest.clone()),
        ("s3.concurrency", bucket.concurrency.to_string()),
        ("s3.spool_enabled", config.spool.is_some().to_string()),
        ("s3.sse", format!("{:?}", bucket.settings.sse).to_uppercase()),
        ("s3.retry_hours", (bucket.retry_for.as_secs() / 3600).to_string()),
        ("retention.generations", config.retention.generations.to_string()),
        ("retention.keep_days", config.retention.keep_days.to_string()),
        ("retention.prune", if config.prune_after_backup { "auto" } else { "off" }.to_owned()),
        ("restore.verify_mode", config.restore.verify.as_str().to_owned()),
        ("restore.sample_max_files", config.restore.sample_max_files.to_string()),
        ("restore.wait_for_restore", config.restore.waits.to_string()),
        ("restore.restore_timeout_seconds", config.restore.timeout.as_secs().to_string()),
        ("restore.restore_tier", config.restore.terms.tier.as_str().to_owned()),
        ("restore.thaw_days", config.restore.terms.days.to_string()),
        ("report.insecure", config.report_insecure.to_string()),
        ("send.compressed", config.stream_form.compressed.as_str().to_owned()),
        ("prices.source", prices.source.clone()),
        ("prices.transfer_gib", prices.transfer_gib.to_string()),
        ("prices.get_1000", prices.get_1000.to_string()),
        ("prices.put_1000", prices.put_1000.to_string()),
        ("send.protocol", format!("{:?}", config.stream_form.protocol).to_lowercase()),
    ])
}

#[test]
fn the_description_has_every_key_and_no_other() {
    let described: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    let unique: BTreeSet<_> = described.iter().cloned().collect();

    assert_eq!(unique, keys());
    assert_eq!(described.len(), unique.len(), "a key is described twice");
}

#[test]
fn the_description_has_the_defaults_of_the_code() {
    let defaults = defaults();
    for Key { name, default, .. } in KEYS {
        let described = match default {
            KeyDefault::Value(value) => Some((*value).to_owned()),
            KeyDefault::Unset | KeyDefault::Required => None,
        };
        assert_eq!(described.as_ref(), defaults.get(name), "{name}");
    }
}

#[test]
fn the_description_says_what_is_required() {
    let fails_without = |key: &str| {
        let (_, name) = key.split_once('.').expect("a section");
        let is_kept = |line: &&str| !line.starts_with(&format!("{name} "));
        let without: Vec<_> = LEAST.lines().filter(is_kept).collect();
        parse(&without.join("\n")).is_err()
    };
    for Key { name, default, .. } in KEYS {
        assert_eq!(*default == KeyDefault::Required, fails_without(name), "{name}");
    }
}

#[test]
fn the_description_has_the_limits_of_the_code() {
    let mut limits = 0;
    for Key { name, constraints, .. } in KEYS {
        let constraint = constraints.split(';').next().expect("a part").replace(',', "");
        let (least, most) = match constraint.split(' ').collect::<Vec<_>>()[..] {
            [least, "to", most] => (least.parse().ok(), most.parse().ok()),
            ["at", "least", least] => (least.parse().ok(), None),
            _ => (None, None),
        };
        let (least, most): (Option<u64>, Option<u64>) = (least, most);
        for (allowed, refused) in [
            (least, least.and_then(|least| least.checked_sub(1))),
            (most, most.map(|most| most + 1)),
        ] {
            limits += usize::from(allowed.is_some());
            assert!(allowed.is_none_or(|value| is_accepted(name, value)), "{name}: {allowed:?}");
            assert!(!refused.is_some_and(|value| is_accepted(name, value)), "{name}: {refused:?}");
        }
    }
    assert!(limits >= 18, "found only {limits} limits");
}

#[test]
fn the_description_has_the_words_of_the_code() {
    for Key { name, constraints, .. } in KEYS.iter().filter(|key| key.unit == "word") {
        for word in constraints.split(", ").map(|word| word.trim_matches('`')) {
            assert!(is_accepted(name, word), "{name}: {word}");
        }
        assert!(!is_accepted(name, "nonsense"), "{name}");
    }
}

/// Returns true if the configuration is valid with this key added to the required ones.
fn is_accepted(key: &str, value: impl std::fmt::Display) -> bool {
    let setting: Setting = format!("{key}={value}").parse().expect("a setting");
    let file = Path::new("/etc/config.toml");
    s3up_cli::config::parse_with(file, LEAST, &[setting], &|_| None).and_then(Config::check).is_ok()
}

/// `S3UP_WRITE_GOLDEN=1` writes the table into both pages.
#[test]
fn both_pages_hold_the_table_of_keys() {
    let writes =
        std::env::vars_os().any(|(name, value)| name == "S3UP_WRITE_GOLDEN" && value == "1");
    for page in PAGES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
        let is = fs::read_to_string(&path).expect("the page");
        let should = with_table(&is).unwrap_or_else(|| panic!("{page} has no table of keys"));
        if writes {
            fs::write(&path, &should).expect("write the page");
        }

        let difference = is.lines().zip(should.lines()).find(|(is, should)| is != should);
        assert!(
            is == should || writes,
            "{page} is stale, first difference {difference:?}: S3UP_WRITE_GOLDEN=1 writes it"
        );
    }
}

#[test]
fn check_config_prints_every_key() {
    let summary = parse(LEAST).expect("a configuration").summary();
    for Key { name, .. } in KEYS {
        let (section, key) = name.split_once('.').expect("a section and a key");
        let (_, lines) = summary.split_once(&format!("[{section}]\n")).expect("the section");
        let mut lines = lines.lines().take_while(|line| !line.starts_with('['));
        let (set, unset) = (format!("{key} = "), format!("# {key}: "));
        assert!(
            lines.any(|line| line.starts_with(&set) || line.starts_with(&unset)),
            "{name} is not in:\n{summary}"
        );
    }
}

/// Returns the page with its table of keys rendered again, wherever it stands.
fn with_table(page: &str) -> Option<String> {
    // The tables of the other programs, which have the same header, are above it.
    let start = page.rfind(&format!("\n{HEADER}\n"))? + 1;
    let rows = page[start..].split_inclusive('\n').take_while(|line| line.starts_with('|'));
    let end = start + rows.map(str::len).sum::<usize>();
    Some(format!("{}{}\n{}", &page[..start], table(), &page[end..]))
}
