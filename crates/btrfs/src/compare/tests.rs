//! Compares two equal trees, one of which is changed in one way: one row for each kind of
//! difference.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use btrfs_host::root_times::RootTimes;
use btrfs_sendstream::{Time, Times};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, makedev, mknodat,
    utimensat,
};
use s3up_core::progress::ProgressSink;
use s3up_testkit::{Tree, char_device, dir, fifo, file, hard_link, root_or_skip, sparse, symlink};

use super::run::compare_now;
use super::*;

const PIECE: u64 = 1 << 20;

fn tree() -> Tree {
    Tree::new([
        dir(".").mode(0o750),
        file("a/file", "hello").xattr("user.note", "kept"),
        file(b"a/caf\xe9", "Latin-1"),
        sparse("a/long", 2 * PIECE + 9, &[(PIECE, b"in the middle")]),
        file("one", "linked"),
        hard_link("two", "one"),
        file("other", "linked, too"),
        hard_link("a/third", "other"),
        symlink("link", "a/file"),
        fifo("fifo"),
        char_device("null", 1, 3),
        file("empty", ""),
        dir("folder"),
    ])
}

fn set_time(path: &Path, seconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: 1 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time");
}

/// Changes the tree and resets the times of its directories.
fn change(root: &Path, change: impl FnOnce(&Path)) {
    let dirs = [root.to_owned(), root.join("a"), root.join("folder")];
    let times = dirs.each_ref().map(|path| fs::metadata(path).and_then(|it| it.modified()));
    change(root);
    for (path, time) in dirs.iter().zip(times) {
        let set = |directory: fs::File| directory.set_modified(time.expect("a time"));
        fs::File::open(path).and_then(set).expect("a directory");
    }
}

/// Describes a restored tree whose root directory keeps its time.
fn to_come(path: &Path) -> RestoredTree {
    let metadata = fs::metadata(path).expect("a directory");
    let modified = Time { seconds: metadata.mtime(), nanos: metadata.mtime_nsec() as u32 };
    let times = Times { accessed: modified, modified };
    RestoredTree { path: path.into(), root_times: Some(RootTimes::of(times)) }
}

fn compared(source: &Path, restored: &Path, files_max: Option<u64>) -> Comparison {
    let (source, restored) = (source.into(), to_come(restored));
    let sample = files_max.map(|files_max| SampleLimits { files_max, bytes_max: u64::MAX });
    let request = CompareRequest { source, restored, sample, progress: ProgressSink::silent() };
    compare_now(&request, &ComparedFiles::default(), &AtomicBool::new(false)).expect("a comparison")
}

#[test]
fn equal_trees_have_no_difference_to_the_last_byte() {
    if !root_or_skip() {
        return;
    }
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    [&one, &other].into_iter().for_each(|root| tree().write(root.path()));

    let found = compared(one.path(), other.path(), None);

    assert_eq!(found.differences, Differences::default());
    assert_eq!((found.entries, found.files, found.files_read), (14, 6, 6));
    // Of the long file, the blocks of its data.
    assert!((5 + 7 + 13 + 6 + 11..PIECE).contains(&found.bytes_read), "{found:?}");
    let sampled = compared(one.path(), other.path(), Some(2));
    assert_eq!((sampled.files, sampled.entries), (6, 14));
    assert!((1..=2).contains(&sampled.files_read), "{sampled:?}");
}

