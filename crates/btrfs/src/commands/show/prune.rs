//! Prints what a prune deletes to stdout, as a table or as JSON.

use s3up_cli::table;
use s3up_core::{Count, Key, Size};
use s3up_repository::names::SubvolumeName;
use s3up_repository::retention::{Decision, PrunePlan, Verdict};
use s3up_repository::stamp::seconds;
use serde::Serialize;

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct PruneLine {
    pub subvolume: String,
    /// The reason why nothing is deleted, whatever the generations are.
    pub held: Option<String>,
    pub generations: Vec<GenerationLine>,
    /// Backups whose chain does not lead to a full; they stay.
    pub broken: Vec<String>,
    /// Number of objects that an interrupted prune left; they are deleted.
    pub leftovers: usize,
    /// Manifests to delete, in this order.
    pub manifests: Vec<String>,
    pub objects: usize,
    pub bytes: u64,
}

#[derive(Debug, Serialize)]
pub struct GenerationLine {
    /// Creation time of the full.
    pub full: String,
    pub backups: usize,
    pub total_bytes: u64,
    pub storage_classes: Vec<String>,
    pub goes: bool,
    pub reason: String,
    /// S3 charges for early deletion until then.
    pub waits_until: Option<String>,
}

impl PruneLine {
    pub fn of(subvolume: &SubvolumeName, plan: &PrunePlan) -> PruneLine {
        PruneLine {
            subvolume: subvolume.to_string(),
            held: plan.blocked.as_ref().map(ToString::to_string),
            generations: plan.verdicts.iter().map(GenerationLine::of).collect(),
            broken: plan.broken.iter().map(|key| key.as_str().to_owned()).collect(),
            leftovers: plan.leftovers.len(),
            manifests: plan.steps.iter().map(|step| step.manifest.as_str().to_owned()).collect(),
            objects: plan.objects().count() + plan.steps.len(),
            bytes: plan.bytes(),
        }
    }
}

impl GenerationLine {
    fn of(verdict: &Verdict) -> GenerationLine {
        let waits_until = match &verdict.decision {
            Decision::WaitsForAge { until } => Some(seconds(*until)),
            Decision::Current
            | Decision::Newer
            | Decision::Retained
            | Decision::WaitsForIncremental
            | Decision::Needed { .. }
            | Decision::Blocked
            | Decision::Delete => None,
        };
        GenerationLine {
            full: seconds(verdict.full_at),
            backups: verdict.backups,
            total_bytes: verdict.bytes,
            storage_classes: verdict.classes.clone(),
            goes: verdict.decision == Decision::Delete,
            reason: verdict.decision.to_string(),
            waits_until,
        }
    }
}

/// Formats a table of all generations, then notes about problems.
pub fn to_table(all: &[PruneLine]) -> String {
    let header = ["SUBVOLUME", "GENERATION", "BACKUPS", "SIZE", "CLASS", "ACTION", "REASON"];
    let rows = all.iter().flat_map(|line| {
        line.generations.iter().map(|generation| {
            [
                line.subvolume.clone(),
                generation.full.clone(),
                generation.backups.to_string(),
                Size(generation.total_bytes).to_string(),
                generation.storage_classes.join("+"),
                if generation.goes { "delete" } else { "keep" }.to_owned(),
                generation.reason.clone(),
            ]
        })
    });
    let mut text = table(header, rows);
    for line in all {
        text.push_str(&notes(line));
    }
    text
}

/// Formats one line per key, quoted and escaped: a key may hold any character.
pub fn to_lines(keys: &[Key]) -> String {
    keys.iter().map(|key| format!("{:?}\n", key.as_str())).collect()
}

fn notes(line: &PruneLine) -> String {
    let PruneLine { subvolume, held, broken, leftovers, .. } = line;
    let mut text = String::new();
    if let Some(held) = held {
        text.push_str(&format!("{subvolume}: nothing is deleted: {held}\n"));
    }
    if *leftovers > 0 {
        text.push_str(&format!(
            "{subvolume}: an interrupted prune left {}, which are deleted\n",
            Count::of(*leftovers, "object")
        ));
    }
    for key in broken {
        text.push_str(&format!(
            "{subvolume}: {key} is kept, although its chain does not lead to a full\n"
        ));
    }
    text
}
