//! The files that are uploaded, their content and their names.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use s3up::scanning::walk::Exclusion;
use s3up_devstore::Op;

use crate::fixture::{Host, MIB, World, noise, until};
use crate::process::Process;

#[tokio::test]
async fn files_of_any_length_come_back_unchanged() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let lengths = [0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB];
    for len in lengths {
        host.write(format!("len-{len}"), noise(len));
    }

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, lengths.len() as u64);
    for len in lengths {
        assert!(host.content(format!("len-{len}")).await == noise(len), "{len} bytes changed");
    }
}

#[tokio::test]
async fn a_file_with_any_name_that_linux_allows_is_stored() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let names: [&[u8]; 12] = [
        b"caf\xe9.jpg",
        b"caf%E9.jpg",
        "caf\u{e9}.jpg".as_bytes(),
        "cafe\u{301}.jpg".as_bytes(),
        b"new\nline",
        b"back\\slash",
        b" space at the ends ",
        b"100% +#?&\"'<>",
        b"%2e%2e",
        b"...",
        b"-rf",
        "\u{1f600}\u{202e}".as_bytes(),
    ];
    for name in names {
        host.write(Path::new(OsStr::from_bytes(name)), name);
    }

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    for name in names {
        assert_eq!(host.content(Path::new(OsStr::from_bytes(name))).await, name, "{name:?}");
    }
}

#[tokio::test]
async fn symlinks_and_special_files_are_excluded_and_not_stored() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let secret = host.dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("passwd"), "root").unwrap();
    std::os::unix::fs::symlink(secret.join("passwd"), host.up.join("link")).unwrap();
    std::os::unix::fs::symlink(&secret, host.up.join("folder")).unwrap();
    std::os::unix::fs::symlink(".", host.up.join("loop")).unwrap();
    mknodat(CWD, host.up.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    host.write("plain", "text");

    let summary = host.scan().await;
    let status = host.status().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, 1);
    assert_eq!(status.total.excluded.files, 4);
    assert_eq!(status.total.total().files, 5);
    for name in ["link", "folder/passwd", "loop/plain", "fifo"] {
        assert_eq!(host.stored(name).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_file_with_a_new_date_only_is_not_sent_again() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("small", "text");
    host.write("big", noise(9 * MIB));
    host.scan().await;
    let calls = [Op::PutObject, Op::UploadPart].map(|op| world.calls(op));
    for name in ["small", "big"] {
        let file = fs::File::options().write(true).open(host.up.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    }
    assert_eq!(host.status().await.total.pending.files, 2);

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!(summary.uploaded, 0);
    assert_eq!([Op::PutObject, Op::UploadPart].map(|op| world.calls(op)), calls);
    for name in ["small", "big"] {
        assert_eq!(host.stored(name).await.unwrap().mtime_ns, Some(0), "{name}");
    }
    assert_eq!(host.status().await.total.protected.files, 2);
}

#[tokio::test]
async fn content_replaced_with_the_same_size_and_mtime_is_uploaded() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", "before");
    host.scan().await;
    let date = fs::metadata(host.up.join("file")).unwrap().modified().unwrap();
    host.write("file", "after!");
    let file = fs::File::options().write(true).open(host.up.join("file")).unwrap();
    file.set_modified(date).unwrap();

    host.scan().await;

    assert_eq!(host.content("file").await, b"after!");
}

#[tokio::test]
async fn after_the_database_is_lost_no_file_is_stored_twice_with_upload_existing() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("small", "text");
    host.write("big", noise(9 * MIB));
    host.scan().await;
    let before = (host.stored("small").await.unwrap(), host.stored("big").await.unwrap());
    fs::remove_dir_all(host.dir.path().join("state")).unwrap();

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    let after = (host.stored("small").await.unwrap(), host.stored("big").await.unwrap());
    assert_eq!(after.0.sha256, before.0.sha256);
    assert_eq!(after.0.version_id, before.0.version_id, "the small file was stored again");
    assert_eq!(after.1.version_id, before.1.version_id, "the big file was stored again");
    assert_eq!(host.status().await.total.protected.files, 2);
}

#[tokio::test]
async fn a_file_over_a_limit_is_a_problem_and_the_others_are_stored() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.write("small", "text");
    host.write("over the gateway's limit", noise(31 * MIB));

    let summary = host.scan().await;

    assert_eq!((summary.uploaded, summary.failed.len()), (1, 1), "{summary}");
    assert!(summary.failed[0].1.contains("413"), "{summary}");
    assert_eq!(host.status().await.total.problems.files, 1);
    assert_eq!(host.content("small").await, b"text");
    assert_eq!(host.stored("over the gateway's limit").await, None);

    host.add("upload: { max_file_size_mb: 20 }\n");
    host.edit("upload: { retry_attempts: 3, retry_delay_seconds: 0.05 }\n", "");
    let problems = host.status().await.watches[0].files.problems.clone();
    assert!(
        problems[0]
            .problem
            .to_string()
            .contains("expected at most 20 MiB (upload.max_file_size_mb)"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_refused_file_is_retried_when_it_changes() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    host.write("file", noise(31 * MIB));
    let agent = host.start().await;
    until("it is a problem", async || host.status().await.total.problems.files == 1).await;

    host.write("file", "shorter");

    host.until_stored("file", "shorter").await;
    let status = host.until_nothing_is_pending().await;
    assert_eq!((status.total.protected.files, status.total.problems.files), (1, 0));
    agent.stop().await;
}

#[tokio::test]
async fn excluded_entries_are_counted_and_not_stored() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\", \"/cache/\"]\n");
    host.write("a.txt", "a");
    host.write("a.tmp", "a");
    host.write("cache/one", "1");
    host.write("cache/two", "2");
    let agent = host.start().await;
    host.until_stored("a.txt", "a").await;
    host.write("b.tmp", "b");
    host.write("cache/three", "3");
    host.write("b.txt", "b");
    host.until_stored("b.txt", "b").await;

    let status = host.until_nothing_is_pending().await;

    assert_eq!(status.total.protected.files, 2);
    assert_eq!(status.total.excluded.files, 3, "two files and one directory");
    assert_eq!(host.stored("b.tmp").await, None);
    assert_eq!(host.stored("cache/three").await, None);
    agent.stop().await;
}

