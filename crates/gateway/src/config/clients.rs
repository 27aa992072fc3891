//! The section `clients`.

use std::collections::{BTreeMap, BTreeSet};

use s3up_cli::config::{ConfigError, Source};
use s3up_core::part::{GIB, MIB};
use s3up_core::{ClientName, Sha256Digest};

use super::fleet::{DefaultThresholds, changed_percent, optional_threshold, threshold};
use super::keys::{digest_of, parse_digest};
use super::raw;
use crate::clients::{ClientPolicy, Clients, KeyOwner, KeyRights, OverwritePolicy, Right};

const RIGHTS: [Right; 4] = [Right::Upload, Right::Exists, Right::Download, Right::List];
/// Default of `max_concurrent_uploads`: an agent sends 8 short files at once by default, so four agents with one key fit.
const UPLOADS_MAX: usize = 32;

/// Returns the clients. Each may hold up to `share_bytes` of the buffer budget.
pub(super) fn clients(
    raw: &[raw::Client],
    fleet: DefaultThresholds,
    source: &Source,
    share_bytes: u64,
) -> Result<Clients, ConfigError> {
    if raw.is_empty() {
        return Err(source.invalid("clients", "expected at least one client"));
    }
    let mut names = BTreeSet::new();
    let mut by_key = BTreeMap::new();
    let mut policies: Vec<ClientPolicy> = Vec::new();
    for (n, raw) in raw.iter().enumerate() {
        let at = |key: &str| format!("clients[{n}].{key}");
        let policy = policy(raw, fleet, source, &at)?;
        if !names.insert(policy.name.clone()) {
            let what = format!("expected a name of its own, found {} twice", policy.name);
            return Err(source.invalid(&at("name"), what));
        }
        let api_keys = api_keys(raw, source, &at)?.into_iter();
        let restore_keys = restore_keys(raw, source, &at)?.into_iter();
        let keys = api_keys.map(|key| (key, KeyRights::OfClient, "api_key"));
        let keys = keys.chain(restore_keys.map(|key| (key, KeyRights::Restore, "restore_keys")));
        for (key, rights, name) in keys {
            if let Some(other) = by_key.insert(key, KeyOwner { client: n, rights }) {
                let other = policies.get(other.client).map_or(&policy.name, |other| &other.name);
                let what = format!("expected a key of its own, found the key of client {other}");
                return Err(source.invalid(&at(name), what));
            }
        }
        policies.push(policy);
    }
    Ok(Clients::new(policies, by_key, share_bytes))
}

fn policy(
    raw: &raw::Client,
    fleet: DefaultThresholds,
    source: &Source,
    at: &dyn Fn(&str) -> String,
) -> Result<ClientPolicy, ConfigError> {
    let name = ClientName::parse(&raw.name).map_err(|err| source.invalid(&at("name"), err))?;
    if raw.max_file_size_mb == Some(0) {
        return Err(source.invalid(&at("max_file_size_mb"), "expected at least 1, found 0"));
    }
    if raw.max_concurrent_uploads == Some(0) {
        return Err(source.invalid(&at("max_concurrent_uploads"), "expected at least 1, found 0"));
    }
    if raw.max_requests_per_second == Some(0) {
        return Err(source.invalid(&at("max_requests_per_second"), "expected at least 1, found 0"));
    }
    if raw.quota_gb == Some(0) {
        return Err(source.invalid(&at("quota_gb"), "expected at least 1, found 0"));
    }
    let extensions = raw
        .allowed_extensions
        .as_ref()
        .map(|list| list.iter().map(|ext| ext.trim_start_matches('.').to_lowercase()).collect());
    Ok(ClientPolicy {
        name,
        file_bytes_max: raw.max_file_size_mb.map(|mb| mb.saturating_mul(MIB)),
        rights: raw.allow.clone().unwrap_or_else(|| RIGHTS.to_vec()),
        overwrite: raw.overwrite.unwrap_or(OverwritePolicy::Versioned),
        extensions,
        uploads_max: raw.max_concurrent_uploads.unwrap_or(UPLOADS_MAX),
        requests_per_second_max: raw.max_requests_per_second,
        quota_bytes: raw.quota_gb.map(|gb| gb.saturating_mul(GIB)),
        silent_after: threshold(
            &raw.silent_after,
            fleet.silent_after,
            source,
            &at("silent_after"),
        )?,
        lag_after: threshold(&raw.lag_after, fleet.lag_after, source, &at("lag_after"))?,
        backup_late_after: optional_threshold(
            &raw.backup_late_after,
            source,
            &at("backup_late_after"),
        )?
        .or(fleet.backup_late_after),
        drill_after: threshold(&raw.drill_after, fleet.drill_after, source, &at("drill_after"))?,
        changed_percent: changed_percent(
            raw.changed_percent,
            fleet.changed_percent,
            source,
            &at("changed_percent"),
        )?,
        changed_files_min: raw.changed_files_min.unwrap_or(fleet.changed_files_min),
    })
}

/// Returns the digests of all keys of one client.
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
        digests.push(digest_of(secret, source, &key)?);
    }
    let single = raw.api_key_sha256.iter().map(|hex| (at("api_key_sha256"), hex));
    let several = raw.api_keys_sha256.iter().enumerate();
    let several = several.map(|(n, hex)| (at(&format!("api_keys_sha256[{n}]")), hex));
    for (key, hex) in single.chain(several) {
        digests.push(parse_digest(hex, source, &key)?);
    }
    if digests.is_empty() {
        let what = "expected one of `api_key`, `api_keys`, `api_key_sha256` or `api_keys_sha256`";
        return Err(source.invalid(&at("api_key"), what));
    }
    Ok(digests)
}

/// Returns the digests of all restore keys of one client.
fn restore_keys(
    raw: &raw::Client,
    source: &Source,
    at: &dyn Fn(&str) -> String,
) -> Result<Vec<Sha256Digest>, ConfigError> {
    let mut digests = Vec::new();
    for (n, secret) in raw.restore_keys.iter().enumerate() {
        digests.push(digest_of(secret, source, &at(&format!("restore_keys[{n}]")))?);
    }
    for (n, hex) in raw.restore_keys_sha256.iter().enumerate() {
        digests.push(parse_digest(hex, source, &at(&format!("restore_keys_sha256[{n}]")))?);
    }
    Ok(digests)
}