#[test]
fn each_kind_of_difference_is_named() {
    if !root_or_skip() {
        return;
    }
    type Change = fn(&Path);
    #[rustfmt::skip]
    let cases: [(Change, &[&str]); 20] = [
        (|at| fs::remove_file(at.join("empty")).unwrap(),                   &["\"empty\": missing"]),
        (|at| fs::write(at.join("folder/new"), "x").unwrap(),               &["\"folder/new\": not in the source"]),
        (|at| { fs::remove_file(at.join("empty")).unwrap(); fs::create_dir(at.join("empty")).unwrap() },
                                                                            &["\"empty\": kind: expected file, found directory"]),
        (|at| fs::set_permissions(at.join("a/file"), PermissionsExt::from_mode(0o4600)).unwrap(),
                                                                            &["\"a/file\": mode: expected 0644, found 4600"]),
        (|at| lchown(at.join("link"), Some(7), Some(8)).unwrap(),           &["\"link\": owner: expected 0:0, found 7:8"]),
        (|at| set_time(&at.join("link"), 5),                                &["\"link\": modification time: expected ", "found 5.000000001"]),
        (|at| set_time(&at.join("folder"), 5),                              &[]),
        (|at| { fs::write(at.join("a/file"), "hello!").unwrap(); set_time(&at.join("a/file"), 5) },
                                                                            &["\"a/file\": modification time", "\"a/file\": length: expected 5 bytes, found 6"]),
        (|at| rewrite(&at.join("a/long"), PIECE + 3, b"X"),                 &["\"a/long\": content differs from byte 1048579 on"]),
        (|at| rewrite(&at.join(OsStr::from_bytes(b"a/caf\xe9")), 0, b"l"),  &[r#""a/caf\xE9": content differs from byte 0 on"#]),
        (|at| again(&at.join("link"), |path| std::os::unix::fs::symlink("a/FILE", path).unwrap()),
                                                                            &["\"link\": symlink target: expected \"a/file\", found \"a/FILE\""]),
        (|at| again(&at.join("null"), |path| mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o644), makedev(1, 5)).unwrap()),
                                                                            &["\"null\": device number: expected 0x103, found 0x105"]),
        (|at| again(&at.join("fifo"), |path| mknodat(CWD, path, FileType::Socket, Mode::from_raw_mode(0o644), 0).unwrap()),
                                                                            &["\"fifo\": kind: expected FIFO, found socket"]),
        (|at| again(&at.join("two"), |path| fs::write(path, "linked").unwrap()),
                                                                            &["\"one\": hard links: expected 2, found 1", "\"two\": hard links: expected 2, found 1"]),
        (|at| { fs::rename(at.join("two"), at.join("x")).unwrap(); fs::rename(at.join("a/third"), at.join("two")).unwrap(); fs::rename(at.join("x"), at.join("a/third")).unwrap() },
                                                                            &[": not a hard link of the same file as in the source"]),
        (|at| lsetxattr(at.join("a/file"), "user.note", b"other", XattrFlags::empty()).unwrap(),
                                                                            &["\"a/file\": extended attribute \"user.note\" differs"]),
        (|at| lsetxattr(at.join("one"), "user.new", b"", XattrFlags::empty()).unwrap(),
                                                                            &["\"one\": extended attribute \"user.new\" differs"]),
        (|at| lsetxattr(at.join("empty"), "system.posix_acl_access", &ACL, XattrFlags::empty()).unwrap(),
                                                                            &["\"empty\": extended attribute \"system.posix_acl_access\" differs"]),
        (|at| lchown(at, Some(1), None).unwrap(),                           &["the root directory: owner: expected 0:0, found 1:0"]),
        (|at| fs::remove_dir(at.join("folder")).unwrap(),                   &["\"folder\": missing"]),
    ];
    for (n, (how, wants)) in cases.into_iter().enumerate() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        [&one, &other].into_iter().for_each(|root| tree().write(root.path()));
        if n == 19 {
            how(other.path());
            set_time_of(one.path(), other.path());
        } else {
            change(other.path(), how);
        }

        let found = compared(one.path(), other.path(), None).differences;

        let text = found.to_string();
        assert_eq!(found.count > 0, !wants.is_empty(), "{n}: {text}");
        for want in wants {
            assert!(text.contains(want), "{n}: {want} is not in {text}");
        }
    }
}

/// An ACL with an entry for a named user.
#[rustfmt::skip]
const ACL: [u8; 44] = [
    2, 0, 0, 0,
    0x01, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
    0x02, 0, 4, 0, 7, 0, 0, 0,
    0x04, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
    0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
    0x20, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,
];

