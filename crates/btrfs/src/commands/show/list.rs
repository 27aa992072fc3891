//! Prints the contents of the bucket to stdout, as a table or as JSON.

use jiff::Timestamp;
use s3up_cli::table;
use s3up_core::{Count, Size};
use s3up_repository::catalogue::{Backup, Catalogue, Generation, Pointing, Publication};
use s3up_repository::layout::Layout;
use s3up_repository::stamp::seconds;
use serde::Serialize;

/// Maximum number of unknown objects that are printed. All are counted.
const UNKNOWN_SHOWN_MAX: usize = 1000;
const DAY_SECONDS: i64 = 24 * 3600;

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct Contents {
    pub subvolume: String,
    /// `published`, `nothing`, or `broken`.
    pub pointer: &'static str,
    /// The reason why the pointer is `broken`.
    pub trouble: Option<String>,
    /// Oldest first.
    pub generations: Vec<GenerationLine>,
    /// Backups whose chain does not lead to a full.
    pub broken: Vec<BackupLine>,
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
    /// `current`, `earlier`, `unpublished`, `unknown` or `broken`.
    pub state: &'static str,
    /// The reason why the backup is broken.
    pub error: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct UnknownLine {
    pub key: String,
    pub size: u64,
    pub modified_at: String,
    pub storage_class: String,
}

impl Contents {
    pub fn of(catalogue: &Catalogue, layout: &Layout, now: Timestamp) -> Contents {
        let publications = catalogue.publications();
        let line = |n: usize| BackupLine::of(&catalogue.backups[n], &publications[n], now);
        let broken = (0..catalogue.backups.len()).filter(|n| catalogue.backups[*n].full.is_err());
        let unknown: Vec<_> = catalogue.unknown(layout).collect();
        let (pointer, trouble) = match (catalogue.current(), &catalogue.pointer) {
            (Err(reason), _) => ("broken", Some(reason)),
            (Ok(_), Pointing::Nothing) => ("nothing", None),
            (Ok(_), Pointing::At(_) | Pointing::Broken(_)) => ("published", None),
        };
        Contents {
            subvolume: catalogue.subvolume.to_string(),
            pointer,
            trouble,
            generations: generations(catalogue, line),
            broken: broken.map(line).collect(),
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
        let (word, error) = match publication {
            Publication::Current => ("current", None),
            Publication::Earlier => ("earlier", None),
            Publication::Unpublished => ("unpublished", None),
            Publication::Unknown => ("unknown", None),
            Publication::Broken(reason) => ("broken", Some(reason.clone())),
        };
        let manifest = backup.manifest.as_ref().ok();
        BackupLine {
            manifest: backup.listed.key.as_str().to_owned(),
            kind: backup.listed.kind.to_string(),
            created_at: seconds(created_at),
            age_days: (now.as_second() - created_at.as_second()).div_euclid(DAY_SECONDS),
            total_bytes: backup.total_bytes,
            chunks: backup.chunk_count,
            storage_classes: backup.classes.iter().map(ToString::to_string).collect(),
            parent_manifest: manifest.and_then(|entry| entry.manifest.parent_manifest.clone()),
            state: word,
            error,
        }
    }

    fn cells(&self, subvolume: &str) -> [String; 7] {
        [
            subvolume.to_owned(),
            self.created_at.clone(),
            self.kind.clone(),
            Size(self.total_bytes).to_string(),
            self.chunks.to_string(),
            match self.storage_classes.is_empty() {
                true => "-".to_owned(),
                false => self.storage_classes.join("+"),
            },
            match &self.error {
                Some(error) => format!("{}: {error}", self.state),
                None => self.state.to_owned(),
            },
        ]
    }
}

/// Formats a table of all backups, oldest first, then notes about problems. A
/// generation starts at each full.
pub fn to_table(all: &[Contents]) -> String {
    let header = ["SUBVOLUME", "CREATED", "KIND", "SIZE", "CHUNKS", "CLASS", "STATE"];
    let mut text = table(header, all.iter().flat_map(rows));
    for contents in all {
        text.push_str(&notes(contents));
    }
    text
}

fn rows(contents: &Contents) -> Vec<[String; 7]> {
    let name = &contents.subvolume;
    let sound = contents.generations.iter().flat_map(|generation| &generation.backups);
    sound.chain(&contents.broken).map(|line| line.cells(name)).collect()
}

fn notes(contents: &Contents) -> String {
    let Contents { subvolume, trouble, unknown, unknown_count, unknown_bytes, .. } = contents;
    let mut text = String::new();
    if let Some(trouble) = trouble {
        text.push_str(&format!("{subvolume}: the published backup is broken: {trouble}\n"));
    }
    if contents.pointer == "nothing" {
        text.push_str(&format!("{subvolume}: no backup has been published\n"));
    }
    if *unknown_count > 0 {
        let bytes = Size(*unknown_bytes);
        text.push_str(&format!(
            "{subvolume}: no manifest names {} ({bytes}):\n",
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
