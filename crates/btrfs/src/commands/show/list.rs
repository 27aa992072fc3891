//! Prints the contents of the bucket to stdout, as a table or as JSON.

use std::collections::BTreeSet;

use btrfs_to_s3::status::LastChecks;
use btrfs_to_s3::status::states::{BackupState, PointerState};
use jiff::Timestamp;
use s3up_cli::table;
use s3up_core::{Count, Size};
use s3up_repository::catalogue::{
    Backup, Catalogue, Generation, Pointing, Publication, Unrestorable,
};
use s3up_repository::layout::Layout;
use s3up_repository::origin::Origin;
use s3up_repository::stamp::seconds;
use serde::Serialize;

/// Maximum number of unknown objects that are printed. All are counted.
const UNKNOWN_SHOWN_MAX: usize = 1000;
const DAY_SECONDS: i64 = 24 * 3600;

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct Contents {
    pub subvolume: String,
    pub pointer: PointerState,
    /// The reason why the pointer is `archived` or `broken`.
    pub problem: Option<String>,
    /// Oldest first.
    pub generations: Vec<GenerationLine>,
    /// Backups whose chain does not lead to a full, as far as it can be read.
    pub broken: Vec<BackupLine>,
    /// Number of manifests that were not read, so that their objects count as unknown.
    pub unread_manifests: usize,
    pub unknown_count: usize,
    pub unknown_bytes: u64,
    /// Objects that no manifest names, up to a limit.
    pub unknown: Vec<UnknownLine>,
}

#[derive(Debug, Serialize)]
pub struct GenerationLine {
    /// Creation time of the full.
    pub full: String,
    pub total_bytes: u64,
    /// The manifests of each chain, from the full to its newest backup.
    pub chains: Vec<Vec<String>>,
    pub backups: Vec<BackupLine>,
}

#[derive(Debug, Serialize)]
pub struct BackupLine {
    pub manifest: String,
    pub kind: String,
    pub created_at: String,
    pub age_days: i64,
    pub total_bytes: u64,
    pub chunks: usize,
    /// More than one if the chunks differ.
    pub storage_classes: Vec<String>,
    pub parent_manifest: Option<String>,
    pub state: BackupState,
    /// The reason why the backup is `archived` or `broken`.
    pub error: Option<String>,
    /// Program that the restoring host needs, with its first release. `null`: any release.
    pub restore_needs: Option<String>,
    /// True if the listing and the manifests show everything that a restore needs.
    pub restorable: bool,
    /// Time at which `verify` on this host last found nothing wrong; `null` if that is unknown.
    pub last_verified_at: Option<String>,
    /// Time at which a drill on this host last restored it; `null` if that is unknown.
    pub last_drill_at: Option<String>,
    pub origin: Option<Origin>,
}

#[derive(Debug, Serialize)]
pub struct UnknownLine {
    pub key: String,
    pub size: u64,
    pub modified_at: String,
    pub storage_class: String,
}

impl Contents {
    /// Returns true if there is no object of this subvolume in the bucket.
    pub fn is_empty(&self) -> bool {
        self.pointer == PointerState::Nothing
            && self.unknown_count == 0
            && backups(self).next().is_none()
    }

    pub fn of(
        catalogue: &Catalogue,
        layout: &Layout,
        proofs: &LastChecks<'_>,
        now: Timestamp,
    ) -> Contents {
        let publications = catalogue.publications();
        let line = |n: usize| BackupLine {
            last_verified_at: proofs.verified_at(catalogue, n).map(seconds),
            last_drill_at: proofs.drilled_at(catalogue, n).map(seconds),
            ..BackupLine::of(&catalogue.backups[n], &publications[n], now)
        };
        let broken = (0..catalogue.backups.len()).filter(|n| catalogue.backups[*n].full.is_err());
        let unknown: Vec<_> = catalogue.unknown(layout).collect();
        let (pointer, problem) = match (catalogue.current(), &catalogue.pointer) {
            (Err(reason @ Unrestorable::Archived(_)), _) => {
                (PointerState::Archived, Some(reason.to_string()))
            }
            (Err(reason @ Unrestorable::Broken(_)), _) => {
                (PointerState::Broken, Some(reason.to_string()))
            }
            (Ok(_), Pointing::Nothing) => (PointerState::Nothing, None),
            (Ok(_), Pointing::At(_) | Pointing::Broken(_)) => (PointerState::Published, None),
        };
        Contents {
            subvolume: catalogue.subvolume.to_string(),
            pointer,
            problem,
            generations: generations(catalogue, line),
            broken: broken.map(line).collect(),
            unread_manifests: catalogue.backups.iter().filter(|it| it.manifest.is_err()).count(),
            unknown_count: unknown.len(),
            unknown_bytes: unknown.iter().map(|(_, object)| object.size).sum(),
            unknown: unknown
                .into_iter()
                .take(UNKNOWN_SHOWN_MAX)
                .map(|(key, object)| UnknownLine {
                    key: key.clone(),
                    size: object.size,
                    modified_at: seconds(object.modified_at),
                    storage_class: object.class.to_string(),
                })
                .collect(),
        }
    }
}

