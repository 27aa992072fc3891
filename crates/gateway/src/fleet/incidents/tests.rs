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
        let want = want.map_or(Verdict::Well, |text| Verdict::Incident(text.to_owned()));
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
            (Verdict::Well, None) => {}
            (Verdict::Incident(text), Some(want)) if text.contains(want) => {}
            _ => panic!("{changes:?} {files}: {found:?}"),
        }
    }
    let off = ClientPolicy { changed_percent: 0, ..policy() };
    let all = changes(1000, 1000, 1000, 1000);
    assert_eq!(suspicion(&all, Total { files: 2000, bytes: 0 }, &off, true), Verdict::Well);
}

#[test]
fn a_drill_is_too_old_by_its_last_success() {
    let drill = |last_good_at: Option<&str>| Drill {
        at: "2026-01-31T00:00:00Z".to_owned(),
        files: 1,
        bytes: 1,
        failed: 0,
        last_good_at: last_good_at.map(str::to_owned),
    };
    let (old, new) = (drill(Some("2025-11-01T12:00:00Z")), drill(Some("2026-01-01T12:00:00Z")));
    let (never, unreadable) = (drill(None), drill(Some("soon")));
    let incident = |text: &str| Verdict::Incident(text.to_owned());
    #[rustfmt::skip]
    let cases = [
        (None,                    Verdict::Unknown),
        (Some(None),              Verdict::Well),
        (Some(Some(&new)),        Verdict::Well),
        (Some(Some(&old)),        incident("its last drill that could restore all files was 91 d ago")),
        (Some(Some(&never)),      incident("none of its drills could restore all files")),
        (Some(Some(&unreadable)), Verdict::Unknown),
    ];
    for (drill, want) in cases {
        assert_eq!(old_drill(drill, policy().drill_after, NOW), want, "{drill:?}");
    }
}

#[test]
fn a_gateway_tells_strangers_its_certificate_and_the_versions_of_its_bucket() {
    use Versioning::{Enabled, Off, Unknown};
    let is_incident = |verdict| matches!(verdict, Verdict::Incident(_));
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
        let want = want.map_or(Verdict::Well, |text| Verdict::Incident(text.to_owned()));
        assert_eq!(certificate(ends_at, NOW), want);
    }
    assert!(is_incident(lost_versions(Some(Off), true)));
    assert_eq!(lost_versions(Some(Off), false), Verdict::Well);
    assert_eq!(lost_versions(Some(Enabled), true), Verdict::Well);
    for unknown in [None, Some(Unknown)] {
        assert_eq!(lost_versions(unknown, true), Verdict::Unknown);
    }
}

#[test]
fn an_incident_begins_once_and_ends_once_and_what_is_unknown_changes_nothing() {
    let incident = |topic, subject: &str| (topic, subject.to_owned());
    let is_open = |topics: &[Topic]| -> BTreeMap<IncidentKey, OpenIncident> {
        let of = |topic: &Topic| {
            (incident(*topic, "web"), OpenIncident { since: 0, reason: String::new() })
        };
        topics.iter().map(of).collect()
    };
    let bad = || Verdict::Incident("why".to_owned());
    let begun = || Some(Some("why".to_owned()));
    #[rustfmt::skip]
    let cases = [
        // open             verdict            transition
        (&[][..],           bad(),             begun()),
        (&[],               Verdict::Well,     None),
        (&[],               Verdict::Unknown,  None),
        (&[Topic::Quota],   bad(),             None),
        (&[Topic::Quota],   Verdict::Unknown,  None),
        (&[Topic::Quota],   Verdict::Well,     Some(None)),
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
fn the_incidents_of_a_removed_client_end() {
    let gateway = GatewayFacts {
        host: "gw".to_owned(),
        failed_keys: 0,
        certificate_ends_at: None,
        bucket: "b".to_owned(),
        versioning: None,
        kept_versions: false,
    };
    let since = OpenIncident { since: 0, reason: String::new() };
    let open = [
        ((Topic::Quota, "gone".to_owned()), since.clone()),
        ((Topic::Authentication, "other-gateway".to_owned()), since),
    ];
    let open = open.into_iter().collect();

    let judged = judge_all([policy()].iter(), &[], &BTreeMap::new(), &gateway, &open, NOW);

    let ended = Transition { topic: Topic::Quota, subject: "gone".to_owned(), begun: None };
    assert_eq!(transitions(&open, judged), [ended]);
}
