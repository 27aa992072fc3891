use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const PLAIN: FileMetadata = FileMetadata { mtime_ns: None, mode: None };

#[test]
fn directories_are_created_and_a_file_appears_when_it_is_placed() {
    let dir = tempfile::tempdir().unwrap();
    let target = TargetDir::create(&dir.path().join("new/target")).unwrap();
    let metadata = FileMetadata { mtime_ns: Some(1_000_000_000_123_456_789), mode: Some(0o666) };

    let mut dirs = OpenDirs::new(&target);
    let mut new = dirs.new_file(Path::new("a/b/file"), &metadata, Placement::Free).unwrap();
    new.file.write_all(b"content").unwrap();
    let file = dir.path().join("new/target/a/b/file");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0, "no name yet");
    assert!(new.place().unwrap().is_none());

    assert_eq!(fs::read(&file).unwrap(), b"content");
    let found = fs::metadata(&file).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o666, "whatever the umask");
    let mtime = found.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(mtime.as_nanos(), 1_000_000_000_123_456_789);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn no_symlink_on_the_way_is_followed_and_none_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (outside, top) = (dir.path().join("outside"), dir.path().join("target"));
    fs::create_dir(&outside).unwrap();
    let target = TargetDir::create(&top).unwrap();
    symlink(&outside, top.join("link")).unwrap();
    symlink("../outside", top.join("relative")).unwrap();
    symlink(outside.join("x"), top.join("file")).unwrap();
    let mut dirs = OpenDirs::new(&target);

    for path in ["link/x", "relative/x", "link/new/x", "../outside/x"] {
        let err = dirs.new_file(Path::new(path), &PLAIN, Placement::Free).unwrap_err();
        assert_ne!(err.kind(), io::ErrorKind::NotFound, "{path}: {err}");
    }
    let new = dirs.new_file(Path::new("file"), &PLAIN, Placement::Free).unwrap();
    assert_eq!(new.place().unwrap_err().kind(), io::ErrorKind::AlreadyExists);

    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(fs::symlink_metadata(top.join("file")).unwrap().is_symlink());
}

#[test]
fn the_leftover_of_a_killed_restore_is_replaced_and_a_planted_one_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let target = TargetDir::create(dir.path()).unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    symlink(outside.path(), dir.path().join(temporary_name(OsStr::new("file")))).unwrap();

    let mut dirs = OpenDirs::new(&target);
    fs::write(dir.path().join("file"), "old").unwrap();
    let mut new = dirs.new_file(Path::new("file"), &PLAIN, Placement::Replace).unwrap();
    new.file.write_all(b"content").unwrap();
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"old");
    new.place().unwrap();

    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"content");
    assert_eq!(fs::metadata(outside.path()).unwrap().len(), 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_is_not_placed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = TargetDir::create(dir.path()).unwrap();
    let mut dirs = OpenDirs::new(&target);
    let longest = "n".repeat(255);
    for placement in [Placement::Free, Placement::Replace] {
        drop(dirs.new_file(Path::new(&longest), &PLAIN, placement).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

// Some filesystems have no files without a name.
#[test]
fn a_file_with_a_temporary_name_never_replaces_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let target = TargetDir::create(dir.path()).unwrap();
    let metadata = FileMetadata { mtime_ns: None, mode: Some(0o640) };
    let named = |content: &[u8]| {
        let temporary = temporary_name(OsStr::new("file"));
        let dir = Arc::new(target.directory(Path::new("")).unwrap());
        let mut file = create_named(&dir, &temporary, &metadata).unwrap();
        file.write_all(content).unwrap();
        let (temporary, name) = (Some(temporary), "file".into());
        NewFile { file, dir, temporary, name, metadata, placement: Placement::Free }
    };

    assert!(named(b"first").place().unwrap().is_none());
    let second = named(b"second").place().unwrap_err();

    assert_eq!(second.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"first");
    let found = fs::metadata(dir.path().join("file")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no leftover");
}

#[test]
fn a_second_restore_is_kept_away() {
    let dir = tempfile::tempdir().unwrap();
    let first = TargetDir::create(dir.path()).unwrap();
    let second = TargetDir::create(dir.path()).unwrap();
    assert!(first.lock().unwrap());
    assert!(!second.lock().unwrap());
    drop(first);
    assert!(second.lock().unwrap());
}
