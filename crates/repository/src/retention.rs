//! Decides which backups may be deleted from the bucket. Pure: it reads only a
//! [`Catalogue`].
//!
//! Only whole generations are deleted, and only ones that are older than the published.
//! If anything is not understood (a dangling pointer, an unreadable manifest, a
//! published chain that was not audited), nothing is deleted. Every generation gets a
//! reason, whether it stays or not.
//!
//! A generation is deleted from its newest backup to its full, and of each backup first
//! the manifest, then the objects that it named. So every manifest that a reader finds
//! has its objects, and every incremental its parent. If a prune stops after a
//! manifest, the list of [pending deletions](crate::prune::pending) remembers the rest.
//!
//! The restore window is what can be restored: back to each moment of the last
//! `retention.keep_days` there is a backup to restore from, as far as there was one
//! before. No deletion makes it shorter than that.

pub mod broken;
mod decision;
mod display;
mod steps;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use s3up_core::Key;
use s3up_core::storage_class::StorageClass;

use crate::audit::AuditFinding;
use crate::catalogue::{Catalogue, Generation};
pub use crate::retention::decision::{
    Blocked, DeletionStep, GenerationVerdict, MinAge, PruneDecision, PrunePlan, Retention, Window,
};
use crate::retention::steps::{leftovers, steps};

impl PrunePlan {
    /// Returns true if there is nothing to delete.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.leftovers.is_empty()
    }

    pub fn bytes(&self) -> u64 {
        self.steps.iter().map(|step| step.bytes).sum()
    }

    /// Returns every object to delete except manifests.
    pub fn objects(&self) -> impl Iterator<Item = &Key> {
        self.leftovers.iter().chain(self.steps.iter().flat_map(|step| &step.objects))
    }
}

impl MinAge {
    fn days(self, class: &str) -> u32 {
        match self {
            MinAge::Days(days) => days,
            MinAge::ByClass => StorageClass::find(class).map_or(0, |class| class.min_age_days),
        }
    }

    fn until(self, class: &str, modified_at: Timestamp) -> Timestamp {
        let age = SignedDuration::from_hours(24 * i64::from(self.days(class)));
        modified_at.checked_add(age).unwrap_or(Timestamp::MAX)
    }
}

/// Returns what is deleted and kept. `problem` is the finding of the audit of the published chain;
/// `pending` lists the objects that an earlier prune started to delete.
pub fn plan(
    catalogue: &Catalogue,
    retention: Retention,
    problem: Option<&AuditFinding>,
    pending: &[Key],
    now: Timestamp,
) -> PrunePlan {
    let generations = catalogue.generations();
    let blocked = blocked(catalogue, problem);
    let decisions = match (&blocked, catalogue.current()) {
        (None, Ok(Some(current))) => decisions(catalogue, &generations, &current, retention, now),
        // If it is unknown what is published, no generation counts as older.
        (_, _) => vec![PruneDecision::Blocked; generations.len()],
    };
    let decided = generations.iter().zip(&decisions);
    let to_delete: Vec<&Generation> = decided
        .filter(|(_, decision)| **decision == PruneDecision::Delete)
        .map(|(generation, _)| generation)
        .collect();
    let verdict = |(generation, decision)| verdict(catalogue, generation, decision);
    let broken = catalogue.backups.iter().filter(|backup| backup.full.is_err());
    PrunePlan {
        window: window::window(catalogue, &[]),
        window_after: window::window(catalogue, &to_delete),
        steps: steps(catalogue, &to_delete),
        verdicts: generations.iter().zip(decisions).map(verdict).collect(),
        broken: broken.map(|backup| backup.listed.key.clone()).collect(),
        leftovers: if blocked.is_some() { Vec::new() } else { leftovers(catalogue, pending) },
        blocked,
    }
}

fn blocked(catalogue: &Catalogue, problem: Option<&AuditFinding>) -> Option<Blocked> {
    match catalogue.current() {
        Ok(None) => return Some(Blocked::NothingPublished),
        Err(reason) => return Some(Blocked::Published(reason)),
        Ok(Some(_)) => {}
    }
    if let Some(reason) = catalogue.backups.iter().find_map(|it| it.manifest.as_ref().err()) {
        return Some(Blocked::Unread(reason.clone()));
    }
    problem.map(|finding| Blocked::AuditFailed(finding.clone()))
}

