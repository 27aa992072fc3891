use super::*;
use crate::files::filesystem::{Filesystem, Stamps};
use crate::files::writes::Evidence;

const FILE: Identity = Identity { device: 1, inode: 2, size: 100, mtime_ns: 50, ctime_ns: 60 };
const EDITED: Identity = Identity { ctime_ns: 61, ..FILE };
const TMPFS: Filesystem = Filesystem { stamps: Stamps::Unreliable, ..Filesystem::TRUSTED };

#[test]
fn each_file_on_disk_has_the_state_that_its_rows_imply() {
    use State::*;
    use UploadExisting::*;
    let before = NotBefore { wall_ns: 1000 };
    let after = NotBefore { wall_ns: 60 };
    let nothing = KnownFile::default;
    #[rustfmt::skip]
    let cases = [
        // situation                         on disk  known                    existing            state
        ("new after the first scan",         FILE,    nothing(),               BaselineIsComplete, Pending(PendingReason::New)),
        ("new, existing files are uploaded",       FILE,    nothing(),               Yes,                Pending(PendingReason::New)),
        ("existed before the agent",           FILE,    nothing(),               before,             Baseline { recorded: false }),
        ("created during the first scan",    FILE,    nothing(),               after,              Pending(PendingReason::New)),
        ("uploaded and untouched",           FILE,    row(FILE, "p/f"),        before,             Protected),
        ("only the device number changed",     FILE,    row(moved(FILE), "p/f"), before,             Protected),
        ("back after a cleanup",             FILE,    deleted(FILE, "p/f"),    before,             Pending(PendingReason::BackAfterCleanup)),
        ("edited since",                     EDITED,  row(FILE, "p/f"),        before,             Pending(PendingReason::Changed)),
        ("stored under another prefix",      FILE,    row(FILE, "old/f"),      before,             Pending(PendingReason::RemotePathChanged)),
        ("a row of an older database",       FILE,    old_row("p/f"),          before,             Pending(PendingReason::Unconfirmed)),
        ("baseline, untouched",              FILE,    baseline(FILE),          BaselineIsComplete, Baseline { recorded: true }),
        ("baseline, killed in first scan",   FILE,    baseline(FILE),          before,             Baseline { recorded: true }),
        ("baseline, edited since",           EDITED,  baseline(FILE),          BaselineIsComplete, Pending(PendingReason::ChangedSinceBaseline)),
        ("baseline, upload_existing now true",     FILE,    baseline(FILE),          Yes,                Pending(PendingReason::UploadExisting)),
        ("existed before, not decided yet",  FILE,    nothing(),               Undecided { wall_ns: 1000 }, Pending(PendingReason::HistoryUnknown)),
        ("not decided, protected",           FILE,    row(FILE, "p/f"),        Undecided { wall_ns: 1000 }, Protected),
        ("created since, not decided yet",   FILE,    nothing(),               Undecided { wall_ns: 60 },   Pending(PendingReason::New)),
        ("row and baseline: the row decides",  FILE,    both(FILE, FILE),        BaselineIsComplete, Protected),
        ("row and baseline, edited",         EDITED,  both(FILE, EDITED),      BaselineIsComplete, Pending(PendingReason::Changed)),
    ];
    for (situation, disk, known, upload_existing, want) in cases {
        let policy = FilePolicy { upload_existing, ..policy() };
        assert_eq!(decide(&observed(disk), &remote(), &known, &policy), want, "{situation}");
    }
}

#[test]
fn a_file_that_the_gateway_may_have_is_asked_for_first() {
    use UploadExisting::*;
    #[rustfmt::skip]
    let cases = [
        // situation                         before      existing             reason
        ("no database was lost",             None,       BaselineIsComplete,  PendingReason::New),
        ("older than the new database",      Some(61),   BaselineIsComplete,  PendingReason::Unconfirmed),
        ("older, existing files are sent",   Some(61),   Yes,                 PendingReason::Unconfirmed),
        ("changed since",                    Some(60),   BaselineIsComplete,  PendingReason::New),
    ];
    for (situation, confirm_before_ns, upload_existing, want) in cases {
        let policy = FilePolicy { confirm_before_ns, upload_existing, ..policy() };
        let state = decide(&observed(FILE), &remote(), &KnownFile::default(), &policy);
        assert_eq!(state, State::Pending(want), "{situation}");
    }
}

