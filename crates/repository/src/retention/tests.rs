use proptest::prelude::*;

use super::*;
use crate::audit::{AuditFinding, ObjectProblem};
use crate::catalogue::tests::{TestListing, manifest_key, now};
use crate::names::BackupKind;
use crate::origin::Origin;

const ONE: Retention =
    Retention { generations: 1, keep_days: 0, min_age: MinAge::ByClass, adopts: false };
const DEEP: Option<&str> = Some("DEEP_ARCHIVE");

fn plan_at(listed: &TestListing, retention: Retention, day: u32) -> PrunePlan {
    plan(&listed.catalogue(), retention, None, &[], now(day))
}

/// Returns one letter for each generation: `G`one, `C`urrent, `R`etained, `I`ncremental awaited,
/// `A`ge, `N`ewer, neede`d`, `H`alted, `W`indow, `O`ther.
fn decisions_of(plan: &PrunePlan) -> String {
    let letter = |verdict: &GenerationVerdict| match &verdict.decision {
        PruneDecision::Delete => 'G',
        PruneDecision::Current => 'C',
        PruneDecision::Retained => 'R',
        PruneDecision::WaitsForIncremental => 'I',
        PruneDecision::WaitsForAge { .. } => 'A',
        PruneDecision::OtherOrigin { .. } => 'O',
        PruneDecision::WaitsForWindow { .. } => 'W',
        PruneDecision::Newer => 'N',
        PruneDecision::Needed { .. } => 'd',
        PruneDecision::Blocked => 'H',
    };
    plan.verdicts.iter().map(letter).collect()
}

#[test]
fn only_replaced_generations_are_deleted() {
    /// Three generations of two backups: one on each day that ends in 0 and 1.
    fn three() -> TestListing {
        let mut listed = TestListing::default();
        for day in [0, 10, 20] {
            listed.full(day).incremental(day + 1, day);
        }
        listed.points_to(21);
        listed
    }
    fn full_only() -> TestListing {
        let mut listed = TestListing::default();
        for day in [0, 10, 20] {
            listed.full(day);
        }
        listed.points_to(20);
        listed
    }
    let with = |mut listed: TestListing, edit: &dyn Fn(&mut TestListing)| {
        edit(&mut listed);
        listed
    };
    #[rustfmt::skip]
    let cases = [
        // situation                      in the bucket                                       keep  decisions
        ("one generation",                with(TestListing::default(), &|s| { s.full(0).points_to(0) }), 1, "C"),
        ("replaced by a newer one",        three(),                                            1, "GGC"),
        ("two are kept",                  three(),                                            2, "GRC"),
        ("more than exist",               three(),                                            9, "RRC"),
        ("no incremental yet",            with(three(), &|s| s.points_to(20)),                1, "GIC"),
        ("no incremental yet, two kept",  with(three(), &|s| s.points_to(20)),                2, "IRC"),
        ("only ever fulls",               full_only(),                                        1, "GIC"),
        ("pointer was set back",          with(three(), &|s| s.points_to(11)),                1, "GCN"),
        ("nothing is published",          with(TestListing::default(), &|s| { s.full(0).full(10); }), 1, "HH"),
        ("the pointer dangles",           with(three(), &|s| s.points_to(25)),                1, "HHH"),
        ("a manifest is damaged",         with(three(), &|s| s.damage(1)),                    1, "HHH"),
        ("a manifest is archived",        with(three(), &|s| s.archive(1)),                   1, "HHH"),
        ("the published one is archived", with(three(), &|s| s.archive(21)),                  1, "HHH"),
        ("the pointer is archived",       with(three(), &|s| s.archive_pointer()),            1, "HHH"),
        ("the published one lacks a chunk", with(three(), &|s| s.remove(&crate::catalogue::tests::chunk_key(21, 0))), 1, "HHH"),
        ("an old one lacks a chunk",      with(three(), &|s| s.remove(&crate::catalogue::tests::chunk_key(11, 0))), 1, "GGC"),
        ("and does not count",            with(three(), &|s| s.remove(&crate::catalogue::tests::chunk_key(11, 0))), 2, "RRC"),
    ];
    for (situation, listed, generations, want) in cases {
        let plan = plan_at(&listed, Retention { generations, ..ONE }, 400);
        assert_eq!(decisions_of(&plan), want, "{situation}");
        assert_eq!(plan.steps.is_empty(), !want.contains('G'), "{situation}");
    }
}

