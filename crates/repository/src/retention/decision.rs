//! The rules of retention, and the decisions that follow from them.

use jiff::Timestamp;
use s3up_core::Key;

use crate::audit::AuditFinding;
use crate::catalogue::Unrestorable;

/// The rules in `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Number of generations to keep, at least 1.
    pub generations: usize,
    /// Length of the restore window in days; 0 for none.
    pub keep_days: u32,
    pub min_age: MinAge,
    /// True if the rules also apply to generations of another origin.
    pub adopts: bool,
}

/// Time for which deleting an object costs as much as keeping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinAge {
    ByClass,
    /// The same for every class.
    Days(u32),
}

/// The plan of a prune: the backups to delete, and those to keep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// One per generation, oldest first, each with its reason.
    pub verdicts: Vec<GenerationVerdict>,
    /// Backups whose chain does not lead to a full; they stay.
    pub broken: Vec<Key>,
    /// The reason why nothing is deleted, whatever the verdicts are.
    pub blocked: Option<Blocked>,
    /// Objects that an interrupted prune left; they are deleted first.
    pub leftovers: Vec<Key>,
    /// Backups to delete, in this order.
    pub steps: Vec<DeletionStep>,
    /// The backups that can be restored now, and after the prune.
    pub window: Window,
    pub window_after: Window,
}

/// One backup to delete: first its manifest, then its part index, then the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletionStep {
    pub manifest: Key,
    /// The part index first. No manifest that stays names any of them.
    pub objects: Vec<Key>,
    pub bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenerationVerdict {
    /// Creation time of the full.
    pub full_at: Timestamp,
    pub backups: usize,
    pub bytes: u64,
    pub classes: Vec<String>,
    pub decision: PruneDecision,
}

/// Decision about one generation, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PruneDecision {
    /// It is the published generation.
    Current,
    /// It is newer than the published generation.
    Newer,
    /// It was made elsewhere than the published chain.
    OtherOrigin {
        host: String,
    },
    /// `retention.generations` keeps it.
    Retained,
    /// It could be deleted, but the newer full has no published incremental.
    WaitsForIncremental,
    /// `retention.keep_days` keeps it until then.
    WaitsForWindow {
        until: Timestamp,
    },
    /// S3 charges for it until then in any case.
    WaitsForAge {
        until: Timestamp,
    },
    /// A backup that stays is based on it, or names one of its objects.
    Needed {
        by: Key,
    },
    /// Nothing is deleted; [`PrunePlan::blocked`] says why.
    Blocked,
    Delete,
}

/// The reason why nothing is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    NothingPublished,
    /// The published chain cannot be restored, or is not known.
    Published(Unrestorable),
    /// A manifest was not read, so it is unknown which objects it needs.
    Unread(Unrestorable),
    /// The audit of the published chain found a problem.
    AuditFailed(AuditFinding),
}

/// The backups that can be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Number of backups that can be restored.
    pub backups: usize,
    /// Creation time of the oldest of them.
    pub oldest_at: Option<Timestamp>,
}
