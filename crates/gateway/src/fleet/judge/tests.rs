use s3up_core::ClientName;
use s3up_core::wire::{
    AgentFacts, BACKUP_REPORT_VERSION, BackupReport, BackupRun, Drill, FLEET_VERSION, FileTotals,
    ProgramFacts, RunOutcome, SubvolumeReport, Total, Watcher,
};

use super::*;
use crate::database::backup_reports::ReceivedBackupReport;
use crate::database::client_facts::ReceivedHeartbeat;
use crate::database::freezes::Freeze;
use crate::database::record::RecordedState;

const HOUR: Millis = 3_600_000;
/// 2026-01-31, noon.
const NOW: Millis = 1_769_860_800_000;
const THRESHOLDS: Thresholds = Thresholds {
    silent_after: Duration::from_secs(26 * 3600),
    lag_after: Duration::from_secs(3600),
    backup_late_after: None,
};

/// A healthy client that sent a heartbeat a minute ago.
fn healthy() -> ClientFacts {
    let agent = AgentFacts {
        version: "0.1.0".to_owned(),
        host: "web1".to_owned(),
        started_at: "2026-01-01T00:00:00Z".to_owned(),
    };
    let body = Heartbeat {
        version: FLEET_VERSION,
        agent,
        files: FileTotals { protected: Total { files: 9, bytes: 90 }, ..FileTotals::default() },
        oldest_pending_seconds: None,
        last_scan_at: Some("2026-01-31T11:00:00Z".to_owned()),
        last_scan_age_seconds: Some(3540),
        running_seconds: Some(30 * 24 * 3600),
        watcher: Watcher { state: "ok".to_owned(), detail: None },
        watch_error: None,
        last_drill: None,
        watches: None,
    };
    ClientFacts {
        name: ClientName::parse("web1").unwrap(),
        created_at: NOW - 400 * 24 * HOUR,
        last_seen_at: Some(NOW - 60_000),
        heartbeat: Some(ReceivedHeartbeat { at: NOW - 60_000, body }),
        backup_report: None,
        last_report_day: Some("2026-01-30".to_owned()),
        last_report_at: Some(NOW - 12 * HOUR),
        last_stored_at: None,
        stored: Total::default(),
        recorded: None,
        frozen: None,
    }
}

fn edited(edit: impl FnOnce(&mut ClientFacts, &mut Heartbeat)) -> ClientFacts {
    let mut facts = healthy();
    let mut received = facts.heartbeat.take().unwrap();
    let at = received.at;
    edit(&mut facts, &mut received.body);
    facts.heartbeat = Some(facts.heartbeat.unwrap_or(ReceivedHeartbeat { at, ..received }));
    facts
}

fn heard_at(at: Millis) -> ClientFacts {
    let mut facts = healthy();
    facts.heartbeat.as_mut().unwrap().at = at;
    facts
}

fn without_agent(last_seen_at: Option<Millis>) -> ClientFacts {
    ClientFacts { heartbeat: None, last_seen_at, last_report_at: None, ..healthy() }
}

fn in_state(state: ClientState, facts: ClientFacts) -> ClientFacts {
    ClientFacts { recorded: Some(RecordedState { state, since: NOW - HOUR }), ..facts }
}

fn waiting(seconds: u64) -> ClientFacts {
    edited(|_, it| {
        it.oldest_pending_seconds = Some(seconds);
        it.files.pending.files = 5;
    })
}

/// A client whose heartbeat, of a minute ago, has these ages. Its times are by a clock that is two days ahead.
fn scanned(scan_hours: Option<u64>, running_hours: Option<u64>) -> ClientFacts {
    edited(|_, it| {
        it.last_scan_at = scan_hours.map(|_| "2026-02-02T11:00:00Z".to_owned());
        it.last_scan_age_seconds = scan_hours.map(|hours| hours * 3600);
        it.agent.started_at = "2026-02-02T11:00:00Z".to_owned();
        it.running_seconds = running_hours.map(|hours| hours * 3600);
    })
}

fn drilled(failed: u64) -> ClientFacts {
    edited(|_, it| {
        let at = "2026-02-02T04:00:00Z".to_owned();
        let age_seconds = Some(3540);
        it.last_drill =
            Some(Drill { at, age_seconds, files: 20, bytes: 9, failed, ..Drill::default() });
    })
}