#[tokio::test]
async fn a_watch_that_is_not_recursive_stores_the_files_of_its_root_only() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("\"uploads/\" }", "\"uploads/\", recursive: false }");
    host.write("before", "before");
    host.write("sub/before", "before");
    let excluded = async || {
        let status = host.status().await;
        assert_eq!(status.total.excluded.files, 1, "the directory");
        status.watches[0].files.excluded.clone()
    };
    let reason = BTreeMap::from([(Exclusion::NotRecursive, 1)]);

    let summary = host.scan().await;

    assert!(summary.is_clean(), "{summary}");
    assert_eq!((summary.uploaded, excluded().await), (1, reason.clone()));
    assert_eq!(host.stored("sub/before").await, None);
    let agent = host.started().await;

    host.write("sub/f", "below");
    host.write("new/f", "below");
    host.write("f", "in the root");

    host.until_stored("f", "in the root").await;
    fs::remove_dir_all(host.up.join("new")).unwrap();
    let status = host.until_nothing_is_pending().await;
    assert_eq!(status.total.protected.files, 3, "before, marker and f");
    assert_eq!(excluded().await, reason);
    for path in ["sub/before", "sub/f", "new/f"] {
        assert_eq!(host.stored(path).await, None, "{path}");
    }
    let path = host.up.join("sub/f").display().to_string();
    let shown = Process::output(&host, &["status", &path]).await;
    assert!(shown.stdout.contains("watch is not recursive"), "{shown:?}");
    agent.stop().await;
}

#[tokio::test]
async fn the_states_add_up_to_what_is_on_disk() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.add("exclude: [\"*.tmp\"]\n");
    for n in 0..700 {
        host.write(format!("{}/{}/file-{n}.{}", n % 7, n % 3, ["txt", "tmp"][n % 2]), [0]);
    }
    std::os::unix::fs::symlink("x", host.up.join("link")).unwrap();
    host.scan().await;
    host.write("new", "new");

    let total = host.status().await.total;

    assert_eq!(total.total().files, count_entries(&host.up));
    assert_eq!((total.protected.files, total.pending.files), (350, 1));
    assert_eq!((total.excluded.files, total.problems.files), (351, 0));
}

/// All entries but directories, counted another way.
fn count_entries(dir: &Path) -> u64 {
    let count = |entry: fs::DirEntry| {
        let is_directory = entry.file_type().expect("a file type").is_dir();
        if is_directory { count_entries(&entry.path()) } else { 1 }
    };
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| count(entry.expect("an entry"))).sum()
}

#[tokio::test]
async fn a_file_that_never_settles_is_a_logged_problem_until_it_stops_changing() {
    let world = World::start().await;
    let host = Host::new(&world.url());
    let mut agent = Process::start(&host, &["run"]);
    let writing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (path, flag) = (host.up.join("log"), writing.clone());
    let writer = tokio::task::spawn_blocking(move || {
        let mut lines = 0;
        while flag.load(std::sync::atomic::Ordering::Relaxed) {
            lines += 1;
            fs::write(&path, format!("{lines}")).unwrap();
        }
        lines
    });
    until("it is a problem", async || {
        host.scanned_once().await && host.status().await.total.problems.files == 1
    })
    .await;

    writing.store(false, std::sync::atomic::Ordering::Relaxed);
    let lines = writer.await.unwrap();

    host.until_stored("log", format!("{lines}")).await;
    until("it is protected", async || host.status().await.total.protected.files == 1).await;
    agent.terminate();
    assert_eq!(agent.wait().await, Some(0), "{}", agent.log());
    let log = agent.log();
    let warning = log.lines().find(|line| line.contains("kind=never_settled"));
    let path = format!("path={}", host.up.join("log").display());
    let wanted = ["level=warn", "event=file_problem", &path];
    assert!(
        warning.is_some_and(|line| wanted.iter().all(|want| line.contains(want))),
        "{warning:?} in {log}"
    );
}

#[tokio::test]
async fn a_file_that_never_settles_is_uploaded_as_it_is_if_configured() {
    let world = World::start().await;
    let mut host = Host::new(&world.url());
    host.edit("max_attempts: 8", "max_attempts: 2, on_max_attempts: upload");
    let agent = host.start().await;
    let writing = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (path, flag) = (host.up.join("log"), writing.clone());
    let writer = tokio::task::spawn_blocking(move || {
        while flag.load(std::sync::atomic::Ordering::Relaxed) {
            fs::write(&path, "always the same length").unwrap();
        }
    });

    until("it is stored", async || host.stored("log").await.is_some()).await;
    until("it is a problem", async || {
        let status = host.status().await;
        let problems = &status.watches[0].files.problems;
        // The second if a copy happened to be of one version.
        let hot = ["uploaded as it was", "changes more often than an upload takes"];
        let reason = problems.first().map(|listed| listed.problem.to_string());
        reason.is_some_and(|reason| hot.iter().any(|text| reason.contains(text)))
    })
    .await;

    writing.store(false, std::sync::atomic::Ordering::Relaxed);
    writer.await.unwrap();
    host.until_stored("log", "always the same length").await;
    until("it is protected", async || host.status().await.total.protected.files == 1).await;
    agent.stop().await;
}
