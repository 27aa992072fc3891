//! Each way to write a file, on each filesystem: it ends in S3, found by an event or by
//! a scan. What a filesystem cannot tell is in a table in `docs/agent.md`, which is
//! compared with what is seen here; a change that is in neither would be a file that
//! counts as protected and is not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use s3up_core::Sha256Digest;

use crate::fixture::{Host, World, until};
use crate::mounts::{Kind, Mount};

const WAYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/ways.py");
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/agent.md");
/// Time that events get to lead to uploads. It covers a file that is left open, and
/// the first delayed check of one whose writer was not seen closing it.
const BY_EVENTS: Duration = Duration::from_secs(12);

#[tokio::test]
async fn on_ext4_every_change_is_stored() {
    assert_documented(&[Kind::Ext4]).await;
}

#[tokio::test]
async fn on_tmpfs_every_change_is_stored() {
    assert_documented(&[Kind::Tmpfs]).await;
}

#[tokio::test]
async fn on_overlayfs_every_change_is_stored() {
    assert_documented(&[Kind::Overlay]).await;
}

#[tokio::test]
async fn on_the_other_filesystems_every_change_is_stored() {
    if std::env::var_os("S3UP_TEST_FILESYSTEMS").is_none() {
        println!("NOT RUN: all filesystems are tested by ./check --full");
        return;
    }
    let tested = [Kind::Ext4, Kind::Tmpfs, Kind::Overlay];
    let others: Vec<_> = Kind::ALL.into_iter().filter(|kind| !tested.contains(kind)).collect();
    assert_documented(&others).await;
}

/// Checks that the rows of the table are what happens, and shows all that are not.
async fn assert_documented(kinds: &[Kind]) {
    let document = std::fs::read_to_string(DOCUMENT).expect("the document");
    let mut missing = Vec::new();
    for kind in kinds {
        let Some(row) = every_way(*kind).await else { continue };
        let line = row.line(*kind);
        if !document.lines().any(|documented| documented == line) {
            missing.push(line);
        }
    }
    assert!(missing.is_empty(), "docs/agent.md has not these lines:\n{}", missing.join("\n"));
}

/// Results of all ways on one filesystem.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    /// State of the watcher: `ok` or `degraded`.
    watcher: String,
    /// The filesystem does not support them.
    not_possible: Vec<String>,
    /// Found by a scan, and not by an event.
    by_scan: Vec<String>,
    /// Found with the watcher only: a scan cannot see them.
    by_event_only: Vec<String>,
    /// Found by neither.
    not_found: Vec<String>,
}

/// Writes in all ways; `None` if the filesystem cannot be mounted here.
async fn every_way(kind: Kind) -> Option<Row> {
    let mount = Mount::new(kind)?;
    let world = World::start().await;
    let mut row = Row::default();

    let watched = Host::on(&world.url(), &mount.path.join("watched"), &format!("{kind:?}watched"));
    let mut ways = Ways::prepare(&watched, &mount, "watched");
    let agent = watched.started().await;
    until("all are protected", async || watched.status().await.total.pending.files == 0).await;
    let watcher = watched.status().await.watcher.expect("a state of the watcher").to_string();
    row.watcher = watcher.split(':').next().unwrap_or_default().to_owned();
    let results = ways.run();
    let start = s3up_testkit::CLOCK.start();
    let mut by_event = ways.stored(&watched).await;
    while by_event.values().any(|stored| !stored) && start.elapsed() < BY_EVENTS {
        by_event = ways.stored(&watched).await;
    }
    agent.stop().await;
    watched.scan().await;
    let by_scan = ways.stored(&watched).await;
    drop(ways);

    let scanned = Host::on(&world.url(), &mount.path.join("scanned"), &format!("{kind:?}scanned"));
    let mut ways = Ways::prepare(&scanned, &mount, "scanned");
    scanned.scan().await;
    ways.run();
    scanned.scan().await;
    let without_watcher = ways.stored(&scanned).await;
    let unprovable = scanned.status().await.watches[0].files.unprovable;

    for (way, possible) in results {
        let list = match (possible, by_event[&way], by_scan[&way], without_watcher[&way]) {
            (false, ..) => &mut row.not_possible,
            (true, _, false, _) => &mut row.not_found,
            (true, _, true, false) => &mut row.by_event_only,
            (true, false, true, true) => &mut row.by_scan,
            (true, true, true, true) => continue,
        };
        list.push(way);
    }
    // A change that a scan cannot see must not look like a proof.
    let is_blind = !row.by_event_only.is_empty() || !row.not_found.is_empty();
    assert!(!is_blind || unprovable > 0, "{kind:?}: {row:?}, and status says nothing of it");
    Some(row)
}

