//! Finds the backups that retention keeps and that cannot be restored. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{PruneDecision, Retention, plan};
use crate::catalogue::{Catalogue, Unrestorable};

/// A backup that retention keeps and that cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenBackup {
    /// Index in the catalogue.
    pub n: usize,
    pub reason: String,
}

/// Returns the broken backups that retention keeps, oldest first.
///
/// A backup in a generation that a prune would delete does not count. One whose chain
/// leads to no full is in no generation: it counts while its generation would have been
/// kept. One that is newer than the published chain was never published, so it does not
/// count either: its run may still be at work.
pub fn broken(catalogue: &Catalogue, retention: Retention, now: Timestamp) -> Vec<BrokenBackup> {
    let newest = catalogue.current().ok().flatten().and_then(|chain| chain.last().copied());
    let is_published = |n: usize| newest.is_none_or(|newest| !catalogue.made_after(n, newest));
    let deleted = deleted(catalogue, retention, now);
    let is_kept = |n: usize| match catalogue.backups[n].full {
        _ if catalogue.is_of_another_origin(n) => false,
        Ok(full) => !deleted.contains(&full),
        Err(_) => would_be_kept(catalogue, n, retention, now),
    };
    let backups = (0..catalogue.backups.len()).filter(|n| is_published(*n));
    backups
        .filter_map(|n| match catalogue.problem(n)? {
            Unrestorable::Broken(reason) => Some(BrokenBackup { n, reason }),
            // Nothing is known about it.
            Unrestorable::Archived(_) => None,
        })
        .filter(|broken| is_kept(broken.n))
        .collect()
}

/// Returns the fulls of the generations that a prune would delete.
fn deleted(catalogue: &Catalogue, retention: Retention, now: Timestamp) -> Vec<usize> {
    let verdicts = plan(catalogue, retention, None, &[], now).verdicts;
    let generations = catalogue.generations().into_iter().zip(verdicts);
    let deleted = generations.filter(|(_, verdict)| verdict.decision == PruneDecision::Delete);
    deleted.map(|(generation, _)| generation.full).collect()
}

/// Returns true if too few sound generations are newer than this backup, or if it is younger
/// than the restore window.
fn would_be_kept(catalogue: &Catalogue, n: usize, retention: Retention, now: Timestamp) -> bool {
    let is_newer = |full: usize| catalogue.made_after(full, n);
    let sound = catalogue.generations().into_iter().filter(|generation| {
        is_newer(generation.full)
            && generation.backups.iter().all(|backup| catalogue.problem(*backup).is_none())
    });
    let age = now.duration_since(catalogue.backups[n].created_at().time());
    let window = SignedDuration::from_hours(24 * i64::from(retention.keep_days));
    sound.count() < retention.generations.max(1) || age < window
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::{TestListing, chunk_key, manifest_key, now};
    use crate::names::BackupKind;
    use crate::retention::MinAge;

    const RULES: Retention =
        Retention { generations: 1, keep_days: 0, min_age: MinAge::Days(0), adopts: false };

    #[test]
    fn a_broken_backup_counts_while_retention_keeps_it() {
        type Damage = fn(&mut TestListing);
        type Case = (&'static str, Damage, usize, u32, u32, &'static [u32]);
        #[rustfmt::skip]
        let cases: [Case; 10] = [
            // situation                  damage                                                      generations, keep_days, day, broken
            ("all is well",               |_| {},                                                     3,   0, 21, &[]),
            ("the published one",         |s| s.remove(&chunk_key(11, 0)),                            1,   0, 21, &[11]),
            ("an old one lost a chunk",   |s| s.remove(&chunk_key(1, 0)),                             3,   0, 21, &[1, 2]),
            ("and may go",                |s| s.remove(&chunk_key(1, 0)),                             1,   0, 21, &[]),
            ("an old full is gone",       |s| s.remove(manifest_key(0, BackupKind::Full).as_str()),         3,   0, 21, &[1, 2]),
            ("its generation would go",   |s| s.remove(manifest_key(0, BackupKind::Full).as_str()),         1,   0, 21, &[]),
            ("but not from the window",   |s| s.remove(manifest_key(0, BackupKind::Full).as_str()),         1,  30, 21, &[1, 2]),
            ("and later it would",        |s| s.remove(manifest_key(0, BackupKind::Full).as_str()),         1,  30, 60, &[]),
            ("one is archived",           |s| s.archive(1),                                          3,  30, 21, &[]),
            ("a run is at work",          |s| { s.incremental(12, 11); s.remove(&chunk_key(12, 0)) }, 3,  30, 21, &[]),
        ];
        for (situation, damage, generations, keep_days, day, want) in cases {
            let mut listed = TestListing::default();
            listed.full(0).incremental(1, 0).incremental(2, 1).full(10).incremental(11, 10);
            listed.points_to(11);
            damage(&mut listed);
            let retention = Retention { generations, keep_days, ..RULES };

            let found = broken(&listed.catalogue(), retention, now(day));

            let indexes: Vec<_> = found.iter().map(|broken| broken.n).collect();
            assert_eq!(listed.days(&indexes), want, "{situation}");
        }
    }
}
