use super::*;

const FILE: Identity = Identity { device: 1, inode: 2, size: 100, mtime_ns: 50, ctime_ns: 60 };
const EDITED: Identity = Identity { ctime_ns: 61, ..FILE };

#[test]
fn states() {
    use State::*;
    use UploadExisting::*;
    let before = NotBefore { wall_ns: 1000 };
    let after = NotBefore { wall_ns: 60 };
    let nothing = Known::default;
    #[rustfmt::skip]
    let cases = [
        // situation                         on disk  known                    existing            state
        ("new after the first scan",         FILE,    nothing(),               BaselineIsComplete, Pending(Why::New)),
        ("new, all is to be uploaded",       FILE,    nothing(),               Yes,                Pending(Why::New)),
        ("there before the agent",           FILE,    nothing(),               before,             Baseline { recorded: false }),
        ("created during the first scan",    FILE,    nothing(),               after,              Pending(Why::New)),
        ("uploaded and untouched",           FILE,    row(FILE, "p/f"),        before,             Protected),
        ("only the device number moved",     FILE,    row(moved(FILE), "p/f"), before,             Protected),
        ("edited since",                     EDITED,  row(FILE, "p/f"),        before,             Pending(Why::Changed)),
        ("stored under another prefix",      FILE,    row(FILE, "old/f"),      before,             Pending(Why::RemotePathChanged)),
        ("a row of an older database",       FILE,    old_row("p/f"),          before,             Pending(Why::Unconfirmed)),
        ("baseline, untouched",              FILE,    baseline(FILE),          BaselineIsComplete, Baseline { recorded: true }),
        ("baseline, killed in first scan",   FILE,    baseline(FILE),          before,             Baseline { recorded: true }),
        ("baseline, edited since",           EDITED,  baseline(FILE),          BaselineIsComplete, Pending(Why::ChangedSinceBaseline)),
        ("baseline, now to be uploaded",     FILE,    baseline(FILE),          Yes,                Pending(Why::ExistingToo)),
        ("row and baseline: the row rules",  FILE,    both(FILE, FILE),        BaselineIsComplete, Protected),
        ("row and baseline, edited",         EDITED,  both(FILE, EDITED),      BaselineIsComplete, Pending(Why::Changed)),
    ];
    for (situation, disk, known, upload_existing, want) in cases {
        let policy = Policy { upload_existing, ..policy() };
        assert_eq!(decide(&disk, &remote(), &known, &policy), want, "{situation}");
    }
}

#[test]
fn a_problem_stands_until_what_ends_it_happened() {
    use Kind::*;
    use ParkedFiles::*;
    #[rustfmt::skip]
    let cases = [
        // situation                        kind          on disk  config  parked files   stands
        ("refused",                         Refused,      FILE,    "c1",   Hold,          true),
        ("refused, a scan",                 Refused,      FILE,    "c1",   RetryMendable, true),
        ("refused, the file changed",       Refused,      EDITED,  "c1",   Hold,          false),
        ("refused, the config changed",     Refused,      FILE,    "c2",   Hold,          false),
        ("refused, on command",             Refused,      FILE,    "c1",   RetryAll,      false),
        ("deferred",                        Deferred,     FILE,    "c1",   Hold,          true),
        ("deferred, a scan",                Deferred,     FILE,    "c1",   RetryMendable, false),
        ("unreadable, touched",             Unreadable,   EDITED,  "c1",   Hold,          true),
        ("unreadable, a scan",              Unreadable,   FILE,    "c1",   RetryMendable, false),
        ("never settled, still changing",   NeverSettled, EDITED,  "c1",   Hold,          true),
        ("never settled, a scan",           NeverSettled, EDITED,  "c1",   RetryMendable, false),
        ("hot, a scan",                     Hot,          EDITED,  "c1",   RetryMendable, false),
        ("hot, on command",                 Hot,          FILE,    "c1",   RetryAll,      false),
    ];
    for (situation, kind, disk, config, parked, stands) in cases {
        let policy = Policy { config: config.to_owned(), parked, ..policy() };
        let known = Known { parked: Some(park(kind)), ..Known::default() };
        let want = if stands {
            State::Problem(Trouble::Parked { kind, reason: "because".to_owned() })
        } else {
            State::Pending(Why::TriedAgain)
        };
        assert_eq!(decide(&disk, &remote(), &known, &policy), want, "{situation}");
    }
}

#[test]
fn an_edited_file_that_is_refused_is_a_problem_though_an_older_version_is_safe() {
    let known = Known { parked: Some(park(Kind::Deferred)), ..row(EDITED, "p/f") };
    let state = decide(&FILE, &remote(), &known, &policy());
    assert!(matches!(state, State::Problem(_)), "{state:?}");
}

#[test]
fn a_limit_and_a_name_that_cannot_be_stored_are_problems() {
    let limited = Policy { bytes_max: Some(99), ..policy() };
    let state = decide(&FILE, &remote(), &Known::default(), &limited);
    let State::Problem(trouble) = state else { panic!("{state:?}") };
    assert_eq!(trouble.to_string(), "too large: is 100 B, upload.max_file_size_mb allows 99 B");

    let exactly = Policy { bytes_max: Some(100), ..policy() };
    let state = decide(&FILE, &remote(), &Known::default(), &exactly);
    assert_eq!(state, State::Pending(Why::New));

    let long = RemotePath::parse(&"x".repeat(1025));
    let state = decide(&FILE, &long, &Known::default(), &policy());
    let State::Problem(trouble) = state else { panic!("{state:?}") };
    assert_eq!(
        trouble.to_string(),
        "bad name: the whole key would be 1025 bytes long, the limit is 1024"
    );
}

#[test]
fn what_is_safe_stays_protected_under_a_new_limit() {
    let limited = Policy { bytes_max: Some(1), ..policy() };
    assert_eq!(decide(&FILE, &remote(), &row(FILE, "p/f"), &limited), State::Protected);
}

fn policy() -> Policy {
    Policy {
        upload_existing: UploadExisting::BaselineIsComplete,
        bytes_max: None,
        config: "c1".to_owned(),
        parked: ParkedFiles::Hold,
    }
}

fn remote() -> Result<RemotePath, PathRule> {
    RemotePath::parse("p/f")
}

fn row(identity: Identity, remote_path: &str) -> Known {
    let version = Recorded { identity, sha256: Sha256Digest::of(b"") };
    let row =
        Row { remote_path: remote_path.to_owned(), size: identity.size, version: Some(version) };
    Known { row: Some(row), ..Known::default() }
}

fn old_row(remote_path: &str) -> Known {
    let row = Row { remote_path: remote_path.to_owned(), size: FILE.size, version: None };
    Known { row: Some(row), ..Known::default() }
}

fn baseline(identity: Identity) -> Known {
    Known { baseline: Some(identity), ..Known::default() }
}

fn both(uploaded: Identity, at_first: Identity) -> Known {
    Known { baseline: Some(at_first), ..row(uploaded, "p/f") }
}

fn moved(identity: Identity) -> Identity {
    Identity { device: 99, ..identity }
}

fn park(kind: Kind) -> Parked {
    Parked { kind, reason: "because".to_owned(), identity: FILE, config: "c1".to_owned() }
}
