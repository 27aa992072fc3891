use super::*;
use crate::plan::observed::{CompleteBackup, JournalFacts};

const OTHER: &str = "nas/subvol/data/full/manifest-20260103T000000Z.json";
const BASE: &str = "nas/subvol/data/full/manifest-20260101T000000Z.json";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("a key")
}

fn run() -> RunId {
    serde_json::from_str("\"0123\"").expect("a run")
}

fn settings() -> StreamSettings {
    StreamSettings {
        part_bytes: 10,
        chunk_bytes: 100,
        storage_class: "STANDARD".to_owned(),
        sse: "none".to_owned(),
        form: "plain".to_owned(),
    }
}

fn backup(kind: BackupKind) -> SnapshotName {
    let kind = if kind == BackupKind::Full { "full" } else { "inc" };
    SnapshotName::parse(&format!("data__20260102T000000Z__{kind}")).expect("a name")
}

fn identity(ctransid: u64) -> SnapshotIdentity {
    SnapshotIdentity { uuid: "u".to_owned(), ctransid }
}

fn found(kind: BackupKind) -> InterruptedBackup {
    InterruptedBackup {
        backup: backup(kind),
        run: run(),
        journal: Ok(JournalFacts {
            base: Some(BASE.to_owned()),
            settings: settings(),
            identity: Some(identity(7)),
            acknowledged_bytes: 50,
            acknowledged_at: at("2026-01-02T03:00:00Z"),
        }),
        on_disk: ParentOnDisk::Found(identity(7)),
        complete: None,
    }
}

fn complete(kind: BackupKind) -> InterruptedBackup {
    let parent = (kind == BackupKind::Incremental).then(|| key(BASE));
    InterruptedBackup {
        journal: Err(UnusableJournal::Missing),
        complete: Some(CompleteBackup { identity: identity(7), parent }),
        ..found(kind)
    }
}

fn with(kind: BackupKind, edit: impl FnOnce(&mut InterruptedBackup)) -> InterruptedBackup {
    let mut found = found(kind);
    edit(&mut found);
    found
}

fn journal(kind: BackupKind, edit: impl FnOnce(&mut JournalFacts)) -> InterruptedBackup {
    with(kind, |found| edit(found.journal.as_mut().expect("a journal")))
}

fn parent() -> (SnapshotName, SnapshotIdentity) {
    let name = SnapshotName::parse("data__20260101T000000Z__full").expect("a name");
    (name, identity(3))
}

fn incremental() -> Decision {
    let (parent, identity) = parent();
    Decision::Due(BackupStep::Incremental {
        parent,
        identity,
        proof: ParentProof::Sent,
        reason: IncrementalReason::Requested,
    })
}

/// Returns the decision as text.
fn decided(
    trigger: Trigger,
    decision: &Decision,
    newest: Option<&str>,
    found: &InterruptedBackup,
) -> String {
    let newest = newest.map(key);
    let newest_at = at(if newest == Some(key(OTHER)) {
        "2026-01-03T00:00:00Z"
    } else {
        "2026-01-01T00:00:00Z"
    });
    let now = PlannedBackup {
        time: at("2026-01-04T00:00:00Z"),
        trigger,
        decision,
        settings: &settings(),
        newest: newest.as_ref().map(|key| (key, newest_at)),
        parent: Some((parent().0, parent().1, ParentProof::Sent)),
    };
    match decide(&now, found) {
        None => "wait".to_owned(),
        Some(Err(reason)) => reason.to_string(),
        Some(Ok(ResumePlan { step, resumption, .. })) => format!("{} {step}", resumption.as_str()),
    }
}

