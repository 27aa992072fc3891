//! The series of btrfs hosts. A client has them once it sent a backup report, so that an alert on a missing
//! backup is not raised for a web host.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use s3up_core::wire::{ClientStatus, RunOutcome, SubvolumeReport};

use super::labels::{ClientLabels, Value, float, seconds};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    client: String,
    result: &'static str,
}

/// Adds the series of all clients that sent a backup report.
pub(super) fn add(registry: &mut Registry, clients: &[ClientStatus]) {
    let gauges = [
        ("client_last_backup_report_timestamp_seconds", "Last backup report"),
        (
            "client_oldest_backup_age_seconds",
            "Age of the newest backup, of the subvolume where it is oldest; absent: one has none",
        ),
        ("client_backup_chain_length", "Backups that a restore reads, of the longest chain"),
        (
            "client_backup_drill_timestamp_seconds",
            "Last good drill, of the subvolume where it is oldest; 0: one has none",
        ),
    ];
    let [reported, age, chain, drill] = gauges.map(|(name, help)| {
        let family = Family::<ClientLabels, Value>::default();
        registry.register(name, help, family.clone());
        family
    });
    let (restorable, runs) =
        (Family::<ResultLabels, Value>::default(), Family::<ResultLabels, Value>::default());
    registry.register(
        "client_subvolumes",
        "Subvolumes by the state of their backups: restorable, not_restorable or unknown",
        restorable.clone(),
    );
    let help =
        "Subvolumes by the end of their last run: published, not_due, failed, stopped or unknown";
    registry.register("client_subvolume_runs", help, runs.clone());
    for client in clients {
        let Some(at) = &client.last_backup_report_at else { continue };
        let label = ClientLabels { client: client.name.clone() };
        let of_result = |result| ResultLabels { client: client.name.clone(), result };
        reported.get_or_create(&label).set(seconds(at));
        let facts = facts(&client.subvolumes);
        if let Some(seconds) = facts.oldest_age {
            age.get_or_create(&label).set(float(seconds));
        }
        chain.get_or_create(&label).set(float(facts.longest_chain));
        drill.get_or_create(&label).set(facts.oldest_drill);
        for (result, count) in by_restorable(&client.subvolumes) {
            restorable.get_or_create(&of_result(result)).set(float(count));
        }
        for (result, count) in by_run(&client.subvolumes) {
            runs.get_or_create(&of_result(result)).set(float(count));
        }
    }
}

/// The worst numbers of the subvolumes of one host.
#[derive(Debug, PartialEq)]
struct Worst {
    /// `None` if a subvolume has no backup, or if that is unknown.
    oldest_age: Option<u64>,
    longest_chain: u64,
    /// Seconds since 1970; 0 if a subvolume was never drilled.
    oldest_drill: f64,
}

fn facts(subvolumes: &[SubvolumeReport]) -> Worst {
    let ages: Option<Vec<_>> = subvolumes.iter().map(|it| it.newest_backup_age_seconds).collect();
    let drilled_at = |subvolume: &SubvolumeReport| {
        let drill = subvolume.last_drill.as_ref()?;
        Some(seconds(drill.last_good_at.as_ref()?))
    };
    let drills = subvolumes.iter().map(|it| drilled_at(it).unwrap_or(0.0));
    Worst {
        oldest_age: ages.and_then(|ages| ages.into_iter().max()),
        longest_chain: subvolumes.iter().filter_map(|it| it.chain_length).max().unwrap_or(0),
        oldest_drill: drills.reduce(f64::min).unwrap_or(0.0),
    }
}

fn by_restorable(subvolumes: &[SubvolumeReport]) -> [(&'static str, u64); 3] {
    let count = |restorable| {
        subvolumes.iter().filter(|subvolume| subvolume.restorable == restorable).count() as u64
    };
    [
        ("restorable", count(Some(true))),
        ("not_restorable", count(Some(false))),
        ("unknown", count(None)),
    ]
}

fn by_run(subvolumes: &[SubvolumeReport]) -> Vec<(&'static str, u64)> {
    let outcomes = RunOutcome::ALL.into_iter().map(Some).chain([None]);
    let counted = outcomes.map(|outcome| {
        let is = |it: &&SubvolumeReport| it.last_run.as_ref().map(|run| run.outcome) == outcome;
        let count = subvolumes.iter().filter(is).count() as u64;
        (outcome.map_or("unknown", RunOutcome::as_str), count)
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use s3up_core::wire::BackupCheck;

    use super::*;

    fn subvolume(
        age: Option<u64>,
        chain: Option<u64>,
        good_drill: Option<&str>,
    ) -> SubvolumeReport {
        let last_good_at = good_drill.map(str::to_owned);
        let last_drill =
            BackupCheck { at: "soon".to_owned(), error: None, last_good_at, deep: false };
        SubvolumeReport {
            newest_backup_age_seconds: age,
            chain_length: chain,
            last_drill: Some(last_drill),
            ..SubvolumeReport::default()
        }
    }

    #[test]
    fn the_worst_subvolume_counts() {
        let drilled = |at| subvolume(Some(1), Some(1), Some(at));
        #[rustfmt::skip]
        let cases = [
            (vec![],                                                              None,    0, 0.0),
            (vec![subvolume(Some(5), Some(3), None)],                             Some(5), 3, 0.0),
            (vec![subvolume(Some(5), Some(3), None), subvolume(Some(9), Some(1), None)], Some(9), 3, 0.0),
            // One without a backup is worse than every age.
            (vec![subvolume(Some(5), Some(3), None), subvolume(None, None, None)], None,    3, 0.0),
            (vec![drilled("1970-01-01T00:00:09Z"), drilled("1970-01-01T00:00:07Z")], Some(1), 1, 7.0),
            (vec![drilled("1970-01-01T00:00:09Z"), subvolume(Some(1), None, None)],  Some(1), 1, 0.0),
        ];
        for (subvolumes, oldest_age, longest_chain, oldest_drill) in cases {
            let want = Worst { oldest_age, longest_chain, oldest_drill };
            assert_eq!(facts(&subvolumes), want, "{subvolumes:?}");
        }
    }
}