impl Row {
    fn line(&self, kind: Kind) -> String {
        let mut line = format!("| {} | {} ", kind.name(), self.watcher);
        for list in [&self.by_scan, &self.by_event_only, &self.not_found, &self.not_possible] {
            let names: Vec<_> = list.iter().map(|name| plain(name)).collect();
            write!(line, "| {} ", if names.is_empty() { "-".to_owned() } else { names.join(", ") })
                .expect("text grows");
        }
        line + "|"
    }
}

/// Returns the name of a way as the table has it.
fn plain(way: &str) -> String {
    let names = [
        ("below", "written below the mount"),
        ("cp_p", "`cp -p`"),
        ("direct", "`O_DIRECT`"),
        ("exchange", "`RENAME_EXCHANGE`"),
        ("mapped_and_kept", "mapped and kept open"),
        ("mapped_and_synced", "mapped and synced"),
        ("punch_hole", "`fallocate` of a hole"),
        ("replaced_with_times", "replaced with the times kept"),
        ("rsync_inplace", "`rsync --inplace`"),
        ("through_outer_link", "through a hard link outside the watch"),
        ("tmpfile", "`O_TMPFILE`"),
        ("write_after_linkat", "written after `linkat`"),
        ("zero_range", "`fallocate` of zeros"),
    ];
    let name = names.iter().find(|(name, _)| *name == way);
    name.map_or_else(|| way.replace('_', " "), |(_, plain)| (*plain).to_owned())
}

/// The program that writes. It keeps mappings and descriptors until it is dropped.
struct Ways {
    command: Command,
    up: PathBuf,
    running: Option<Child>,
    aside: tempfile::TempDir,
}

impl Ways {
    fn prepare(host: &Host, mount: &Mount, name: &str) -> Ways {
        let aside = s3up_testkit::temp_dir();
        let command = |what: &str| {
            let mut command = Command::new("python3");
            command.arg(WAYS).arg(what).arg(&host.up).env("ASIDE", aside.path());
            if let Some(below) = mount.below() {
                command.env("BELOW", below.join(name).join("up"));
            }
            command
        };
        let prepared = command("prepare").status().expect("python3");
        assert!(prepared.success());
        Ways { command: command("run"), up: host.up.clone(), running: None, aside }
    }

    /// Writes in all ways. Returns whether each was possible.
    fn run(&mut self) -> Vec<(String, bool)> {
        let mut child =
            self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        self.running = Some(child);
        let lines = output.lines().map(|line| line.expect("text"));
        let ways: Vec<_> = lines
            .take_while(|line| line != "end")
            .map(|line| {
                let (way, result) = line.split_once(": ").expect("a way and its result");
                (way.to_owned(), result == "done")
            })
            .collect();
        assert!(ways.len() >= 30, "only {} ways", ways.len());
        ways
    }

    /// Returns for each way whether all of its files are in S3 as they are on disk.
    async fn stored(&self, host: &Host) -> BTreeMap<String, bool> {
        let mut ways = BTreeMap::new();
        for entry in std::fs::read_dir(&self.up).expect("a directory") {
            let path = entry.expect("an entry").path();
            let mut all = true;
            for file in files(&path) {
                let mut content = Vec::new();
                std::fs::File::open(&file)
                    .expect("a file")
                    .read_to_end(&mut content)
                    .expect("content");
                let relative = file.strip_prefix(&self.up).expect("a path below");
                let stored = host.stored(relative).await.and_then(|file| file.sha256);
                all &= stored == Some(Sha256Digest::of(&content));
            }
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            ways.insert(name, all);
        }
        ways
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            drop(child.stdin.take());
            child.wait().expect("an ended process");
        }
        assert!(self.aside.path().exists());
    }
}

/// Returns the regular files below `path`.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return vec![path.to_owned()];
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.expect("an entry");
        let file_type = entry.file_type().expect("a type");
        if file_type.is_dir() {
            found.extend(files(&entry.path()));
        } else if file_type.is_file() {
            found.push(entry.path());
        }
    }
    found
}