#[test]
fn a_problem_stands_until_its_kind_says_that_it_may_have_passed() {
    use ProblemKind::*;
    use RetryProblems::*;
    #[rustfmt::skip]
    let cases = [
        // situation                        kind          on disk  config  retry   stands
        ("refused",                         Refused,      FILE,    "c1",   Never,  true),
        ("refused, a scan",                 Refused,      FILE,    "c1",   Now,    false),
        ("refused, the file changed",       Refused,      EDITED,  "c1",   Never,  false),
        ("refused, the config changed",     Refused,      FILE,    "c2",   Never,  false),
        ("deferred",                        Deferred,     FILE,    "c1",   Never,  true),
        ("deferred, a scan",                Deferred,     FILE,    "c1",   Now,    false),
        ("failing by itself",               Failing,      FILE,    "c1",   Never,  true),
        ("failing by itself, a scan",       Failing,      FILE,    "c1",   Now,    false),
        ("unreadable, touched",             Unreadable,   EDITED,  "c1",   Never,  true),
        ("unreadable, a scan",              Unreadable,   FILE,    "c1",   Now,    false),
        ("never settled, still changing",   NeverSettled, EDITED,  "c1",   Never,  true),
        ("never settled, a scan",           NeverSettled, EDITED,  "c1",   Now,    false),
        ("hot, a scan",                     Hot,          EDITED,  "c1",   Now,    false),
    ];
    for (situation, kind, disk, config, retry_problems, stands) in cases {
        let policy = FilePolicy { config: config.to_owned(), retry_problems, ..policy() };
        let known = KnownFile { problem: Some(recorded(kind)), ..KnownFile::default() };
        let want = if stands {
            State::Problem(FileProblem::Recorded { kind, reason: "because".to_owned() })
        } else {
            State::Pending(PendingReason::Retried)
        };
        assert_eq!(decide(&observed(disk), &remote(), &known, &policy), want, "{situation}");
    }
}

#[test]
fn an_edited_file_that_is_refused_is_a_problem_although_its_older_version_is_stored() {
    let known = KnownFile { problem: Some(recorded(ProblemKind::Deferred)), ..row(EDITED, "p/f") };
    let state = decide(&observed(FILE), &remote(), &known, &policy());
    assert!(matches!(state, State::Problem(_)), "{state:?}");
}

#[test]
fn a_file_over_the_limit_and_an_invalid_name_are_problems() {
    let limited = FilePolicy { bytes_max: Some(99), ..policy() };
    let state = decide(&observed(FILE), &remote(), &KnownFile::default(), &limited);
    let State::Problem(problem) = state else { panic!("{state:?}") };
    assert_eq!(
        problem.to_string(),
        "too large: expected at most 99 B (upload.max_file_size_mb), found 100 B"
    );

    let exactly = FilePolicy { bytes_max: Some(100), ..policy() };
    let state = decide(&observed(FILE), &remote(), &KnownFile::default(), &exactly);
    assert_eq!(state, State::Pending(PendingReason::New));

    let long = RemotePath::parse(&"x".repeat(1025));
    let state = decide(&observed(FILE), &long, &KnownFile::default(), &policy());
    let State::Problem(problem) = state else { panic!("{state:?}") };
    assert_eq!(
        problem.to_string(),
        "invalid remote path: expected a key (prefix, client and path) of at most 1024 bytes, found 1025"
    );
}

#[test]
fn a_protected_file_stays_protected_under_a_lower_limit() {
    let limited = FilePolicy { bytes_max: Some(1), ..policy() };
    assert_eq!(decide(&observed(FILE), &remote(), &row(FILE, "p/f"), &limited), State::Protected);
}

