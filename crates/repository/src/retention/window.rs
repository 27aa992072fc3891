//! The restore window: the backups that are needed to go back to each moment of the last
//! `retention.keep_days`. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::decision::{PruneDecision, Retention, Window};
use crate::catalogue::{Catalogue, Generation};

/// Returns what can be restored without the backups of these generations.
pub fn window(catalogue: &Catalogue, without: &[&Generation]) -> Window {
    let gone: BTreeSet<_> = without.iter().flat_map(|gone| &gone.backups).copied().collect();
    let kept = sound(catalogue).into_iter().filter(|n| !gone.contains(n));
    let times: Vec<_> = kept.map(|n| at(catalogue, n)).collect();
    Window { backups: times.len(), oldest_at: times.into_iter().min() }
}

/// Returns the backups that are needed to go back to each moment of the window: the ones
/// made in it, and the newest one before it.
pub fn needed(catalogue: &Catalogue, retention: Retention, now: Timestamp) -> BTreeSet<usize> {
    let Retention { keep_days, adopts, .. } = retention;
    if keep_days == 0 {
        return BTreeSet::new();
    }
    // What another origin made replaces no backup of this one, unless it is taken over.
    let is_ours = |n: &usize| adopts || !catalogue.is_of_another_origin(*n);
    let ours = sound(catalogue).into_iter().filter(is_ours);
    let begins_at = now.checked_sub(length(keep_days)).unwrap_or(Timestamp::MIN);
    let (inside, before): (Vec<_>, Vec<_>) = ours.partition(|n| at(catalogue, *n) > begins_at);
    let newest_before = before.into_iter().max_by_key(|n| (at(catalogue, *n), *n));
    inside.into_iter().chain(newest_before).collect()
}

/// Keeps every generation that holds a needed backup.
pub(super) fn keep_window(
    catalogue: &Catalogue,
    generations: &[Generation],
    decisions: &mut [PruneDecision],
    (retention, now): (Retention, Timestamp),
) {
    let needed = needed(catalogue, retention, now);
    for (generation, decision) in generations.iter().zip(decisions) {
        if *decision == PruneDecision::Delete
            && generation.backups.iter().any(|n| needed.contains(n))
        {
            let until = until(catalogue, generation, retention.keep_days);
            *decision = PruneDecision::WaitsForWindow { until };
        }
    }
}

/// Returns when the window no longer needs the generation: once the first backup that
/// follows it lies before the window.
fn until(catalogue: &Catalogue, generation: &Generation, keep_days: u32) -> Timestamp {
    let sound = sound(catalogue);
    let (inside, outside): (Vec<usize>, Vec<usize>) =
        sound.into_iter().partition(|n| generation.backups.contains(n));
    let last = inside.into_iter().map(|n| at(catalogue, n)).max().unwrap_or(Timestamp::MIN);
    let next = outside.into_iter().map(|n| at(catalogue, n)).filter(|at| *at >= last).min();
    next.unwrap_or(last).checked_add(length(keep_days)).unwrap_or(Timestamp::MAX)
}

fn sound(catalogue: &Catalogue) -> Vec<usize> {
    (0..catalogue.backups.len()).filter(|n| catalogue.problem(*n).is_none()).collect()
}

fn at(catalogue: &Catalogue, n: usize) -> Timestamp {
    catalogue.backups[n].created_at().time()
}

fn length(keep_days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(keep_days))
}