#[test]
fn a_generation_waits_until_early_deletion_is_free() {
    #[rustfmt::skip]
    let cases = [
        // class                 rule                last day that waits
        (None,                   MinAge::ByClass,    None),
        (Some("STANDARD_IA"),    MinAge::ByClass,    Some(1 + 29)),
        (Some("ONEZONE_IA"),     MinAge::ByClass,    Some(1 + 29)),
        (Some("GLACIER_IR"),     MinAge::ByClass,    Some(1 + 89)),
        (Some("GLACIER"),        MinAge::ByClass,    Some(1 + 89)),
        (DEEP,                   MinAge::ByClass,    Some(1 + 179)),
        (DEEP,                   MinAge::Days(0),    None),
        (None,                   MinAge::Days(40),   Some(1 + 39)),
    ];
    for (class, min_age, last) in cases {
        let mut listed = TestListing::default();
        listed.backup(0, None, class).backup(1, Some(0), class).full(10).incremental(11, 10);
        listed.points_to(11);
        let decision =
            |day| plan_at(&listed, Retention { min_age, ..ONE }, day).verdicts[0].decision.clone();
        if let Some(last) = last {
            assert_eq!(
                decision(last),
                PruneDecision::WaitsForAge { until: now(last + 1) },
                "{class:?}"
            );
        }
        assert_eq!(
            decision(last.map_or(11, |last| last + 1)),
            PruneDecision::Delete,
            "{class:?} {min_age:?}"
        );
    }
}

#[test]
fn a_generation_of_another_origin_is_kept() {
    let origin = |host: &str| Origin {
        host: host.to_owned(),
        host_id: Some(format!("id of {host}")),
        ..Origin::default()
    };
    let edit = |listed: &mut TestListing, days: [u32; 2], host: &str| {
        for day in days {
            listed.edit(day, |manifest| manifest.origin = Some(origin(host)));
        }
    };
    let three = || {
        let mut listed = TestListing::default();
        for day in [0, 10, 20] {
            listed.full(day).incremental(day + 1, day);
        }
        listed.points_to(21);
        listed
    };
    let mut one_host = three();
    let mut two_hosts = three();
    let mut restored = three();
    for (listed, hosts) in [
        (&mut one_host, ["nas", "nas", "nas"]),
        (&mut two_hosts, ["other", "nas", "nas"]),
        (&mut restored, ["other", "nas", "nas"]),
    ] {
        for (day, host) in [0, 10, 20].into_iter().zip(hosts) {
            edit(listed, [day, day + 1], host);
        }
    }
    restored.edit(21, |manifest| manifest.earlier_origins = vec![origin("other")]);
    // An older version wrote the first generation.
    let mut unrecorded = three();
    edit(&mut unrecorded, [20, 21], "nas");
    let (adopts, taken_over) = (Retention { adopts: true, ..ONE }, two_hosts.clone());
    #[rustfmt::skip]
    let cases = [
        ("one host",              one_host,          ONE,    "GGC"),
        ("two hosts",             two_hosts.clone(), ONE,    "OGC"),
        ("adopted",               two_hosts,         adopts, "GGC"),
        ("restored, continued",   restored,          ONE,    "GGC"),
        ("no origin recorded",    unrecorded,        ONE,    "GGC"),
    ];
    for (situation, listed, rules, want) in cases {
        assert_eq!(decisions_of(&plan_at(&listed, rules, 400)), want, "{situation}");
    }
    // The window holds for what is taken over, too.
    let window = Retention { keep_days: 30, min_age: MinAge::Days(0), ..adopts };
    for (day, want) in [(22, "WWC"), (45, "GWC"), (400, "GGC")] {
        assert_eq!(decisions_of(&plan_at(&taken_over, window, day)), want, "{day}");
    }
}

#[test]
fn the_restore_window_is_kept() {
    #[rustfmt::skip]
    let cases = [
        // keep_days  day  decisions
        (0,           21,  "GGC"),
        (30,          21,  "WWC"),
        // The backup of day 1 is needed until that of day 10 is 30 days old.
        (30,          39,  "WWC"),
        (30,          40,  "GWC"),
        (30,          49,  "GWC"),
        (30,          50,  "GGC"),
        (10,          21,  "GWC"),
        (10,          29,  "GWC"),
        (10,          30,  "GGC"),
    ];
    let mut listed = TestListing::default();
    for day in [0, 10, 20] {
        listed.full(day).incremental(day + 1, day);
    }
    listed.points_to(21);
    for (keep_days, day, want) in cases {
        let plan = plan_at(&listed, Retention { keep_days, ..ONE }, day);
        assert_eq!(decisions_of(&plan), want, "{keep_days} days, on day {day}");
        let oldest = want.find(|letter| letter != 'G').unwrap() as u32 * 10;
        assert_eq!(plan.window.oldest_at, Some(now(0)));
        assert_eq!(plan.window_after.oldest_at, Some(now(oldest)), "{keep_days} {day}");
        assert_eq!(plan.window_after.backups, 6 - oldest as usize / 5, "{keep_days} {day}");
    }
    let plan = plan_at(&listed, Retention { keep_days: 30, ..ONE }, 45);
    assert_eq!(plan.verdicts[1].decision, PruneDecision::WaitsForWindow { until: now(50) });
    listed.remove(&crate::catalogue::tests::chunk_key(11, 0));
    let plan = plan_at(&listed, Retention { keep_days: 30, ..ONE }, 45);
    assert_eq!(decisions_of(&plan), "GWC", "the full of day 10 can still be restored");
}

