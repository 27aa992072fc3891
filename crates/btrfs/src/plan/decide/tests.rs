use s3up_repository::chain::{ChainEntry, Next, PartialChain};
use s3up_repository::stamp::Stamp;
use s3up_repository::testing::entry;

use super::*;
use crate::plan::schedule::UnplannedFull;

/// Day of all chain entries in these tests, at 01:46:40.
const FULL_DAY: &str = "2001-09-09";

fn parent() -> SnapshotName {
    SnapshotName::parse("data__20010909T014640Z__full").unwrap()
}

fn identity(uuid: &str, ctransid: u64) -> SnapshotIdentity {
    SnapshotIdentity { uuid: uuid.to_owned(), ctransid }
}

fn schedule() -> Schedule {
    let run_at = "02:00".parse().unwrap();
    let unplanned_full = UnplannedFull::Warn;
    Schedule { full_every_days: 30, incremental_every_days: 7, run_at, unplanned_full }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn utc(text: &str) -> Zoned {
    at(text).to_zoned(TimeZone::UTC)
}

fn decided(trigger: Trigger, published: &Published, on_disk: &ParentOnDisk) -> Decision {
    decide(trigger, &schedule(), &utc("2001-09-10T00:00:00Z"), published, on_disk)
}

#[test]
fn full_or_incremental() {
    let good = || ParentOnDisk::Found(identity("uuid-0", 0));
    let found = |uuid, ctransid| ParentOnDisk::Found(identity(uuid, ctransid));
    let changed = |uuid, ctransid| {
        full(FullReason::ParentChanged {
            parent: parent(),
            expected: identity("uuid-0", 0),
            found: identity(uuid, ctransid),
        })
    };
    let chain = || published([entry(0, None)]);
    let broken = || Published::Broken { reason: "gone".to_owned() };
    let lost = || Published::ManifestMissing { key: "m0".to_owned() };
    let edited = |edit: &dyn Fn(&mut ChainEntry)| {
        let mut entry = entry(0, None);
        edit(&mut entry);
        published([entry])
    };
    let no_uuid = edited(&|entry| entry.manifest.snapshot.uuid = None);
    let no_ctransid = edited(&|entry| entry.manifest.snapshot.ctransid = None);
    let foreign = edited(&|entry| entry.manifest.snapshot.name = "weekly".to_owned());
    let unreadable = || ParentOnDisk::Unreadable { reason: "EIO".to_owned() };
    let (uuid, reason) = (identity("uuid-0", 0), IncrementalReason::Requested);
    let incremental = Decision::Due(BackupStep::Incremental {
        parent: parent(),
        identity: uuid,
        proof: ParentProof::Sent,
        reason: reason.clone(),
    });
    let received = |uuid, ctransid, send_transid, made_transid| {
        let identity = identity(uuid, ctransid);
        ParentOnDisk::Received(ReceivedSnapshot { identity, send_transid, made_transid })
    };
    let on_received = |ctransid| {
        let (identity, proof) = (identity("uuid-0", ctransid), ParentProof::Received);
        let reason = reason.clone();
        Decision::Due(BackupStep::Incremental { parent: parent(), identity, proof, reason })
    };
    let touched = || full(FullReason::ParentTouched { parent: parent() });
    let broken_why = || FullReason::ChainBroken { reason: "gone".to_owned() };
    let lost_why = || FullReason::ManifestMissing { key: "m0".to_owned() };
    let missing = || FullReason::ParentMissing { parent: parent() };
    let unreadable_why =
        FullReason::ParentUnreadable { parent: parent(), reason: "EIO".to_owned() };
    let (due, now) = (Trigger::Scheduled, Trigger::Now);
    #[rustfmt::skip]
    let cases = [
        // situation           trigger      published            parent on disk          decision
        ("nothing yet",        due,         Published::Nothing,  ParentOnDisk::Missing,  full(FullReason::FirstBackup)),
        ("nothing, now",       now,         Published::Nothing,  ParentOnDisk::Missing,  full(FullReason::FirstBackup)),
        ("nothing, full",      Trigger::Full, Published::Nothing,  ParentOnDisk::Missing,  full(FullReason::FirstBackup)),
        ("all is well, now",   now,         chain(),             good(),                 incremental.clone()),
        ("all is well",        due,         chain(),             good(),                 Decision::NotDue),
        ("full requested",     Trigger::Full, chain(),             good(),                 full(FullReason::Requested)),
        ("full over broken",   Trigger::Full, broken(),            ParentOnDisk::Missing,  full(FullReason::Requested)),
        ("chain broken",       due,         broken(),            good(),                 full(broken_why())),
        ("chain broken, now",  now,         broken(),            good(),                 full(broken_why())),
        ("manifest missing",   due,         lost(),              good(),                 full(lost_why())),
        ("lost, now",          now,         lost(),              ParentOnDisk::Missing,  full(lost_why())),
        ("parent deleted",     due,         chain(),             ParentOnDisk::Missing,  full(missing())),
        ("deleted, now",       now,         chain(),             ParentOnDisk::Missing,  full(missing())),
        ("parent writable",    now,         chain(),             ParentOnDisk::Writable, full(FullReason::ParentWritable { parent: parent() })),
        ("writable, not due",   due,         chain(),             ParentOnDisk::Writable, Decision::NotDue),
        ("parent unreadable",  now,         chain(),             unreadable(),           full(unreadable_why)),
        ("unreadable, later",   due,         chain(),             unreadable(),           Decision::NotDue),
        ("parent changed",     due,         chain(),             found("uuid-0", 7),     changed("uuid-0", 7)),
        ("parent replaced",    now,         chain(),             found("uuid-9", 0),     changed("uuid-9", 0)),
        ("received",           now,         chain(),             received("uuid-0", 50, Some(0), 51), on_received(50)),
        ("by chance the same", now,         chain(),             received("uuid-0", 0, Some(0), 51),  on_received(0)),
        ("received, not due",  due,         chain(),             received("uuid-0", 50, Some(0), 50), Decision::NotDue),
        ("then changed",       now,         chain(),             received("uuid-0", 52, Some(0), 51), touched()),
        ("another was sent",   now,         chain(),             received("uuid-9", 50, Some(0), 51), changed("uuid-9", 0)),
        ("another state",      now,         chain(),             received("uuid-0", 50, Some(7), 51), changed("uuid-0", 7)),
        ("no send transid",   now,         chain(),             received("uuid-0", 50, None, 51),    changed("uuid-0", 50)),
        ("of a received one",  now,         chain(),             received("uuid-0", 0, Some(9), 51),  incremental.clone()),
        ("received, unproven", now,         edited(&|entry| entry.manifest.snapshot.uuid = None), received("uuid-0", 50, Some(0), 51), full(FullReason::ParentUnproven { parent: parent() })),
        ("no uuid known",      due,         no_uuid,             good(),                 full(FullReason::ParentUnproven { parent: parent() })),
        ("no ctransid known",  now,         no_ctransid,         good(),                 full(FullReason::ParentUnproven { parent: parent() })),
        ("foreign snapshot",   due,         foreign,             good(),                 full(FullReason::ParentUnknown { name: "weekly".to_owned() })),
    ];
    for (situation, trigger, published, on_disk, want) in cases {
        assert_eq!(decided(trigger, &published, &on_disk), want, "{situation}");
    }
}

/// Days on which a full, and an incremental based on it, were published at 01:46:40.
struct On(&'static str, Option<&'static str>);

#[test]
fn backups_are_due_by_calendar_days() {
    #[rustfmt::skip]
    let cases = [
        // situation                      published                              now                     decision       next
        ("the same day",                  On(FULL_DAY, None),                    "2001-09-09T23:59:59Z", "not due",     "2001-09-16T02:00:00Z"),
        ("a second too early",            On(FULL_DAY, None),                    "2001-09-16T01:59:59Z", "not due",     "2001-09-16T02:00:00Z"),
        ("at run_at",                     On(FULL_DAY, None),                    "2001-09-16T02:00:00Z", "incremental", "2001-09-23T02:00:00Z"),
        ("missed by days",                On(FULL_DAY, None),                    "2001-09-20T12:00:00Z", "incremental", "2001-09-27T02:00:00Z"),
        ("the last one counts",           On(FULL_DAY, Some("2001-09-16")),      "2001-09-22T12:00:00Z", "not due",     "2001-09-23T02:00:00Z"),
        ("a week after the last",         On(FULL_DAY, Some("2001-09-16")),      "2001-09-23T02:00:00Z", "incremental", "2001-09-30T02:00:00Z"),
        ("the full is next",              On(FULL_DAY, Some("2001-10-07")),      "2001-10-08T12:00:00Z", "not due",     "2001-10-09T02:00:00Z"),
        ("a second before the full",      On(FULL_DAY, Some("2001-10-07")),      "2001-10-09T01:59:59Z", "not due",     "2001-10-09T02:00:00Z"),
        ("full_every_days over",          On(FULL_DAY, Some("2001-10-07")),      "2001-10-09T02:00:00Z", "full due",    "2001-10-16T02:00:00Z"),
        ("both are due",                  On(FULL_DAY, None),                    "2001-12-09T02:00:00Z", "full due",    "2001-12-16T02:00:00Z"),
        ("the full before the next",      On(FULL_DAY, Some("2001-09-30")),      "2001-10-08T02:00:00Z", "incremental", "2001-10-09T02:00:00Z"),
        ("clock went back an hour",       On(FULL_DAY, None),                    "2001-09-09T00:46:40Z", "last ahead",  "2001-09-16T02:00:00Z"),
        ("last is dated next year",       On(FULL_DAY, Some("2002-09-09")),      "2001-09-12T02:00:00Z", "last ahead",  "2001-09-19T02:00:00Z"),
        ("full is dated next week",       On(FULL_DAY, None),                    "2001-09-02T02:00:00Z", "full ahead",  "2001-09-09T02:00:00Z"),
    ];
    let good = ParentOnDisk::Found(identity("uuid-0", 0));
    for (situation, On(full_on, last_on), now, want, next) in cases {
        let published = published_on(full_on, last_on);
        let on_disk = match last_on {
            None => good.clone(),
            Some(_) => ParentOnDisk::Found(identity("uuid-1", 1)),
        };

        let decision = decide(Trigger::Scheduled, &schedule(), &utc(now), &published, &on_disk);

        let got = match &decision {
            Decision::NotDue => "not due",
            Decision::Due(BackupStep::Full(FullReason::Due { .. })) => "full due",
            Decision::Due(BackupStep::Full(FullReason::ClockWentBack { .. })) => "full ahead",
            Decision::Due(BackupStep::Incremental {
                reason: IncrementalReason::Due { .. },
                ..
            }) => "incremental",
            Decision::Due(BackupStep::Incremental {
                reason: IncrementalReason::ClockWentBack { .. },
                ..
            }) => "last ahead",
            Decision::Due(_) => "something else",
        };
        assert_eq!(got, want, "{situation}");
        let after = next_due(&schedule(), &utc(now), &published, &decision);
        assert_eq!(after.at, at(next), "{situation}");
    }
}

#[test]
fn a_backup_after_the_clock_went_back_is_not_due_again_in_an_hour() {
    // Its name is dated after the last backup; `started_at` holds the real time.
    let mut newest = entry(0, None);
    newest.manifest.created_at = Stamp::parse("20990101T000001Z").unwrap();
    newest.manifest.started_at = Some(Stamp::parse("20010909T014640Z").unwrap());
    let good = ParentOnDisk::Found(identity("uuid-0", 0));

    let decision = decided(Trigger::Scheduled, &published([newest]), &good);

    assert_eq!(decision, Decision::NotDue);
}

#[test]
fn a_reason_names_the_snapshot_or_the_date() {
    let step = BackupStep::Full(FullReason::ParentMissing { parent: parent() });
    assert_eq!(
        step.to_string(),
        "full: the parent snapshot data__20010909T014640Z__full is missing"
    );
    let (last_at, since) = (at("2001-09-09T01:46:40Z"), at("2001-09-16T02:00:00Z"));
    let due = |days| IncrementalReason::Due { last_at, since, days }.to_string();
    assert_eq!(
        due(7),
        "due since 2001-09-16T02:00:00Z, 7 days after the last backup (2001-09-09T01:46:40Z)"
    );
    assert!(due(1).contains(", 1 day after"));
    let reason = IncrementalReason::ClockWentBack { last_at: at("2099-01-01T00:00:00Z") };
    assert_eq!(
        reason.to_string(),
        "the last backup is dated 2099-01-01T00:00:00Z, which is in the future: a clock was wrong"
    );
}

fn published_on(full_on: &str, last_on: Option<&str>) -> Published {
    let on = |mut entry: ChainEntry, day: &str| {
        let day = day.replace('-', "");
        entry.manifest.created_at = Stamp::parse(&format!("{day}T014640Z")).unwrap();
        entry
    };
    match last_on {
        None => published([on(entry(0, None), full_on)]),
        Some(last_on) => published([on(entry(1, Some(0)), last_on), on(entry(0, None), full_on)]),
    }
}

/// Newest first.
fn published<const COUNT: usize>(entries: [ChainEntry; COUNT]) -> Published {
    let mut partial = PartialChain::default();
    for entry in entries {
        match partial.with(entry).unwrap() {
            (_, Next::Whole(chain)) => return Published::Chain(chain),
            (so_far, Next::Parent(_)) => partial = so_far,
        }
    }
    panic!("the chain does not end in a full")
}
