//! Prints what a prune deletes to stdout, as a table or as JSON.

use std::fmt;

use s3up_cli::table;
use s3up_core::{Count, Key, Size};
use s3up_repository::names::SubvolumeName;
use s3up_repository::retention::Window;
use s3up_repository::retention::{GenerationVerdict, PruneDecision, PrunePlan};
use s3up_repository::stamp::seconds;
use s3up_store::Versioning;
use serde::Serialize;

use super::cost::{Priced, PruneCostLine, prune_text};

/// The effect of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneMode {
    Print,
    Delete,
}

/// One subvolume in the JSON output.
#[derive(Debug, Serialize)]
pub struct PruneLine {
    pub subvolume: String,
    /// The reason why nothing is deleted, whatever the generations are.
    pub blocked: Option<String>,
    pub generations: Vec<PrunedGenerationLine>,
    /// Backups whose chain does not lead to a full; they stay.
    pub broken: Vec<String>,
    /// Number of objects that an interrupted prune left; they are deleted.
    pub leftovers: usize,
    /// Manifests to delete, in this order.
    pub manifests: Vec<String>,
    pub objects: usize,
    pub bytes: u64,
    /// The backups that can be restored now, and after the prune.
    pub restore_window: WindowLine,
    pub restore_window_after: WindowLine,
    /// Savings and charges of the prune; `null` if nothing is known of the prices of this server.
    pub cost: Option<Priced<PruneCostLine>>,
}

/// The restore window in the JSON output.
#[derive(Debug, Serialize)]
pub struct WindowLine {
    /// Number of backups that can be restored.
    pub backups: usize,
    /// Creation time of the oldest of them.
    pub oldest_at: Option<String>,
}

/// The fate of objects that a prune deletes, in a bucket that keeps versions or may keep them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldVersions {
    Remain,
    MayRemain,
}

impl OldVersions {
    /// Returns `None` if the deleted bytes are gone.
    pub fn of(versioning: Option<Versioning>, bytes: u64) -> Option<OldVersions> {
        match versioning {
            _ if bytes == 0 => None,
            Some(Versioning::Off) => None,
            Some(Versioning::Enabled) => Some(OldVersions::Remain),
            Some(Versioning::Unknown) | None => Some(OldVersions::MayRemain),
        }
    }
}

impl fmt::Display for OldVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OldVersions::Remain => "the bucket keeps versions, so deleted objects",
            OldVersions::MayRemain => {
                "if the bucket keeps versions, which it does not report, deleted objects"
            }
        })?;
        f.write_str(
            " remain as old versions, and S3 charges for them, until a lifecycle rule \
             (NoncurrentVersionExpiration) removes them",
        )
    }
}

/// One sentence about what a prune deletes, and what can be restored after it.
pub struct Deletion<'a>(pub &'a PrunePlan);

impl WindowLine {
    pub fn of(window: &Window) -> WindowLine {
        let Window { backups, oldest_at } = window;
        WindowLine { backups: *backups, oldest_at: oldest_at.map(seconds) }
    }
}