fn generations(
    catalogue: &Catalogue,
    line: impl Fn(usize) -> BackupLine + Copy,
) -> Vec<GenerationLine> {
    let key = |n: usize| catalogue.backups[n].listed.key.as_str().to_owned();
    let generations = catalogue.generations().into_iter();
    let of = |generation: Generation| GenerationLine {
        full: seconds(catalogue.backups[generation.full].created_at().time()),
        total_bytes: generation.backups.iter().map(|n| catalogue.backups[*n].total_bytes).sum(),
        chains: generation
            .chains
            .iter()
            .map(|chain| chain.iter().map(|n| key(*n)).collect())
            .collect(),
        backups: generation.backups.into_iter().map(line).collect(),
    };
    generations.map(of).collect()
}

impl BackupLine {
    fn of(backup: &Backup, publication: &Publication, now: Timestamp) -> BackupLine {
        let created_at = backup.created_at().time();
        let error = match publication {
            Publication::Current
            | Publication::Earlier
            | Publication::Unpublished
            | Publication::Unknown => None,
            Publication::Archived(key) => Some(Unrestorable::Archived(key.clone()).to_string()),
            Publication::Broken(reason) => Some(reason.clone()),
        };
        let manifest = backup.manifest.as_ref().ok();
        BackupLine {
            manifest: backup.listed.key.as_str().to_owned(),
            kind: backup.listed.kind.to_string(),
            created_at: seconds(created_at),
            // A clock may have been ahead when the backup was made.
            age_days: (now.as_second() - created_at.as_second()).max(0) / DAY_SECONDS,
            total_bytes: backup.total_bytes,
            chunks: backup.chunk_count,
            storage_classes: backup.classes.iter().map(ToString::to_string).collect(),
            parent_manifest: manifest.and_then(|entry| entry.manifest.parent_manifest.clone()),
            state: BackupState::of(publication),
            restorable: error.is_none(),
            error,
            restore_needs: manifest
                .and_then(|entry| entry.manifest.needed_btrfs_progs())
                .map(|release| format!("btrfs-progs {release}")),
            last_verified_at: None,
            last_drill_at: None,
            origin: manifest.and_then(|entry| entry.manifest.origin.clone()),
        }
    }

    fn cells(&self, subvolume: &str) -> [String; 6] {
        [
            subvolume.to_owned(),
            self.created_at.clone(),
            self.kind.clone(),
            Size(self.total_bytes).to_string(),
            match self.storage_classes.is_empty() {
                true => "-".to_owned(),
                false => self.storage_classes.join("+"),
            },
            self.state.to_string(),
        ]
    }
}

/// Formats a table of all backups, oldest first, then notes about problems. A
/// generation starts at each full.
pub fn to_table(all: &[Contents]) -> String {
    let header = ["SUBVOLUME", "CREATED", "KIND", "SIZE", "CLASS", "STATE"];
    let mut text = table(header, all.iter().flat_map(rows));
    for contents in all {
        text.push_str(&notes(contents));
    }
    text
}

/// Returns each reason why backups cannot be restored, and for how many it holds.
fn reasons(contents: &Contents) -> Vec<(&str, usize)> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for reason in backups(contents).filter_map(|line| line.error.as_deref()) {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons
}

/// Returns the backups that have a chain, oldest first, then the broken ones.
fn backups(contents: &Contents) -> impl Iterator<Item = &BackupLine> {
    let sound = contents.generations.iter().flat_map(|generation| &generation.backups);
    sound.chain(&contents.broken)
}

fn rows(contents: &Contents) -> Vec<[String; 6]> {
    let name = &contents.subvolume;
    backups(contents).map(|line| line.cells(name)).collect()
}

fn notes(contents: &Contents) -> String {
    let Contents { subvolume, pointer, problem, unknown, unknown_count, unknown_bytes, .. } =
        contents;
    let mut text = String::new();
    if let Some(problem) = problem {
        let state = match pointer {
            PointerState::Archived => "unknown".to_owned(),
            state @ (PointerState::Published | PointerState::Nothing | PointerState::Broken) => {
                state.to_string()
            }
        };
        text.push_str(&format!("{subvolume}: the published backup is {state}: {problem}\n"));
    }
    for (reason, count) in reasons(contents) {
        if problem.as_deref() != Some(reason) {
            let count = Count::of(count, "backup");
            text.push_str(&format!("{subvolume}: {count} cannot be restored: {reason}\n"));
        }
    }
    if contents.pointer == PointerState::Nothing {
        text.push_str(&format!("{subvolume}: no backup has been published\n"));
    }
    let needs: BTreeSet<_> =
        backups(contents).filter_map(|line| line.restore_needs.as_deref()).collect();
    for program in needs {
        let is_needed = |line: &&BackupLine| line.restore_needs.as_deref() == Some(program);
        text.push_str(&format!(
            "{subvolume}: restoring {} of {} needs {program} or later\n",
            backups(contents).filter(is_needed).count(),
            Count::of(backups(contents).count(), "backup")
        ));
    }
    if *unknown_count > 0 {
        let bytes = Size(*unknown_bytes);
        text.push_str(&format!(
            "{subvolume}: no manifest{} names {} ({bytes}):\n",
            if contents.unread_manifests > 0 { " that could be read" } else { "" },
            Count::of(*unknown_count, "object")
        ));
        for line in unknown {
            let UnknownLine { key, size, modified_at, .. } = line;
            text.push_str(&format!("  {key:?}, {}, {modified_at}\n", Size(*size)));
        }
    }
    if *unknown_count > unknown.len() {
        text.push_str(&format!("  and {} more\n", unknown_count - unknown.len()));
    }
    text
}
