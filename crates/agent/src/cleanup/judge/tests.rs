use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const FILE: Identity =
    Identity { device: 1, inode: 2, size: 7, mtime_ns: 4_000_000_000, ctime_ns: 5_000_000_000 };

fn row(verified_at: Option<i64>) -> CleanupRow {
    CleanupRow {
        local_path: "/up/a".to_owned(),
        remote_path: "uploads/a".to_owned(),
        identity: FILE,
        sha256: Sha256Digest::of(b"content"),
        version_id: Some("v1".to_owned()),
        verified_at,
    }
}

fn stored() -> ProvenObject {
    ProvenObject {
        size: 7,
        sha256: Some(Sha256Digest::of(b"content")),
        crc64nvme: None,
        version_id: Some("v1".to_owned()),
        is_hot: false,
        is_archived: false,
        expiry: Expiry::Never,
        expiry_reason: None,
        old_versions: OldVersions::Kept,
        old_version_days: None,
        old_versions_reason: None,
    }
}

#[test]
fn a_file_waits_from_its_verification_on() {
    #[rustfmt::skip]
    let cases = [
        ("never verified",          None,          CleanupStep::Verify),
        ("just now",                Some(100_000), CleanupStep::Wait),
        ("a second too early",      Some(13_601),  CleanupStep::Wait),
        ("a day ago",               Some(13_600),  CleanupStep::Delete),
        ("in the future",           Some(200_000), CleanupStep::Wait),
        ("far in the future",       Some(i64::MAX), CleanupStep::Wait),
    ];
    for (situation, verified_at, want) in cases {
        assert_eq!(next_step(verified_at, DAY, 100_000), want, "{situation}");
    }
}

#[test]
fn only_a_version_that_s3_has_and_keeps_is_proven() {
    let other = Some(Sha256Digest::of(b"other"));
    let text = || "r".to_owned();
    let rule = Some(text());
    let v2 = Some("v2".to_owned());
    let ok = Ok("v1".to_owned());
    #[rustfmt::skip]
    let cases = [
        ("all agree",          "enabled", Some(stored()), ok),
        ("no versions",        "off",     Some(stored()), Err(NotDeleted::NoVersions("off".to_owned()))),
        ("versions unknown",   "unknown", Some(stored()), Err(NotDeleted::NoVersions("unknown".to_owned()))),
        ("not stored",         "enabled", None,           Err(NotDeleted::NotStored)),
        ("other content",      "enabled", Some(ProvenObject { sha256: other, ..stored() }),     Err(NotDeleted::OtherContent)),
        ("other length",       "enabled", Some(ProvenObject { size: 8, ..stored() }),           Err(NotDeleted::OtherContent)),
        ("no SHA-256",         "enabled", Some(ProvenObject { sha256: None, ..stored() }),      Err(NotDeleted::NoSha256)),
        ("no version id",      "enabled", Some(ProvenObject { version_id: None, ..stored() }),
            Err(NotDeleted::NoVersions("enabled, but this file has no version".to_owned()))),
        ("another version",    "enabled", Some(ProvenObject { version_id: v2.clone(), ..stored() }), Err(NotDeleted::OtherVersion)),
        ("hot",                "enabled", Some(ProvenObject { is_hot: true, ..stored() }),      Err(NotDeleted::Hot)),
        ("archived",           "enabled", Some(ProvenObject { is_archived: true, ..stored() }), Err(NotDeleted::Archived)),
        ("expires",            "enabled", Some(ProvenObject { expiry: Expiry::ByRule, expiry_reason: rule.clone(), ..stored() }),
            Err(NotDeleted::Expires(text()))),
        ("may expire",         "enabled", Some(ProvenObject { expiry: Expiry::Unknown, expiry_reason: rule, ..stored() }),
            Err(NotDeleted::ExpiryUnknown(text()))),
    ];
    for (situation, versioning, stored, want) in cases {
        let found = judge_proof(&row(Some(1)), versioning, stored.as_ref(), None);
        assert_eq!(found, want, "{situation}");
    }
    let learned = ProvenObject { version_id: v2, ..stored() };
    assert_eq!(judge_proof(&row(None), "enabled", Some(&learned), None), Ok("v2".to_owned()));
}

