use s3up_core::wire::{AgentFacts, Drill, FLEET_VERSION, FileTotals, Heartbeat, Watcher};

use super::*;

const NOW: Millis = 1_769_860_800_000; // 2026-01-31T12:00:00Z
const DAY: Millis = 86_400_000;
const GIB: u64 = 1 << 30;

fn policy() -> ClientPolicy {
    ClientPolicy::unlimited(ClientName::parse("web").unwrap(), Vec::new())
}

#[test]
fn a_quota_is_an_incident_from_90_percent_until_it_is_under_85() {
    #[rustfmt::skip]
    let cases = [
        // stored      quota           open   incident
        (89 * GIB,     Some(100 * GIB), false, None),
        (90 * GIB,     Some(100 * GIB), false, Some("it has stored 90 GiB, 90 % of its quota of 100 GiB; uploads over the quota are refused")),
        (86 * GIB,     Some(100 * GIB), true,  Some("it has stored 86 GiB, 86 % of its quota of 100 GiB; uploads over the quota are refused")),
        (84 * GIB,     Some(100 * GIB), true,  None),
        (u64::MAX,     None,            true,  None),
    ];
    for (bytes, quota_bytes, is_open, want) in cases {
        let want =
            want.map_or(IncidentVerdict::Well, |text| IncidentVerdict::Incident(text.to_owned()));
        assert_eq!(quota(bytes, quota_bytes, is_open), want, "{bytes} {is_open}");
    }
}

#[test]
fn many_replaced_or_unfamiliar_files_look_like_ransomware() {
    let changes =
        |replaced, emptied, created, unfamiliar| Changes { replaced, emptied, created, unfamiliar };
    #[rustfmt::skip]
    let cases = [
        // changes                       files   open   incident
        (changes(0, 0, 0, 0),            1000,   false, None),
        (changes(250, 0, 0, 0),          1000,   false, Some("250 of its 1000 files (25 %) were replaced")),
        (changes(249, 0, 0, 0),          1000,   false, None),
        (changes(126, 0, 0, 0),          1000,   true,  Some("126 of its 1000 files (12 %) were replaced")),
        (changes(110, 0, 0, 0),          1000,   true,  None),
        (changes(300, 20, 0, 0),         1000,   false, Some("within an hour, 20 of them are empty now;")),
        // A small site that changes as a whole.
        (changes(99, 0, 0, 0),           99,     false, None),
        // Known files are those from before.
        (changes(300, 0, 9000, 0),       10_000, false, Some("300 of its 1000 files (30 %)")),
        // The first upload of a client.
        (changes(0, 0, 5000, 0),         5000,   false, None),
        (changes(0, 0, 5000, 5000),      5000,   false, None),
        (changes(0, 0, 400, 400),        1400,   false, Some("400 new files within an hour have extensions")),
        (changes(0, 0, 400, 60),         1400,   false, None),
    ];
    for (changes, files, is_open, want) in cases {
        let found = suspicion(&changes, Total { files, bytes: 0 }, &policy(), is_open);
        match (&found, want) {
            (IncidentVerdict::Well, None) => {}
            (IncidentVerdict::Incident(text), Some(want)) if text.contains(want) => {}
            _ => panic!("{changes:?} {files}: {found:?}"),
        }
    }
    let off = ClientPolicy { changed_percent: 0, ..policy() };
    let all = changes(1000, 1000, 1000, 1000);
    assert_eq!(suspicion(&all, Total { files: 2000, bytes: 0 }, &off, true), IncidentVerdict::Well);
}

#[test]
fn a_drill_is_too_old_by_the_age_of_its_last_success() {
    let days = |days: u64| Some(days * 24 * 3600);
    // Its times are by a clock that is years behind.
    let drill = |last_good_age_seconds| {
        let last_good_at = Some("2020-01-01T00:00:00Z".to_owned());
        Drill { last_good_at, last_good_age_seconds, files: 1, ..Drill::default() }
    };
    let never = Drill { files: 1, failed: 1, ..Drill::default() };
    let incident = |text: &str| IncidentVerdict::Incident(text.to_owned());
    #[rustfmt::skip]
    let cases = [
        (None,                    IncidentVerdict::Well),
        (Some(drill(days(30))),   IncidentVerdict::Well),
        // The heartbeat is two days old.
        (Some(drill(days(60))),   IncidentVerdict::Well),
        (Some(drill(days(61))),   incident("its last drill that could restore all files was 63 d ago")),
        (Some(never),             incident("none of its drills could restore all files")),
        (Some(drill(None)),       IncidentVerdict::Unknown),
    ];
    for (last_drill, want) in cases {
        let facts = format!("{last_drill:?}");
        let heartbeat = heartbeat(NOW - 2 * DAY, last_drill);
        assert_eq!(old_drill(Some(&heartbeat), policy().drill_after, NOW), want, "{facts}");
    }
    assert_eq!(old_drill(None, policy().drill_after, NOW), IncidentVerdict::Unknown);
}

fn heartbeat(at: Millis, last_drill: Option<Drill>) -> ReceivedHeartbeat {
    let text = String::new;
    let agent = AgentFacts { version: text(), host: text(), started_at: text() };
    let body = Heartbeat {
        version: FLEET_VERSION,
        agent,
        files: FileTotals::default(),
        oldest_pending_seconds: None,
        last_scan_at: None,
        last_scan_age_seconds: None,
        running_seconds: None,
        watcher: Watcher { state: "ok".to_owned(), detail: None },
        watch_error: None,
        last_drill,
        watches: None,
    };
    ReceivedHeartbeat { at, body }
}