fn decisions(
    catalogue: &Catalogue,
    generations: &[Generation],
    current: &[usize],
    retention: Retention,
    now: Timestamp,
) -> Vec<PruneDecision> {
    let current_full = current[0];
    // A full alone has not shown yet that an incremental can be based on it.
    let is_confirmed = current.len() > 1;
    let mut wanted = retention.generations.max(1) - usize::from(is_confirmed);
    let mut may_wait = !is_confirmed;
    let mut decisions = vec![PruneDecision::Retained; generations.len()];
    for (n, generation) in generations.iter().enumerate().rev() {
        let sound = generation.backups.iter().all(|n| catalogue.problem(*n).is_none());
        decisions[n] = if generation.full == current_full {
            PruneDecision::Current
        } else if !catalogue.made_after(current_full, generation.full) {
            PruneDecision::Newer
        } else if let Some(host) = other_origin(catalogue, generation, retention) {
            PruneDecision::OtherOrigin { host }
        } else if wanted > 0 {
            // A generation that cannot be restored does not count as one of those to
            // keep.
            wanted -= usize::from(sound);
            match wanted == 0 && std::mem::take(&mut may_wait) {
                true => PruneDecision::WaitsForIncremental,
                false => PruneDecision::Retained,
            }
        } else {
            let until = until(catalogue, generation, retention.min_age);
            if until > now { PruneDecision::WaitsForAge { until } } else { PruneDecision::Delete }
        };
    }
    window::keep_window(catalogue, generations, &mut decisions, (retention, now));
    keep_what_is_needed(catalogue, generations, &mut decisions);
    decisions
}

/// Returns the host of a generation of another origin, whose full or any later backup was
/// made elsewhere.
fn other_origin(
    catalogue: &Catalogue,
    generation: &Generation,
    retention: Retention,
) -> Option<String> {
    let mut others = generation.backups.iter().filter(|n| catalogue.is_of_another_origin(**n));
    let other = others.next().filter(|_| !retention.adopts)?;
    catalogue.origin(*other).map(|origin| origin.host.clone())
}

/// Returns the time from which deleting the generation saves money.
fn until(catalogue: &Catalogue, generation: &Generation, min_age: MinAge) -> Timestamp {
    let backups: BTreeSet<_> = generation.backups.iter().copied().collect();
    let manifests: BTreeSet<_> =
        backups.iter().map(|n| catalogue.backups[*n].listed.key.as_str()).collect();
    let of_it = catalogue.objects.iter().filter(|(key, object)| {
        manifests.contains(key.as_str()) || object.named_by.iter().any(|n| backups.contains(n))
    });
    let until = of_it.map(|(_, object)| min_age.until(&object.class, object.modified_at));
    until.max().unwrap_or(Timestamp::MIN)
}

/// Keeps every generation that a remaining backup needs. Backups without a full remain,
/// so their needs count, too.
fn keep_what_is_needed(
    catalogue: &Catalogue,
    generations: &[Generation],
    decisions: &mut [PruneDecision],
) {
    let mut generation_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (n, generation) in generations.iter().enumerate() {
        generation_of.extend(generation.backups.iter().map(|backup| (*backup, n)));
    }
    let pairs = needs(catalogue);
    loop {
        let is_deleted = |decisions: &[PruneDecision], backup: usize| {
            generation_of.get(&backup).copied().filter(|n| decisions[*n] == PruneDecision::Delete)
        };
        let found = pairs.iter().find_map(|(by, needed)| {
            let generation = is_deleted(decisions, *needed)?;
            is_deleted(decisions, *by).is_none().then_some((*by, generation))
        });
        let Some((by, generation)) = found else { return };
        decisions[generation] =
            PruneDecision::Needed { by: catalogue.backups[by].listed.key.clone() };
    }
}

/// Returns pairs of a backup and one that it needs: its parent, or one that shares an
/// object with it.
fn needs(catalogue: &Catalogue) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    for (n, backup) in catalogue.backups.iter().enumerate() {
        pairs.extend(backup.parent.map(|parent| (n, parent)));
    }
    for object in catalogue.objects.values().filter(|object| object.named_by.len() > 1) {
        for (at, by) in object.named_by.iter().enumerate() {
            let others = object.named_by.iter().enumerate().filter(|(other, _)| *other != at);
            pairs.extend(others.map(|(_, other)| (*by, *other)));
        }
    }
    pairs
}

fn verdict(
    catalogue: &Catalogue,
    generation: &Generation,
    decision: PruneDecision,
) -> GenerationVerdict {
    let backups = || generation.backups.iter().map(|n| &catalogue.backups[*n]);
    let classes: BTreeSet<_> = backups().flat_map(|backup| &backup.classes).collect();
    GenerationVerdict {
        full_at: catalogue.backups[generation.full].created_at().time(),
        backups: generation.backups.len(),
        bytes: backups().map(|backup| backup.total_bytes).sum(),
        classes: classes.into_iter().map(ToString::to_string).collect(),
        decision,
    }
}

#[cfg(test)]
mod tests;