#[test]
fn the_newest_backup_is_deleted_first_and_its_manifest_before_its_objects() {
    let mut listed = TestListing::default();
    listed.full(0).incremental(1, 0).incremental(2, 1).full(10).incremental(11, 10);
    listed.points_to(11);

    let plan = plan_at(&listed, ONE, 12);

    let manifests: Vec<_> = plan.steps.iter().map(|step| step.manifest.clone()).collect();
    let inc = |day| manifest_key(day, BackupKind::Incremental);
    assert_eq!(manifests, [inc(2), inc(1), manifest_key(0, BackupKind::Full)]);
    for step in &plan.steps {
        assert_eq!(step.objects.len(), 3);
        assert!(step.objects[0].as_str().ends_with("-parts.json"), "{step:?}");
        assert!(step.objects[1..].iter().all(|key| key.as_str().contains("/chunk-")));
    }
}

#[test]
fn an_incomplete_published_chain_stops_every_deletion() {
    let mut listed = TestListing::default();
    listed.full(0).full(10).incremental(11, 10).points_to(11);
    let problem = AuditFinding { key: "c".to_owned(), problem: ObjectProblem::Missing };

    let plan = plan(&listed.catalogue(), ONE, Some(&problem), &[], now(12));

    assert!(plan.is_empty());
    let blocked = plan.blocked.unwrap().to_string();
    assert_eq!(blocked, "the published chain is incomplete: c: is missing");
}

#[test]
fn a_prune_deletes_what_an_interrupted_one_left_and_nothing_that_is_named() {
    let mut listed = TestListing::default();
    listed.full(0).full(10).incremental(11, 10).points_to(11);
    let begun: Vec<Key> = plan_at(&listed, ONE, 12).objects().cloned().collect();
    listed.remove(manifest_key(0, BackupKind::Full).as_str());
    let named = Key::parse(&crate::catalogue::tests::chunk_key(11, 0)).unwrap();
    let pending = [begun.clone(), vec![named]].concat();

    let after = plan(&listed.catalogue(), ONE, None, &pending, now(12));

    assert_eq!(after.leftovers, begun);
    assert!(after.steps.is_empty());
}

#[test]
fn a_shared_object_is_deleted_with_the_last_backup_that_names_it() {
    let shared = crate::catalogue::tests::chunk_key(1, 0);
    let mut listed = TestListing::default();
    listed.full(0).incremental(1, 0).incremental(2, 1).full(10).incremental(11, 10);
    listed.points_to(11);
    listed.edit(2, |manifest| manifest.chunks[0].key = shared.clone());
    let plan = plan_at(&listed, ONE, 12);
    assert!(!plan.steps[0].objects.iter().any(|key| key.as_str() == shared));
    assert!(plan.steps[1].objects.iter().any(|key| key.as_str() == shared));

    listed.edit(11, |manifest| manifest.chunks[0].key = shared.clone());

    let plan = plan_at(&listed, ONE, 12);
    assert_eq!(decisions_of(&plan), "dC");
    assert!(plan.is_empty());
}