fn frozen(facts: ClientFacts) -> ClientFacts {
    let freeze = Freeze { since: NOW - HOUR, reason: "strange changes".to_owned() };
    ClientFacts { frozen: Some(freeze), ..facts }
}

fn never_seen(age: Millis) -> ClientFacts {
    ClientFacts { created_at: NOW - age, ..without_agent(None) }
}

fn reported(last_report_at: Option<Millis>, running_hours: u64) -> ClientFacts {
    edited(|facts, it| {
        facts.last_report_at = last_report_at;
        it.running_seconds = Some(running_hours * 3600);
    })
}

#[test]
fn a_client_is_in_the_worst_state_that_its_facts_show() {
    use ClientState::{Degraded, Failing, Late, Never, Ok, Silent};
    let problems = |count| edited(|_, it| it.files.problems.files = count);
    let watcher = |state: &str, detail: Option<&str>| {
        edited(|_, it| {
            it.watcher = Watcher { state: state.to_owned(), detail: detail.map(str::to_owned) };
        })
    };
    let all = edited(|_, it| {
        it.files.problems.files = 2;
        it.oldest_pending_seconds = Some(7200);
        it.watcher.state = "degraded".to_owned();
    });
    #[rustfmt::skip]
    let cases = [
        (healthy(),                                    Ok,       ""),
        (frozen(healthy()),                            Failing,  "uploads are frozen since 2026-01-31T11:00:00Z: strange changes"),
        (frozen(heard_at(NOW - 27 * HOUR)),            Silent,   "no heartbeat for 27 h, since 2026-01-30T09:00:00Z"),
        // Nothing was uploaded for a year because nothing changed.
        (ClientFacts { last_stored_at: Some(0), ..healthy() }, Ok, ""),
        (never_seen(HOUR),                             Never,    "no request since it was configured on 2026-01-31"),
        (never_seen(26 * HOUR),                        Never,    "no request since it was configured on 2026-01-30"),
        (never_seen(26 * HOUR + 1),                    Silent,   "no request since it was configured on 2026-01-30"),
        // The clock of the gateway was set back.
        (never_seen(-99 * HOUR),                       Never,    "no request since it was configured on 2026-02-04"),
        (without_agent(Some(NOW - HOUR)),              Ok,       ""),
        (without_agent(Some(NOW - 27 * HOUR)),         Silent,   "no request for 27 h, since 2026-01-30T09:00:00Z"),
        (heard_at(NOW - 26 * HOUR),                    Ok,       ""),
        (heard_at(NOW - 26 * HOUR - 1),                Silent,   "no heartbeat for 26 h, since 2026-01-30T09:59:59Z"),
        // The clock of the gateway was set back.
        (heard_at(NOW + 99 * HOUR),                    Ok,       ""),
        (problems(1),                                  Failing,  "1 file cannot be uploaded; its report names it"),
        (problems(2),                                  Failing,  "2 files cannot be uploaded; its report names them"),
        (waiting(3600),                                Ok,       ""),
        (waiting(7201),                                Late,     "5 pending, the oldest for 2 h"),
        (scanned(Some(26), Some(99)),                  Ok,       ""),
        (scanned(Some(27), Some(99)),                  Late,     "no complete scan since 2026-01-30T08:59:00Z"),
        (scanned(None, Some(25)),                      Ok,       ""),
        (scanned(None, Some(48)),                      Late,     "no complete scan since its start on 2026-01-29T11:59:00Z"),
        (scanned(Some(u64::MAX / 3600), None),         Late,     "no complete scan since 1970-01-01T00:00:00Z"),
        (scanned(None, None),                          Ok,       ""),
        (watcher("degraded", Some("too few watches")), Degraded, "the watcher is degraded: too few watches"),
        (watcher("stuck", None),                       Degraded, "the watcher is stuck"),
        (watcher("off", None),                         Ok,       ""),
        (drilled(0),                                   Ok,       ""),
        (drilled(1),                                   Degraded, "the drill of 2026-01-31T11:00:00Z could not restore 1 file"),
        (drilled(2),                                   Degraded, "the drill of 2026-01-31T11:00:00Z could not restore 2 files"),
        (reported(Some(NOW - 50 * HOUR), 999),         Ok,       ""),
        (reported(Some(NOW - 51 * HOUR), 999),         Degraded, "no report since 2026-01-29T09:00:00Z"),
        (reported(Some(NOW - 51 * HOUR), 1),           Degraded, "no report since 2026-01-29T09:00:00Z"),
        (reported(None, 49),                           Ok,       ""),
        (reported(None, 51),                           Degraded, "no report since 2026-01-29T08:59:00Z"),
        (all,                                          Failing,  "2 files cannot be uploaded; its report names them"),
    ];
    for (facts, state, reason) in cases {
        let want = Judgement { state, reason: (!reason.is_empty()).then(|| reason.to_owned()) };
        assert_eq!(judge(&facts, THRESHOLDS, NOW), want, "{facts:?}");
    }
}

