//! Holds the table in `README.md` and `docs/configuration.md` to the code: both name
//! every key with its default.

use std::collections::{BTreeMap, BTreeSet};

use super::tests::{LEAST, parse};
use super::*;

const README: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"));
const LONG_FORM: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md"));
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
    let path = |path: &Path| path.display().to_string();
    BTreeMap::from([
        ("global.log_level", "info".to_owned()),
        ("global.lock_path", path(&config.lock_path)),
        ("global.state_path", path(&config.state_path)),
        ("schedule.full_every_days", config.schedule.full_every_days.to_string()),
        ("schedule.incremental_every_days", config.schedule.incremental_every_days.to_string()),
        ("schedule.run_at", config.schedule.run_at.strftime("%H:%M").to_string()),
        ("snapshots.base_dir", path(&config.base_dir)),
        ("snapshots.retain", config.retain.to_string()),
        ("s3.profile", format!("{:?}", bucket.settings.profile).to_lowercase()),
        ("s3.chunk_size_bytes", bucket.chunk_bytes.to_string()),
        ("s3.part_size_bytes", bucket.part_bytes.to_string()),
        ("s3.storage_class_chunks", bucket.class_chunks.clone()),
        ("s3.storage_class_manifest", bucket.class_manifest.clone()),
        ("s3.concurrency", bucket.concurrency.to_string()),
        ("s3.spool_enabled", config.spool.is_some().to_string()),
        ("s3.sse", format!("{:?}", bucket.settings.sse).to_uppercase()),
        ("s3.retry_hours", (bucket.retry_for.as_secs() / 3600).to_string()),
        ("retention.generations", config.retention.generations.to_string()),
        ("retention.prune", if config.prune_after_backup { "auto" } else { "off" }.to_owned()),
        ("restore.verify_mode", config.restore.verify.word().to_owned()),
        ("restore.sample_max_files", config.restore.sample_max_files.to_string()),
        ("restore.wait_for_restore", config.restore.waits.to_string()),
        ("restore.restore_timeout_seconds", config.restore.timeout.as_secs().to_string()),
        ("restore.restore_tier", config.restore.terms.tier.word().to_owned()),
        ("restore.thaw_days", config.restore.terms.days.to_string()),
        ("send.compressed", config.compressed.word().to_owned()),
    ])
}

/// Returns key and cells of each row of the README's table.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let (_, section) = README.split_once("\n## Every key of `config.toml`").expect("the section");
    let section = section.split("\n## ").next().expect("a text");
    let row = |line: &'static str| {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|');
        let cells: Vec<_> = cells.map(str::trim).collect();
        let key = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((key, cells))
    };
    section.lines().filter_map(row).collect()
}

#[test]
fn the_readme_has_every_key_and_no_other() {
    let rows: BTreeSet<_> = rows().into_keys().map(str::to_owned).collect();
    assert_eq!(rows, keys());
}

#[test]
fn the_readme_has_the_defaults_of_the_code() {
    let defaults = defaults();
    for (key, cells) in rows() {
        let said = cells[1];
        match defaults.get(key) {
            Some(default) => assert_eq!(said, format!("`{default}`"), "{key}"),
            None => assert!(["–", "none"].contains(&said), "{key}: {said}"),
        }
    }
}

#[test]
fn the_readme_says_what_is_required() {
    let required = |key: &str| {
        let (_, name) = key.split_once('.').expect("a section");
        let without: String = LEAST
            .lines()
            .filter(|line| !line.starts_with(&format!("{name} ")))
            .collect::<Vec<_>>()
            .join("\n");
        parse(&without).is_err()
    };
    for (key, cells) in rows() {
        assert_eq!(cells[1] == "–", required(key), "{key}");
    }
}

#[test]
fn the_long_form_has_every_key_with_its_default() {
    let defaults = defaults();
    for key in keys() {
        let (section, _) = key.split_once('.').expect("a section");
        let row = LONG_FORM.lines().filter(|line| line.starts_with("| `")).find(|line| {
            let cell = line.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
            cell.split(", ").any(|name| name == format!("`{key}`"))
        });
        let is_named = LONG_FORM.contains(&format!("`{key}`"))
            || LONG_FORM.contains(&format!("`{section}.*`"));
        assert!(is_named, "{key}");
        if let (Some(row), Some(default)) = (row, defaults.get(key.as_str())) {
            let cell = row.trim_start_matches("| ").split(" | ").nth(1).unwrap_or_default();
            assert!(cell.contains(&format!("`{default}`")), "{key}: {cell}");
        }
    }
}