#[test]
fn a_file_that_was_written_under_an_equal_identity_is_hashed_where_stamps_miss_changes() {
    use PendingReason::{ChangedSinceBaseline, Retried, Written};
    use UploadExisting::BaselineIsComplete;
    let refused =
        KnownFile { problem: Some(recorded(ProblemKind::Refused)), ..KnownFile::default() };
    #[rustfmt::skip]
    let cases = [
        // situation     known              ext4                                  tmpfs
        ("uploaded",     row(FILE, "p/f"),  State::Protected,                     Written),
        ("baseline",     baseline(FILE),    State::Baseline { recorded: true },   ChangedSinceBaseline),
        ("refused",      refused,           refused_because(),                    Retried),
    ];
    let policy = FilePolicy { upload_existing: BaselineIsComplete, ..policy() };
    for (situation, known, ext4, tmpfs) in cases {
        let written = ObservedFile { evidence: Evidence::Written, ..observed(FILE) };
        assert_eq!(decide(&written, &remote(), &known, &policy), ext4, "{situation}");
        let written = ObservedFile { filesystem: TMPFS, ..written };
        let state = decide(&written, &remote(), &known, &policy);
        assert_eq!(state, State::Pending(tmpfs), "{situation}");
        let seen = ObservedFile { evidence: Evidence::Seen, ..written };
        assert_eq!(decide(&seen, &remote(), &known, &policy), ext4, "{situation}, a scan");
    }
}

#[test]
fn a_coarse_stamp_from_just_before_the_agent_does_not_make_a_baseline() {
    const SECOND: i64 = 1_000_000_000;
    let known_since = UploadExisting::NotBefore { wall_ns: 10 * SECOND + 1 };
    let policy = FilePolicy { upload_existing: known_since, ..policy() };
    #[rustfmt::skip]
    let cases = [
        // stamp                 baseline
        (10 * SECOND,            false),  // whole seconds: perhaps written at 11.9
        (8 * SECOND,             true),
        (9 * SECOND + 1,         true),   // with a fraction: exact
    ];
    for (ctime_ns, is_baseline) in cases {
        let file = observed(Identity { ctime_ns, ..FILE });
        let state = decide(&file, &remote(), &KnownFile::default(), &policy);
        assert_eq!(state == State::Baseline { recorded: false }, is_baseline, "{ctime_ns}");
    }
}

fn observed(identity: Identity) -> ObservedFile {
    ObservedFile { identity, filesystem: Filesystem::TRUSTED, evidence: Evidence::Seen }
}

fn refused_because() -> State {
    let reason = "because".to_owned();
    State::Problem(FileProblem::Recorded { kind: ProblemKind::Refused, reason })
}

fn policy() -> FilePolicy {
    FilePolicy {
        upload_existing: UploadExisting::BaselineIsComplete,
        confirm_before_ns: None,
        bytes_max: None,
        config: "c1".to_owned(),
        retry_problems: RetryProblems::Never,
    }
}

fn remote() -> Result<RemotePath, PathRule> {
    RemotePath::parse("p/f")
}

fn row(identity: Identity, remote_path: &str) -> KnownFile {
    let version = UploadedVersion { identity, sha256: Sha256Digest::of(b""), mode: None };
    let row = FileRow {
        remote_path: remote_path.to_owned(),
        size: identity.size,
        version: Some(version),
        is_deleted: false,
    };
    KnownFile { row: Some(row), ..KnownFile::default() }
}

fn old_row(remote_path: &str) -> KnownFile {
    let remote_path = remote_path.to_owned();
    let row = FileRow { remote_path, size: FILE.size, version: None, is_deleted: false };
    KnownFile { row: Some(row), ..KnownFile::default() }
}

fn deleted(identity: Identity, remote_path: &str) -> KnownFile {
    let mut known = row(identity, remote_path);
    known.row.as_mut().expect("a row").is_deleted = true;
    known
}

fn baseline(identity: Identity) -> KnownFile {
    KnownFile { baseline: Some(identity), ..KnownFile::default() }
}

fn both(uploaded: Identity, at_first: Identity) -> KnownFile {
    KnownFile { baseline: Some(at_first), ..row(uploaded, "p/f") }
}

fn moved(identity: Identity) -> Identity {
    Identity { device: 99, ..identity }
}

fn recorded(kind: ProblemKind) -> RecordedProblem {
    RecordedProblem { kind, reason: "because".to_owned(), identity: FILE, config: "c1".to_owned() }
}