#[test]
fn a_state_ends_only_when_the_client_is_clearly_better() {
    use ClientState::{Late, Ok, Silent};
    #[rustfmt::skip]
    let cases = [
        (in_state(Ok,     waiting(3500)),             Ok),
        (in_state(Late,   waiting(3500)),             Late),
        (in_state(Late,   waiting(2700)),             Ok),
        (in_state(Silent, heard_at(NOW - 20 * HOUR)), Silent),
        (in_state(Silent, heard_at(NOW - 19 * HOUR)), Ok),
        (in_state(Ok,     heard_at(NOW - 20 * HOUR)), Ok),
    ];
    for (facts, want) in cases {
        assert_eq!(judge(&facts, THRESHOLDS, NOW).state, want, "{facts:?}");
    }
}

#[test]
fn a_watch_that_cannot_be_scanned_fails_at_once() {
    let facts = edited(|_, it| {
        it.watch_error = Some("/srv/up: No such file or directory".to_owned());
        it.oldest_pending_seconds = Some(7 * 86_400);
    });

    let judged = judge(&facts, THRESHOLDS, NOW);

    let reason = "a watch cannot be scanned: /srv/up: No such file or directory".to_owned();
    assert_eq!(judged, Judgement { state: ClientState::Failing, reason: Some(reason) });
}

/// A report that arrived at `at`, of a subvolume whose run ended so.
fn backup_report(at: Millis, outcome: RunOutcome) -> Option<ReceivedBackupReport> {
    let error = Some("no space".to_owned());
    let subvolume = SubvolumeReport {
        name: "data".to_owned(),
        last_run: Some(BackupRun { at: "T".to_owned(), outcome, error }),
        ..SubvolumeReport::default()
    };
    let program = ProgramFacts { version: "0".to_owned(), host: "nas".to_owned() };
    let (version, command) = (BACKUP_REPORT_VERSION, "backup".to_owned());
    let running_since = None;
    let subvolumes = vec![subvolume];
    let body = BackupReport { version, program, command, running_since, subvolumes };
    Some(ReceivedBackupReport { at, body })
}

#[test]
fn a_host_with_an_agent_and_backups_is_in_the_worse_of_both_states() {
    use ClientState::{Failing, Ok, Silent};
    use RunOutcome::{Failed, Published};
    let with =
        |facts, at, outcome| ClientFacts { backup_report: backup_report(at, outcome), ..facts };
    let (minute, old) = (NOW - 60_000, NOW - 27 * HOUR);
    let nas = || without_agent(Some(NOW - 99 * HOUR));
    let problem = || edited(|_, it| it.files.problems.files = 1);
    let failed = "data: the backup of T failed: no space";
    #[rustfmt::skip]
    let cases = [
        (with(nas(), minute, Published),             Ok,      ""),
        (with(nas(), minute, Failed),                Failing, failed),
        (with(nas(), old, Published),                Silent,  "no backup report for 27 h, since 2026-01-30T09:00:00Z"),
        (with(nas(), old, Failed),                   Silent,  "no backup report for 27 h, since 2026-01-30T09:00:00Z"),
        (with(healthy(), minute, Published),         Ok,      ""),
        (with(healthy(), minute, Failed),            Failing, failed),
        (with(healthy(), old, Published),            Silent,  "no backup report for 27 h, since 2026-01-30T09:00:00Z"),
        (with(heard_at(old), minute, Failed),        Silent,  "no heartbeat for 27 h, since 2026-01-30T09:00:00Z"),
        (with(problem(), minute, Failed),            Failing, "1 file cannot be uploaded; its report names it"),
    ];
    for (facts, state, reason) in cases {
        let want = Judgement { state, reason: (!reason.is_empty()).then(|| reason.to_owned()) };
        assert_eq!(judge(&facts, THRESHOLDS, NOW), want, "{facts:?}");
    }
}