/// Overwrites bytes at an offset and keeps the modification time.
fn rewrite(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let time = fs::metadata(path).and_then(|metadata| metadata.modified()).expect("a time");
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.write_all_at(bytes, at).and_then(|()| file.set_modified(time)).expect("other bytes");
}

/// Removes a path and makes it again.
fn again(path: &Path, make: impl FnOnce(&Path)) {
    fs::remove_file(path).expect("a file");
    make(path);
}

fn set_time_of(source: &Path, restored: &Path) {
    let time = fs::metadata(source).and_then(|metadata| metadata.modified()).expect("a time");
    fs::File::open(restored)
        .and_then(|directory| directory.set_modified(time))
        .expect("a directory");
}

#[test]
fn the_root_is_compared_with_the_time_that_it_will_get() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    set_time(one.path(), 5);
    let gets = |path: &Path| RestoredTree { path: other.path().into(), ..to_come(path) };
    let unknown = RestoredTree { path: other.path().into(), root_times: None };
    let now = format!("found {}", mtime(other.path()));
    let cases =
        [(gets(one.path()), None), (unknown, None), (gets(other.path()), Some(now.as_str()))];
    for (restored, want) in cases {
        let (source, progress) = (one.path().into(), ProgressSink::silent());
        let request = CompareRequest { source, restored, sample: None, progress };
        let found = compare_now(&request, &ComparedFiles::default(), &AtomicBool::new(false))
            .unwrap()
            .differences;
        assert_eq!(found.count, u64::from(want.is_some()), "{found}");
        assert!(found.to_string().contains(want.unwrap_or_default()), "{found}");
    }
}

fn mtime(path: &Path) -> String {
    let metadata = fs::metadata(path).expect("a directory");
    format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())
}

#[test]
fn a_tree_with_paths_beyond_the_length_limit_is_compared() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for root in [&one, &other] {
        // Each directory is moved into the next one.
        let name = "n".repeat(200);
        let (inner, outer) = (root.path().join("inner"), root.path().join("outer"));
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("deep"), "deep").unwrap();
        for _ in 0..30 {
            fs::create_dir(&outer).unwrap();
            fs::rename(&inner, outer.join(&name)).unwrap();
            fs::rename(&outer, &inner).unwrap();
        }
        let mut directory = entry::Dir::open(&inner).unwrap();
        for _ in 0..30 {
            let next = directory.path(OsStr::new(&name));
            directory = entry::Dir::open(&next).unwrap();
            fs::File::open(directory.path(OsStr::new(".")))
                .and_then(|it| it.set_modified(std::time::SystemTime::UNIX_EPOCH))
                .unwrap();
        }
        fs::File::options()
            .write(true)
            .open(directory.path(OsStr::new("deep")))
            .and_then(|it| it.set_modified(std::time::SystemTime::UNIX_EPOCH))
            .unwrap();
        set_time(&inner, 5);
        set_time(root.path(), 5);
    }

    let found = compared(one.path(), other.path(), None);

    assert_eq!(found.differences, Differences::default());
    assert_eq!((found.files_read, found.entries), (1, 33));
}

/// Writes a file of 20 GiB with this data at these offsets, and equal times.
fn write_sparse(root: &Path, data: &[(u64, &[u8])]) {
    let file = fs::File::create(root.join("disk")).unwrap();
    file.set_len(20 << 30).unwrap();
    data.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
    file.sync_all().unwrap();
    set_time(&root.join("disk"), 5);
    set_time(root, 5);
}

