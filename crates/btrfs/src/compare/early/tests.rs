use std::fs;
use std::os::unix::fs::FileExt;

use super::*;

const LEN: u64 = 1 << 20;

fn late() -> SystemTime {
    s3up_testkit::CLOCK.now() + Duration::from_secs(60)
}

/// Returns the two trees of one file, and the paths of both files.
fn trees(source: &[u8], restored: &[u8]) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("source/a/file"), dir.path().join("received/s/a/file"));
    for (path, content) in [(&one, source), (&other, restored)] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    (dir, one, other)
}

async fn compared(dir: &Path, now: fn() -> SystemTime) -> ComparedFiles {
    let (source, received) = (dir.join("source"), dir.join("received"));
    let early = EarlyComparison::start(&source, &received, now).unwrap();
    let mut files = early.files();
    files.add(vec!["s/a/file".into(), "s/a".into(), "s/none".into(), "../source/a/file".into()]);
    files.add(Vec::new());
    early.end(&ShutdownSignal::listen()).await
}

fn bytes_of(compared: &ComparedFiles, one: &Path, other: &Path) -> Option<u64> {
    compared.bytes_of(&fs::metadata(one).unwrap(), &fs::metadata(other).unwrap())
}

#[tokio::test]
async fn an_equal_file_counts_until_it_is_changed() {
    let content = s3up_testkit::noise(LEN);
    type Change = fn(&Path);
    let changes: [Change; 4] = [
        |path| fs::File::options().write(true).open(path).unwrap().write_all_at(b"x", 7).unwrap(),
        |path| fs::File::options().write(true).open(path).unwrap().set_len(1).unwrap(),
        // The modification time does not tell.
        |path| {
            let before = fs::metadata(path).unwrap().modified().unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.write_all_at(b"x", 7).unwrap();
            file.set_modified(before).unwrap();
        },
        |path| {
            fs::rename(path, path.with_extension("old")).unwrap();
            fs::write(path, s3up_testkit::noise(LEN)).unwrap();
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let (dir, one, other) = trees(&content, &content);
        let all = compared(dir.path(), late).await;
        assert_eq!(bytes_of(&all, &one, &other), Some(LEN), "{n}");

        change(&other);

        assert_eq!(bytes_of(&all, &one, &other), None, "{n}");
    }
}

#[tokio::test]
async fn a_file_that_differs_is_left_to_the_comparison_at_the_end() {
    let content = s3up_testkit::noise(LEN);
    let last = content.len() - 1;
    let changed = |at: usize| {
        let mut changed = content.clone();
        changed[at] ^= 1;
        changed
    };
    for restored in [changed(0), changed(last), content[..last].to_vec(), Vec::new()] {
        let (dir, one, other) = trees(&content, &restored);
        let all = compared(dir.path(), late).await;
        assert_eq!(bytes_of(&all, &one, &other), None, "{} bytes", restored.len());
    }
}

/// A later change could have the same ctime.
#[tokio::test]
async fn a_ctime_that_is_too_young_proves_nothing() {
    let content = s3up_testkit::noise(LEN);
    let (dir, one, other) = trees(&content, &content);
    let all = compared(dir.path(), || SystemTime::UNIX_EPOCH).await;
    assert_eq!(bytes_of(&all, &one, &other), None);
}

#[test]
fn a_ctime_settles_after_two_ticks() {
    let at = |nanos: u64| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    #[rustfmt::skip]
    let cases = [
        // ctime           now            nanoseconds left
        ((1, 0),           1_020_000_000, None),
        ((1, 0),           1_019_999_999, Some(1)),
        ((1, 0),           999_999_999,   Some(20_000_000)),
        ((0, 999_999_999), 1_019_999_999, None),
        ((-1, 0),          0,             Some(20_000_000)),
    ];
    for (ctime, now, want) in cases {
        let left = until_settled(ctime, at(now));
        assert_eq!(left, want.map(Duration::from_nanos), "{ctime:?} {now}");
    }
}

#[test]
fn a_limited_number_of_files_is_remembered() {
    let mut all = ComparedFiles::default();
    let compared = Compared { changed: (1, 0), len: 1, bytes_read: 1 };
    for n in 0..=COMPARED_MAX as u64 {
        all.add(Inodes { source: n, restored: n }, compared);
    }
    assert_eq!(all.files.len(), COMPARED_MAX);
}