/// Random backups: each a full, or an incremental on an earlier one, with a storage
/// class; some are damaged.
fn listings() -> impl Strategy<Value = (TestListing, Vec<u32>)> {
    let class = prop_oneof![Just(None), Just(Some("STANDARD_IA")), Just(DEEP)];
    let backup = (proptest::option::weighted(0.7, 0u32..40), class, 0u8..20);
    (proptest::collection::vec(backup, 1..24), any::<u32>()).prop_map(|(backups, pointer)| {
        let mut listed = TestListing::default();
        let days: Vec<u32> = (0..backups.len() as u32).map(|n| n * 7).collect();
        for (n, (parent, class, _)) in backups.iter().enumerate() {
            // Mostly based on one of the last, as in practice.
            let parent = parent.and_then(|back| n.checked_sub(1 + back as usize % 4));
            listed.backup(days[n], parent.map(|parent| days[parent]), *class);
        }
        for (n, (_, _, damage)) in backups.iter().enumerate() {
            match damage {
                0 => listed.damage(days[n]),
                1 => listed.edit(days[n], |manifest| manifest.snapshot.uuid = Some("x".to_owned())),
                2 if n > 0 => {
                    let other = crate::catalogue::tests::chunk_key(days[n - 1], 1);
                    listed.edit(days[n], |manifest| manifest.chunks[1].key = other);
                }
                _ => {}
            }
        }
        listed.points_to(days[pointer as usize % days.len()]);
        (listed, days)
    })
}

/// Returns what existing manifests name and lack: objects and parents.
fn lacks(listed: &TestListing) -> BTreeSet<String> {
    let mut lacks = BTreeSet::new();
    for backup in &listed.catalogue().backups {
        let key = &backup.listed.key;
        let Some(manifest) = listed.manifest(key) else { continue };
        let chunks = manifest.chunks.iter().map(|chunk| chunk.key.clone());
        let parts = manifest.parts.iter().map(|parts| parts.key.clone());
        let needed = chunks.chain(parts).chain(manifest.parent_manifest.clone());
        lacks.extend(needed.filter(|needed| !listed.has(needed)).map(|it| format!("{key} {it}")));
    }
    lacks
}

proptest! {
    /// Each moment of the last `keep_days` that could be restored can still be restored, and
    /// from the same backup.
    #[test]
    fn the_window_never_shrinks_under_keep_days(
        (listed, _) in listings(),
        generations in 1usize..4,
        keep_days in 0u32..200,
        day in 0u32..600,
    ) {
        let mut listed = listed;
        let retention = Retention { generations, keep_days, min_age: MinAge::Days(0), ..ONE };
        let restorable = |listed: &TestListing| {
            let catalogue = listed.catalogue();
            let sound = (0..catalogue.backups.len()).filter(|n| catalogue.problem(*n).is_none());
            let days = sound.map(|n| listed.day_of(catalogue.backups[n].created_at()));
            days.collect::<BTreeSet<u32>>()
        };
        let newest_at = |days: &BTreeSet<u32>, at: u32| days.range(..=at).next_back().copied();
        let before = restorable(&listed);
        let planned = plan_at(&listed, retention, day);
        for step in &planned.steps {
            for key in std::iter::once(&step.manifest).chain(&step.objects) {
                listed.remove(key.as_str());
            }
        }
        let after = restorable(&listed);
        if keep_days > 0 {
            for at in day.saturating_sub(keep_days)..=day {
                prop_assert_eq!(newest_at(&after, at), newest_at(&before, at), "day {}", at);
            }
        }
        prop_assert_eq!(planned.window_after.backups, after.len());
        prop_assert_eq!(planned.window_after.oldest_at, after.first().map(|day| now(*day)));
    }

    #[test]
    fn nothing_that_a_manifest_needs_is_deleted_before_it(
        (listed, _) in listings(),
        generations in 1usize..4,
        keep_days in 0u32..200,
        day in 0u32..600,
    ) {
        let mut listed = listed;
        let retention = Retention { generations, keep_days, ..ONE };
        let (lacked, current) = (lacks(&listed), listed.catalogue().current());
        let planned = plan_at(&listed, retention, day);
        let begun: Vec<Key> = planned.objects().cloned().collect();
        for step in &planned.steps {
            for key in std::iter::once(&step.manifest).chain(&step.objects) {
                listed.remove(key.as_str());
                prop_assert!(lacks(&listed).is_subset(&lacked), "{key} was needed");
                // If the prune is killed here, the next one deletes exactly the rest.
                let again = plan(&listed.catalogue(), retention, None, &begun, now(day));
                let rest = again.objects().chain(again.steps.iter().map(|step| &step.manifest));
                let left = begun.iter().chain(planned.steps.iter().map(|step| &step.manifest));
                let left: BTreeSet<_> = left.filter(|key| listed.has(key.as_str())).collect();
                prop_assert_eq!(rest.collect::<BTreeSet<_>>(), left);
            }
        }
        if let Ok(Some(chain)) = current {
            let after = listed.catalogue().current().unwrap().unwrap();
            prop_assert_eq!(after.len(), chain.len());
        } else {
            prop_assert!(planned.is_empty());
        }
        prop_assert!(plan_at(&listed, retention, day).is_empty(), "a second prune has nothing to do");
    }
}