impl fmt::Display for Deletion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deletion(plan) = self;
        let Window { backups, oldest_at } = plan.window_after;
        write!(
            f,
            "deletes {} ({}) that retention no longer keeps; then {} can be restored",
            Count::of(plan.steps.len(), "backup"),
            Size(plan.bytes()),
            Count::of(backups, "backup"),
        )?;
        match oldest_at {
            Some(at) => write!(f, ", the oldest of {}", seconds(at)),
            None => Ok(()),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct PrunedGenerationLine {
    /// Creation time of the full.
    pub full: String,
    pub backups: usize,
    pub total_bytes: u64,
    pub storage_classes: Vec<String>,
    /// True if the prune deletes it.
    pub is_deleted: bool,
    pub reason: String,
    /// S3 charges for early deletion, or the restore window needs it, until then.
    pub waits_until: Option<String>,
}

impl PruneLine {
    pub fn of(
        subvolume: &SubvolumeName,
        plan: &PrunePlan,
        cost: Option<Priced<PruneCostLine>>,
    ) -> PruneLine {
        PruneLine {
            subvolume: subvolume.to_string(),
            blocked: plan.blocked.as_ref().map(ToString::to_string),
            generations: plan.verdicts.iter().map(PrunedGenerationLine::of).collect(),
            broken: plan.broken.iter().map(|key| key.as_str().to_owned()).collect(),
            leftovers: plan.leftovers.len(),
            manifests: plan.steps.iter().map(|step| step.manifest.as_str().to_owned()).collect(),
            objects: plan.objects().count() + plan.steps.len(),
            bytes: plan.bytes(),
            restore_window: WindowLine::of(&plan.window),
            restore_window_after: WindowLine::of(&plan.window_after),
            cost,
        }
    }
}

impl PrunedGenerationLine {
    fn of(verdict: &GenerationVerdict) -> PrunedGenerationLine {
        let waits_until = match &verdict.decision {
            PruneDecision::WaitsForAge { until } | PruneDecision::WaitsForWindow { until } => {
                Some(seconds(*until))
            }
            PruneDecision::Current
            | PruneDecision::Newer
            | PruneDecision::OtherOrigin { .. }
            | PruneDecision::Retained
            | PruneDecision::WaitsForIncremental
            | PruneDecision::Needed { .. }
            | PruneDecision::Blocked
            | PruneDecision::Delete => None,
        };
        PrunedGenerationLine {
            full: seconds(verdict.full_at),
            backups: verdict.backups,
            total_bytes: verdict.bytes,
            storage_classes: verdict.classes.clone(),
            is_deleted: verdict.decision == PruneDecision::Delete,
            reason: reason(&verdict.decision),
            waits_until,
        }
    }
}

/// Returns the reason of a decision, with the configuration key that determines it.
fn reason(decision: &PruneDecision) -> String {
    let key = match decision {
        PruneDecision::Retained => "retention.generations",
        PruneDecision::WaitsForWindow { .. } => "retention.keep_days",
        PruneDecision::WaitsForAge { .. } => "retention.min_age_days",
        PruneDecision::Current
        | PruneDecision::Newer
        | PruneDecision::OtherOrigin { .. }
        | PruneDecision::WaitsForIncremental
        | PruneDecision::Needed { .. }
        | PruneDecision::Blocked
        | PruneDecision::Delete => return decision.to_string(),
    };
    format!("{decision} (`{key}`)")
}

/// Formats a table of all generations, then the reason for each, and notes about problems.
pub fn to_table(all: &[PruneLine], mode: PruneMode) -> String {
    let header = ["SUBVOLUME", "GENERATION", "BACKUPS", "SIZE", "CLASS", "ACTION"];
    let rows = all.iter().flat_map(|line| {
        line.generations.iter().map(|generation| {
            [
                line.subvolume.clone(),
                generation.full.clone(),
                generation.backups.to_string(),
                Size(generation.total_bytes).to_string(),
                generation.storage_classes.join("+"),
                if generation.is_deleted { "delete" } else { "keep" }.to_owned(),
            ]
        })
    });
    let mut text = table(header, rows);
    for line in all {
        text.push_str(&notes(line, mode));
    }
    text
}

/// Formats one line per key, quoted and escaped: a key may hold any character.
pub fn to_lines(keys: &[Key]) -> String {
    keys.iter().map(|key| format!("{:?}\n", key.as_str())).collect()
}

/// Says what can be restored after a prune that deletes something.
fn window(line: &PruneLine, deletes: &str) -> String {
    let WindowLine { backups, oldest_at } = &line.restore_window_after;
    match oldest_at {
        Some(at) if !line.manifests.is_empty() => format!(
            "{}: {deletes} {}; then {} can be restored, the oldest of {at}\n",
            line.subvolume,
            Count::of(line.manifests.len(), "backup"),
            Count::of(*backups, "backup")
        ),
        Some(_) | None => String::new(),
    }
}

fn notes(line: &PruneLine, mode: PruneMode) -> String {
    let PruneLine { subvolume, blocked, broken, leftovers, .. } = line;
    let (deletes, keeps, are_deleted) = match mode {
        PruneMode::Print => ("would delete", "would keep", "would be deleted"),
        PruneMode::Delete => ("will delete", "will keep", "will be deleted"),
    };
    let mut text = String::new();
    // Without a decision about each there is one reason for all.
    for generation in line.generations.iter().filter(|_| blocked.is_none()) {
        let PrunedGenerationLine { full, is_deleted, reason, .. } = generation;
        let verb = if *is_deleted { deletes } else { keeps };
        text.push_str(&format!("{subvolume}: {verb} {full}: {reason}\n"));
    }
    text.push_str(&window(line, deletes));
    if let Some(cost) = line.cost.as_ref().filter(|_| !line.manifests.is_empty()) {
        text.push_str(&format!("{subvolume}: {}\n", prune_text(cost)));
    }
    if let Some(reason) = blocked {
        text.push_str(&format!("{subvolume}: nothing is deleted: {reason}\n"));
    }
    if *leftovers > 0 {
        text.push_str(&format!(
            "{subvolume}: an interrupted prune left {}, which {are_deleted}\n",
            Count::of(*leftovers, "object")
        ));
    }
    for key in broken {
        text.push_str(&format!(
            "{subvolume}: not deleted: {key}, whose chain does not lead to a full\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_bytes_are_gone_only_if_the_bucket_is_known_to_keep_no_versions() {
        use OldVersions::{MayRemain, Remain};
        #[rustfmt::skip]
        let cases = [
            (Some(Versioning::Off),     5, None),
            (Some(Versioning::Enabled), 5, Some(Remain)),
            (Some(Versioning::Enabled), 0, None),
            (Some(Versioning::Unknown), 5, Some(MayRemain)),
            (None,                      5, Some(MayRemain)),
        ];
        for (versioning, bytes, want) in cases {
            assert_eq!(OldVersions::of(versioning, bytes), want, "{versioning:?} {bytes}");
        }
    }
}