#[test]
fn only_a_version_that_s3_keeps_after_it_was_replaced_is_proven() {
    use OldVersions::{DeletedByRule, Kept, Unknown};
    let expires = |days| Err(NotDeleted::OldVersionsExpire { rule: "r".to_owned(), days });
    let unknown = Err(NotDeleted::OldVersionsUnknown("r".to_owned()));
    let ok = || Ok("v1".to_owned());
    #[rustfmt::skip]
    let cases = [
        ("kept for ever",        Kept,          None,     None,     ok()),
        ("kept, and a limit",    Kept,          None,     Some(30), ok()),
        ("deleted",              DeletedByRule, Some(30), None,     expires(30)),
        ("deleted too early",    DeletedByRule, Some(29), Some(30), expires(29)),
        ("deleted late enough",  DeletedByRule, Some(30), Some(30), ok()),
        ("deleted some time",    DeletedByRule, None,     Some(1),  expires(0)),
        ("not known",            Unknown,       None,     None,     unknown.clone()),
        ("not known, a limit",   Unknown,       None,     Some(1),  unknown),
    ];
    for (situation, old_versions, old_version_days, min_days, want) in cases {
        let reason = Some("r".to_owned());
        let stored = ProvenObject {
            old_versions,
            old_version_days,
            old_versions_reason: reason,
            ..stored()
        };
        let found = judge_proof(&row(Some(1)), "enabled", Some(&stored), min_days);
        assert_eq!(found, want, "{situation}");
    }
    let older: ProvenObject = serde_json::from_str(
        r#"{"size":7,"sha256":null,"crc64nvme":null,"version_id":"v1","is_hot":false,
            "is_archived":false,"expiry":"never"}"#,
    )
    .unwrap();
    assert_eq!(older.old_versions, Unknown, "an older gateway does not say so");
}

#[test]
fn only_the_file_of_the_row_may_go() {
    let file = OpenedFile { identity: FILE, links: 1, stamps: Stamps::Reliable };
    let with = |identity| OpenedFile { identity, ..file };
    let now_ns = 5_000_000_000 + 86_400_000_000_000;
    #[rustfmt::skip]
    let cases = [
        ("untouched",             file,                                              now_ns,     Ok(())),
        ("another device number", with(Identity { device: 9, ..FILE }),              now_ns,     Ok(())),
        ("another inode",         with(Identity { inode: 9, ..FILE }),               now_ns,     Err(NotDeleted::Changed)),
        ("another size",          with(Identity { size: 8, ..FILE }),                now_ns,     Err(NotDeleted::Changed)),
        ("another mtime",         with(Identity { mtime_ns: 3, ..FILE }),            now_ns,     Err(NotDeleted::Changed)),
        ("another ctime",         with(Identity { ctime_ns: 3, ..FILE }),            now_ns,     Err(NotDeleted::Changed)),
        ("another hard link",     OpenedFile { links: 2, ..file },                   now_ns,     Err(NotDeleted::HardLinked)),
        ("tmpfs",                 OpenedFile { stamps: Stamps::Unreliable, ..file }, now_ns,     Err(NotDeleted::UnprovableFilesystem)),
        ("young",                 file,                                              now_ns - 1, Err(NotDeleted::Young)),
        ("from the future",       file,                                              0,          Err(NotDeleted::Young)),
    ];
    for (situation, file, now_ns, want) in cases {
        assert_eq!(judge_file(&FILE, &file, DAY, now_ns), want, "{situation}");
    }
}

#[test]
fn the_content_is_that_of_the_row_and_of_s3() {
    let sha256 = Sha256Digest::of(b"content");
    let found = (sha256, Crc64Nvme(1));
    let (same, other) = (Crc64Nvme(1).to_string(), Crc64Nvme(2).to_string());
    let content = |row, crc| judge_content(row, crc, found);

    assert_eq!(content(sha256, None), Ok(()));
    assert_eq!(content(sha256, Some(same.as_str())), Ok(()));
    assert_eq!(content(sha256, Some(other.as_str())), Err(NotDeleted::ChecksumDiffers));
    assert_eq!(
        content(Sha256Digest::of(b"x"), Some(same.as_str())),
        Err(NotDeleted::ContentDiffers)
    );
}