#[test]
fn an_interrupted_backup_is_resumed_published_or_started_over() {
    use BackupKind::{Full, Incremental};
    use Trigger::{Full as TriggerFull, Now as TriggerNow, Scheduled};
    let on = |on_disk: ParentOnDisk| with(Full, |found| found.on_disk = on_disk);
    let unreadable = || ParentOnDisk::Unreadable { reason: "EIO".to_owned() };
    let full = || Decision::Due(BackupStep::Full(FullReason::Requested));
    let not = || Decision::NotDue;
    let inc = incremental;
    let other_settings = StreamSettings { part_bytes: 11, ..settings() };
    let resumed = "resume incremental on data__20260101T000000Z__full: requested with --once";
    let pub_inc =
        "publish incremental on data__20260101T000000Z__full: an earlier run was interrupted";
    let base = Some(BASE);
    #[rustfmt::skip]
    let cases = [
        // situation               trigger    due     newest       found                            decided
        ("an incremental",         TriggerNow,  inc(),  base,        found(Incremental),              resumed),
        ("a full",                 TriggerNow,  full(), base,        found(Full),                     "resume full: requested with --full"),
        ("a full, nothing since",  TriggerNow,  inc(),  base,        found(Full),                     "resume full: an earlier run was interrupted"),
        ("not its time",           Scheduled, not(),  base,        found(Full),                     "wait"),
        ("a full is requested",    TriggerFull, full(), base,        found(Incremental),              "a full was requested"),
        ("a full is due",          Scheduled, full(), base,        found(Incremental),              "a full is due"),
        ("published meanwhile",    TriggerNow,  inc(),  Some(OTHER), found(Incremental),              "another backup has been published since"),
        ("the pointer is lost",    TriggerNow,  full(), None,        found(Full),                     "another backup has been published since"),
        ("no snapshot",            TriggerNow,  inc(),  base,        on(ParentOnDisk::Missing),       "its snapshot is missing"),
        ("writable",               TriggerNow,  inc(),  base,        on(ParentOnDisk::Writable),      "its snapshot is writable and may have changed"),
        ("unreadable",             TriggerNow,  inc(),  base,        on(unreadable()),                "its snapshot cannot be sent: EIO"),
        ("changed",                TriggerNow,  inc(),  base,        on(ParentOnDisk::Found(identity(8))), "its snapshot has changed since it was sent: expected u at transaction 7, found u at transaction 8"),
        ("no journal",             TriggerNow,  inc(),  base,        with(Full, |it| it.journal = Err(UnusableJournal::Missing)), "the journal is missing"),
        ("of another bucket",      TriggerNow,  inc(),  base,        with(Full, |it| it.journal = Err(UnusableJournal::Other)), "the journal belongs to another bucket, prefix, snapshot or run"),
        ("nothing acknowledged",   TriggerNow,  inc(),  base,        journal(Full, |it| it.acknowledged_bytes = 0), "S3 has acknowledged none of its parts"),
        ("nothing read",           TriggerNow,  inc(),  base,        journal(Full, |it| it.identity = None), "S3 has acknowledged none of its parts"),
        ("too old",                TriggerNow,  inc(),  base,        journal(Full, |it| it.acknowledged_at = at("2025-12-27T23:59:59Z")), "S3 may have removed its parts, the last was uploaded at 2025-12-27T23:59:59Z"),
        ("old enough",             TriggerNow,  full(), base,        journal(Full, |it| it.acknowledged_at = at("2025-12-28T00:00:00Z")), "resume full: requested with --full"),
        ("other settings",         TriggerNow,  inc(),  base,        journal(Full, |it| it.settings = other_settings), "the settings have changed: expected parts of 11 bytes, chunks of 100, STANDARD, encryption none, a plain stream, found parts of 10 bytes, chunks of 100, STANDARD, encryption none, a plain stream"),
        ("complete",               TriggerNow,  full(), base,        complete(Full),                  "publish full: requested with --full"),
        ("complete, not due",      Scheduled, not(),  base,        complete(Incremental),           pub_inc),
        ("complete, first",        TriggerNow,  full(), None,        complete(Full),                  "publish full: requested with --full"),
        ("complete, newer exists", TriggerNow,  inc(),  Some(OTHER), complete(Full),                  "another backup has been published since"),
        ("complete, other parent", TriggerNow,  inc(),  Some(OTHER), complete(Incremental),           "another backup has been published since"),
        ("complete, full request",   TriggerFull, full(), base,        complete(Incremental),           "a full was requested"),
    ];
    for (situation, trigger, due, newest, found, want) in cases {
        assert_eq!(decided(trigger, &due, newest, &found), want, "{situation}");
    }
    let mut changed = complete(Full);
    changed.on_disk = ParentOnDisk::Missing;
    assert_eq!(decided(TriggerNow, &full(), base, &changed), "its snapshot is missing");
}
