//! The end of a run: everything comes to rest, and is compared with a plain model.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use s3up_core::Sha256Digest;
use s3up_devstore::{DevStore, Options};
use s3up_testkit::CLOCK;
use serde_json::Value;

use crate::btrfs::BtrfsHost;
use crate::events::Program;
use crate::files::{files_below, is_possible};
use crate::report::Report;
use crate::world::{ADMIN_KEY, CLIENT, FILES, KEYS, PREFIX, REMOTE_PREFIX, SNAPSHOTS, World};

/// Longest time until the agent has uploaded everything by itself. Its longest pause after a failure
/// is five minutes.
const REST_MAX: Duration = Duration::from_secs(330);
const ASKED_EVERY: Duration = Duration::from_millis(500);
/// Largest memory of the gateway: its buffer budget, and what requests and the database need.
const GATEWAY_BYTES_MAX: u64 = 256 << 20;
const AGENT_BYTES_MAX: u64 = 150 << 20;
/// The object with which the gateway probes S3.
const PROBE: &str = ".s3up-probe";

/// Waits until nothing is pending on the agent, with a scan after the storm.
pub async fn agent_is_at_rest(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let began = CLOCK.start();
    let started = (CLOCK.wall)();
    let since = started.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    loop {
        let status = status(world).await?;
        let count = |state: &str| status["total"][state]["files"].as_u64();
        let scanned = status["watches"][0]["last_scan_at"].as_u64();
        let is_at_rest = count("pending") == Some(0) && count("problems") == Some(0);
        if is_at_rest && scanned.is_some_and(|at| at > since) {
            report.fact("seconds until everything was uploaded", began.elapsed().as_secs());
            return Ok(());
        }
        if began.elapsed() > REST_MAX {
            bail!("not at rest {REST_MAX:?} after the storm: {status:#}");
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

async fn status(world: &World) -> anyhow::Result<Value> {
    let output = world.output(world.agent_command(&["status", "--json"])).await?;
    // Before the agent has created its database there is no status.
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// Compares disk, agent and gateway while all programs run.
pub async fn compare_running(world: &World, report: &mut Report) -> anyhow::Result<()> {
    let on_disk = files_below(&world.up()).context("list the files on disk")?.len() as u64;
    let status = status(world).await?;
    let protected = status["total"]["protected"]["files"].as_u64();
    ensure!(protected == Some(on_disk), "{on_disk} files on disk, protected: {protected:?}");
    report.fact("files on disk, all of them protected", on_disk);
    let verify = world.output(world.agent_command(&["verify"])).await?;
    let text = String::from_utf8_lossy(&verify.stdout).into_owned();
    ensure!(verify.status.success(), "s3up verify: {}\n{text}", verify.status);
    let clients = reqwest::Client::new().get(format!("http://{}/clients", world.gateway_address));
    let clients: Value = clients.bearer_auth(ADMIN_KEY).send().await?.json().await?;
    let stored = clients["clients"][0]["stored"]["files"].as_u64().context("no `stored.files`")?;
    report.fact("files in the catalogue of the gateway", stored);
    Ok(())
}

/// Stops the agent and the gateway, and runs the commands of the gateway that need it stopped, or
/// that an operator runs after a crash.
pub async fn sweep_and_rebuild(world: &World, report: &mut Report) -> anyhow::Result<()> {
    for program in [Program::Agent, Program::Gateway] {
        world.daemons[&program].lock().await.stop().await?;
    }
    let sweep =
        world.output(world.gateway_command(&["sweep", "--older-than", "0", "--json"])).await?;
    ensure!(sweep.status.success(), "sweep: {}", String::from_utf8_lossy(&sweep.stderr));
    report.fact("multipart uploads that kills had left, swept", lines(&sweep.stdout));
    for (arguments, is_rebuilt) in [
        (&["rebuild", "--dry-run", "--json"][..], false),
        (&["rebuild", "--json"], false),
        (&["rebuild", "--dry-run", "--json"], true),
    ] {
        let output = world.output(world.gateway_command(arguments)).await?;
        let text = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?}: {text}");
        let found: Value = serde_json::from_slice(&output.stdout).context("parse a rebuild")?;
        let number = |key: &str| found[key].as_u64().context("a number of a rebuild is missing");
        let (added, updated, removed) = (number("added")?, number("updated")?, number("removed")?);
        if is_rebuilt {
            ensure!((added, updated, removed) == (0, 0, 0), "after a rebuild: {found}");
        } else if arguments.contains(&"--dry-run") {
            // The gateway may die between S3 and its database; it never records what S3 does not have.
            ensure!(removed == 0, "the catalogue has files that S3 does not have: {found}");
            report.fact(
                "files that kills kept out of the catalogue until a rebuild",
                added + updated,
            );
        }
    }
    Ok(())
}

fn lines(text: &[u8]) -> u64 {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64
}

/// Stops the S3 server and serves its directory at the same address, so that the bucket can be read
/// past all programs. Compares it with the disk, and the backups with the snapshots.
pub async fn compare_bucket(
    world: &World,
    host: Option<&BtrfsHost>,
    report: &mut Report,
) -> anyhow::Result<()> {
    world.daemons[&Program::S3].lock().await.stop().await?;
    let options = Options::new(world.directory.join("s3"));
    let s3 = DevStore::start(Options { listen: world.s3_address, ..options }).await?;
    let found = compare_files(&world.up(), &s3, report).await;
    report.check("every file in S3 equals the disk", found);
    if let Some(host) = host {
        let found = compare_backups(&s3, report).await;
        report.check("every object of a backup is there, and no other", found);
        let found = compare_restores(world, &s3, host, report).await;
        report.check("every backup restores equal to its snapshot", found);
    }
    s3.stop().await;
    Ok(())
}

/// Restores the newest backups and compares them.
async fn compare_restores(
    world: &World,
    s3: &DevStore,
    host: &BtrfsHost,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut backups = Vec::new();
    for key in s3.objects(SNAPSHOTS).keys().filter(|key| is_manifest(key)) {
        let manifest = json_of(s3, key).await?;
        let snapshot =
            manifest["snapshot"]["name"].as_str().context("a manifest without a snapshot")?;
        let created = manifest["created_at"].as_str().context("a manifest without a time")?;
        backups.push((created.to_owned(), key.clone(), snapshot.to_owned()));
    }
    backups.sort();
    let newest = backups.iter().rev().map(|(_, key, snapshot)| (key.as_str(), snapshot.as_str()));
    let count = host.compare(world, newest).await?;
    ensure!(count > 0, "no backup has a snapshot to compare with: {backups:?}");
    report.fact("backups restored, equal to their snapshots", count);
    Ok(())
}

async fn compare_files(up: &Path, s3: &DevStore, report: &mut Report) -> anyhow::Result<()> {
    let prefix = format!("{PREFIX}{CLIENT}/{REMOTE_PREFIX}");
    let mut bytes = 0;
    for file in files_below(up).context("list the files on disk")? {
        let name = file.to_str().context("a name in UTF-8")?;
        let content = fs::read(up.join(&file)).context("read a file")?;
        let stored = s3.object(FILES, &format!("{prefix}{name}")).await;
        ensure!(stored.as_deref() == Some(&content[..]), "{name} differs in S3");
        bytes += content.len() as u64;
    }
    report.fact("bytes of these files, equal in S3", bytes);
    let keys = s3.objects(FILES);
    for key in keys.keys().filter(|key| !key.ends_with(PROBE)) {
        let relative = key.strip_prefix(&prefix);
        ensure!(relative.is_some_and(is_possible), "an object that no file explains: {key}");
    }
    let uploads = s3.uploads(FILES);
    ensure!(uploads.is_empty(), "multipart uploads after a sweep: {uploads:?}");
    Ok(())
}

async fn json_of(s3: &DevStore, key: &str) -> anyhow::Result<Value> {
    let bytes = s3.object(SNAPSHOTS, key).await.with_context(|| format!("{key} is missing"))?;
    serde_json::from_slice(&bytes).with_context(|| format!("parse {key}"))
}

/// Checks that a manifest names every object, that all objects of a manifest exist with the content
/// that was sent, and that each pointer leads to a full.
async fn compare_backups(s3: &DevStore, report: &mut Report) -> anyhow::Result<()> {
    let keys = s3.objects(SNAPSHOTS);
    let (mut named, mut manifests) = (BTreeSet::new(), 0);
    for key in keys.keys().filter(|key| is_manifest(key)) {
        let manifest = json_of(s3, key).await?;
        let chunks = manifest["chunks"].as_array().context("a manifest without chunks")?;
        for chunk in chunks {
            let chunk_key = chunk["key"].as_str().context("a chunk without a key")?;
            let size = keys.get(chunk_key);
            ensure!(size.copied() == chunk["size"].as_u64(), "{chunk_key}: {size:?} of {chunk}");
            let stored = s3.object(SNAPSHOTS, chunk_key).await.unwrap_or_default();
            let found = Sha256Digest::of(&stored).to_string();
            ensure!(chunk["sha256"] == found, "{chunk_key}: SHA-256 {found} of {chunk}");
            named.insert(chunk_key.to_owned());
        }
        named.extend(manifest["parts"]["key"].as_str().map(str::to_owned));
        named.extend(key.strip_suffix(".json").map(|stem| format!("{stem}-index.bin")));
        named.insert(key.clone());
        manifests += 1;
    }
    for key in keys.keys().filter(|key| key.starts_with("nas/subvol/")) {
        let is_known = named.contains(key) || key.ends_with("/current.json");
        ensure!(is_known, "an object that no manifest names: {key}");
    }
    for pointer in keys.keys().filter(|key| key.ends_with("/current.json")) {
        let mut next = json_of(s3, pointer).await?["manifest_key"].as_str().map(str::to_owned);
        ensure!(next.is_some(), "{pointer} names no manifest");
        while let Some(key) = next {
            next = json_of(s3, &key).await?["parent_manifest"].as_str().map(str::to_owned);
        }
    }
    let uploads = s3.uploads(SNAPSHOTS);
    ensure!(uploads.is_empty(), "multipart uploads of btrfs-to-s3: {uploads:?}");
    report.fact("manifests in the bucket, with all of their objects and no other", manifests);
    Ok(())
}

fn is_manifest(key: &str) -> bool {
    key.contains("/manifest-") && key.ends_with(".json") && !key.ends_with("-parts.json")
}

/// Checks that no log has a secret or tells of a panic.
fn check_logs(logs: &[PathBuf], report: &mut Report) -> anyhow::Result<()> {
    let secrets = [KEYS[0], KEYS[1], ADMIN_KEY, Options::SECRET_ACCESS_KEY];
    let mut bytes = 0;
    for log in logs {
        let text = fs::read(log).with_context(|| format!("read {log:?}"))?;
        let text = String::from_utf8_lossy(&text);
        bytes += text.len() as u64;
        for line in text.lines() {
            ensure!(!secrets.iter().any(|it| line.contains(it)), "a secret in {log:?}");
            ensure!(!line.contains("panicked at"), "{log:?}: {line}");
        }
    }
    report.fact("bytes of logs without a secret and without a panic", bytes);
    Ok(())
}

/// Checks the logs, the memory and the ends of all programs.
pub async fn check_programs(world: &World, report: &mut Report) -> anyhow::Result<()> {
    check_logs(&world.logs()?, report)?;
    for (program, max) in [(Program::Gateway, GATEWAY_BYTES_MAX), (Program::Agent, AGENT_BYTES_MAX)]
    {
        let daemon = world.daemons[&program].lock().await;
        let (name, peak) = (program.name(), daemon.peak_bytes);
        report.fact(&format!("largest memory of {name} in MiB"), peak >> 20);
        ensure!(0 < peak && peak <= max, "{name}: {peak} bytes of memory, expected at most {max}");
    }
    for (program, daemon) in &world.daemons {
        let ends = &daemon.lock().await.unexpected_ends;
        report.fact(&format!("ends of {} by itself", program.name()), ends.len() as u64);
    }
    let left = world.tag.processes();
    ensure!(left.is_empty(), "processes were left: {left:?}");
    Ok(())
}

#[cfg(test)]
mod tests;