#[test]
fn holes_are_not_read() {
    let zeros = vec![0; 1 << 16];
    let (low, high) = (1 << 30, 19 << 30);
    type Data<'a> = &'a [(u64, &'a [u8])];
    #[rustfmt::skip]
    let cases: [(Data<'_>, Data<'_>, Option<u64>); 7] = [
        (&[],                            &[],                            None),
        (&[(low, b"a"), (high, b"b")],   &[(low, b"a"), (high, b"b")],   None),
        (&[(low, b"a"), (high, &zeros)], &[(low, b"a")],                 None),
        (&[(low, b"a")],                 &[(low, b"a"), (7, &zeros)],    None),
        (&[(low, b"a")],                 &[(low, b"a"), (high, b"b")],   Some(high)),
        (&[(low, b"a"), (high, b"b")],   &[(low, b"a")],                 Some(high)),
        (&[(high + 9, b"a")],            &[(high + 10, b"a")],           Some(high + 9)),
    ];
    for (n, (source, restored, differs)) in cases.into_iter().enumerate() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write_sparse(one.path(), source);
        write_sparse(other.path(), restored);

        let found = compared(one.path(), other.path(), None);

        let content = differs.map(|at| Mismatch::Content { at });
        let first = found.differences.first.first().map(|found| found.mismatch.clone());
        assert_eq!(first, content, "case {n}");
        assert!(found.bytes_read <= 1 << 20, "case {n}: {found:?}");
        assert_eq!((found.files_read, found.files_in_part), (1, 0));
    }
}

#[test]
fn a_sample_has_a_limit_in_bytes_and_spreads_it() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = s3up_testkit::noise(64 << 20);
    let mut changed = data.clone();
    // In the second half: a sample that stops after its limit would miss it.
    changed[40 << 20..56 << 20].fill(7);
    let root = [(one.path(), &data), (other.path(), &changed)];
    for (root, bytes) in root {
        fs::write(root.join("disk"), bytes).unwrap();
        set_time(&root.join("disk"), 5);
        set_time(root, 5);
    }
    let sampled = |restored: &Path, bytes_max| {
        let (source, progress) = (one.path().into(), ProgressSink::silent());
        let sample = Some(SampleLimits { files_max: 10, bytes_max });
        let request = CompareRequest { source, restored: to_come(restored), sample, progress };
        compare_now(&request, &ComparedFiles::default(), &AtomicBool::new(false)).unwrap()
    };

    let equal = sampled(one.path(), 8 << 20);
    let different = sampled(other.path(), 8 << 20);
    let whole = sampled(one.path(), 65 << 20);

    assert_eq!((equal.bytes_read, equal.files_in_part), (8 << 20, 1));
    assert_eq!(equal.differences.count, 0);
    assert_eq!(different.differences.count, 1, "{different:?}");
    assert!(different.bytes_read <= 8 << 20);
    assert_eq!((whole.bytes_read, whole.files_in_part), (64 << 20, 0));
}

#[test]
fn a_stopped_comparison_reads_no_file() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "a").unwrap();
    let (source, progress) = (root.path().into(), ProgressSink::silent());
    let request = CompareRequest {
        source,
        restored: to_come(root.path()),
        sample: Some(SampleLimits { files_max: 1, bytes_max: 1 }),
        progress,
    };

    let found = compare_now(&request, &ComparedFiles::default(), &AtomicBool::new(true)).unwrap();

    assert_eq!((found.entries, found.files_read), (1, 0));
}

#[test]
fn a_missing_tree_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let at = |source: &Path, restored: &Path, files_max: Option<u64>| {
        let restored = RestoredTree { path: restored.into(), root_times: None };
        let (source, progress) = (source.into(), ProgressSink::silent());
        let sample = files_max.map(|files_max| SampleLimits { files_max, bytes_max: 1 });
        let request = CompareRequest { source, restored, sample, progress };
        compare_now(&request, &ComparedFiles::default(), &AtomicBool::new(false))
            .unwrap_err()
            .to_string()
    };
    let none = Path::new("/no/such");
    assert_eq!(at(none, root.path(), None), "compare: read \"/no/such\"");
    assert_eq!(at(root.path(), none, None), "compare: read \"/no/such\"");
    assert_eq!(at(none, root.path(), Some(1)), "compare: read \"/no/such\"");
}