#[test]
fn a_gateway_tells_strangers_its_certificate_and_the_versions_of_its_bucket() {
    use Versioning::{Enabled, Off, Unknown};
    let is_incident = |verdict| matches!(verdict, IncidentVerdict::Incident(_));
    for (count, is_open, want) in
        [(99, false, false), (100, false, true), (20, true, true), (19, true, false)]
    {
        assert_eq!(is_incident(failed_keys(count, is_open)), want, "{count}");
    }
    #[rustfmt::skip]
    let cases = [
        (None,                    None),
        (Some(NOW + 15 * DAY),    None),
        (Some(NOW + 13 * DAY),    Some("its certificate ends in 13 d, on 2026-02-13T12:00:00Z; renew it")),
        (Some(NOW),               Some("its certificate ended on 2026-01-31T12:00:00Z; clients refuse it")),
    ];
    for (ends_at, want) in cases {
        let want =
            want.map_or(IncidentVerdict::Well, |text| IncidentVerdict::Incident(text.to_owned()));
        assert_eq!(certificate(ends_at, NOW), want);
    }
    assert!(is_incident(lost_versions(Some(Off), true)));
    assert_eq!(lost_versions(Some(Off), false), IncidentVerdict::Well);
    assert_eq!(lost_versions(Some(Enabled), true), IncidentVerdict::Well);
    for unknown in [None, Some(Unknown)] {
        assert_eq!(lost_versions(unknown, true), IncidentVerdict::Unknown);
    }
}

#[test]
fn a_lifecycle_rule_that_deletes_files_or_versions_early_is_an_incident() {
    let found = |newest: Option<&str>, old: Option<u32>| VersionExpiry {
        newest: newest.map(str::to_owned),
        old: old.map(|days| ("old".to_owned(), days)),
    };
    #[rustfmt::skip]
    let cases = [
        (found(None, None),           None),
        (found(None, Some(7)),        None),
        (found(None, Some(6)),        Some("the lifecycle rule old deletes overwritten versions after 6 days,")),
        (found(None, Some(1)),        Some("after 1 day,")),
        (found(Some("all"), Some(1)), Some("the lifecycle rule all deletes files by their age")),
    ];
    for (found, want) in cases {
        match (early_expiry(Some(&found)), want) {
            (IncidentVerdict::Well, None) => {}
            (IncidentVerdict::Incident(text), Some(want)) if text.contains(want) => {}
            (verdict, _) => panic!("{found:?}: {verdict:?}"),
        }
    }
    assert_eq!(early_expiry(None), IncidentVerdict::Unknown);
}

#[test]
fn an_incident_begins_once_and_ends_once_and_what_is_unknown_changes_nothing() {
    let incident = |topic, subject: &str| (topic, subject.to_owned());
    let is_open = |topics: &[Topic]| -> BTreeMap<IncidentKey, OpenIncident> {
        let of = |topic: &Topic| {
            (incident(*topic, "web"), OpenIncident { since: 0, seen_at: 0, reason: String::new() })
        };
        topics.iter().map(of).collect()
    };
    let bad = || IncidentVerdict::Incident("why".to_owned());
    let begun = || Some(Some("why".to_owned()));
    #[rustfmt::skip]
    let cases = [
        // open             verdict            transition
        (&[][..],           bad(),             begun()),
        (&[],               IncidentVerdict::Well,     None),
        (&[],               IncidentVerdict::Unknown,  None),
        (&[Topic::Quota],   bad(),             None),
        (&[Topic::Quota],   IncidentVerdict::Unknown,  None),
        (&[Topic::Quota],   IncidentVerdict::Well,     Some(None)),
        (&[Topic::Drill],   bad(),             begun()),
    ];
    for (open, verdict, want) in cases {
        let judged = vec![(incident(Topic::Quota, "web"), verdict)];
        let found = transitions(&is_open(open), judged);
        let found: Vec<_> = found.into_iter().map(|it| it.begun).collect();
        assert_eq!(found, want.into_iter().collect::<Vec<_>>(), "{open:?}");
    }
}

#[test]
fn the_incidents_of_removed_clients_and_of_gateways_that_are_gone_end() {
    let gateway = GatewayFacts {
        host: "gw".to_owned(),
        failed_keys: 0,
        certificate_ends_at: None,
        bucket: "b".to_owned(),
        versioning: None,
        kept_versions: false,
        expiry: None,
    };
    let seen = |seen_at| OpenIncident { since: 0, seen_at, reason: String::new() };
    let incident = |topic, subject: &str| (topic, subject.to_owned());
    let open: BTreeMap<_, _> = [
        (incident(Topic::Quota, "gone"), seen(NOW)),
        (incident(Topic::Authentication, "other-gateway"), seen(NOW - DAY)),
        (incident(Topic::Authentication, "gone-gateway"), seen(NOW - DAY - 1)),
        (incident(Topic::Versions, "gone-bucket"), seen(0)),
        (incident(Topic::Versions, "b"), seen(0)),
        (incident(Topic::Certificate, "gw"), seen(0)),
    ]
    .into();

    let judged = judge_all([policy()].iter(), &[], &BTreeMap::new(), &gateway, &open, NOW);

    // What could not be observed of the own bucket is not over, and there is no certificate any more.
    assert_eq!(still_open(&open, &judged), [incident(Topic::Versions, "b")]);
    let ended = transitions(&open, judged).into_iter();
    let ended: Vec<_> = ended.map(|it| (it.topic, it.subject, it.begun)).collect();
    let over = |topic, subject: &str| (topic, subject.to_owned(), None);
    let want = [
        over(Topic::Certificate, "gw"),
        over(Topic::Quota, "gone"),
        over(Topic::Authentication, "gone-gateway"),
        over(Topic::Versions, "gone-bucket"),
    ];
    assert_eq!(ended, want);
}
