//! Changes that leave a file's identity as it was, and identities that change
//! while the content does not.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::fixture::{Host, World, until};
use crate::mounts::{Kind, Mount};
use crate::process::Process;

#[tokio::test]
async fn a_store_into_a_mapped_page_that_is_dirty_is_found_by_the_next_scan() {
    let world = World::start().await;
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let Some(mount) = Mount::new(kind) else { return };
        let host = Host::on(&world.url(), &mount.path, kind.name());
        let mut mapped = Mapped::new(&host.up.join("file"));
        mapped.store(b'1');
        assert!(host.scan().await.is_clean());
        assert_eq!(host.content("file").await[0], b'1');

        mapped.store(b'2');
        let pending = host.status().await.total.pending.files;
        host.scan().await;

        assert_eq!(pending, 1, "{kind:?}: status does not see the change");
        assert_eq!(host.content("file").await[0], b'2', "{kind:?}");
        drop(mapped);
    }
}

#[tokio::test]
async fn the_last_store_through_a_mapping_is_stored_once_it_is_unmapped() {
    let world = World::start().await;
    for kind in [Kind::Tmpfs, Kind::Overlay, Kind::Ext4] {
        let Some(mount) = Mount::new(kind) else { return };
        let host = Host::on(&world.url(), &mount.path, kind.name());
        let agent = host.started().await;
        let mut mapped = Mapped::new(&host.up.join("file"));
        mapped.store(b'1');
        let want = |first: u8| [&[first], &[b'-'; 4095][..]].concat();
        host.until_stored("file", want(b'1')).await;
        host.until_nothing_is_pending().await;

        mapped.store(b'2');
        drop(mapped);

        host.until_stored("file", want(b'2')).await;
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_second_change_within_a_second_is_stored_where_stamps_are_whole_seconds() {
    let Some(mount) = Mount::new(Kind::Ext4WholeSeconds) else { return };
    let world = World::start().await;
    let host = Host::on(&world.url(), &mount.path, "seconds");
    let agent = host.started().await;

    for n in 0..5 {
        let (first, second) = (format!("first {n}"), format!("other {n}"));
        host.write("file", &first);
        until("its first version had its time", async || {
            let file = host.stored("file").await;
            file.is_some_and(|file| {
                file.sha256 == Some(s3up_core::Sha256Digest::of(first.as_bytes()))
            })
        })
        .await;
        host.write("file", &second);
        host.until_stored("file", &second).await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn content_replaced_with_size_and_times_kept_is_stored_where_there_is_no_ctime() {
    let Some(mount) = Mount::new(Kind::Sshfs) else { return };
    let world = World::start().await;
    let host = Host::on(&world.url(), &mount.path, "sshfs");
    let agent = host.started().await;
    let other = host.dir.path().join("other");
    let replace: [&[&str]; 2] =
        [&["cp", "-p"], &["rsync", "--inplace", "--times", "--ignore-times"]];
    for (n, command) in replace.into_iter().enumerate() {
        let (first, second) = (format!("first {n}"), format!("other {n}"));
        host.write("file", &first);
        host.until_stored("file", &first).await;
        host.until_nothing_is_pending().await;
        let target = host.up.join("file");
        std::fs::write(&other, &second).unwrap();
        shell(Command::new("touch").arg("-r").arg(&target).arg(&other));

        shell(Command::new(command[0]).args(&command[1..]).arg(&other).arg(&target));

        host.until_stored("file", &second).await;
        until("it is protected", async || host.status().await.total.pending.files == 0).await;
    }
    agent.stop().await;
    // A change like these that is made now is not seen by a scan, so the status says so.
    let files = host.status().await.watches[0].files.clone();
    assert_eq!((files.counts.protected.files, files.unprovable), (2, 2));
    let text = Process::output(&host, &["status"]).await.stdout;
    assert!(
        text.contains("\n  not provable: 2 of the protected, on a filesystem without"),
        "{text}"
    );
}

#[tokio::test]
async fn files_with_new_inode_numbers_after_a_remount_are_not_read_again() {
    let world = World::start().await;
    for kind in [Kind::Mergerfs, Kind::Sshfs, Kind::Bindfs] {
        let Some(mut mount) = Mount::new(kind) else { return };
        let host = Host::on(&world.url(), &mount.path, kind.name());
        for n in 0..5 {
            host.write(format!("{n}"), format!("content {n}"));
        }
        assert!(host.scan().await.is_clean());

        mount.remount();
        // Numbers are given in the order of the first look.
        for n in (0..5).rev() {
            std::fs::metadata(host.up.join(format!("{n}"))).unwrap();
        }

        let total = host.status().await.total;
        assert_eq!((total.protected.files, total.pending.files), (5, 0), "{kind:?}");
    }
}

#[tokio::test]
async fn an_unmounted_root_with_one_new_file_is_not_taken_for_a_deleted_tree() {
    let Some(mut mount) = Mount::new(Kind::Ext4) else { return };
    let world = World::start().await;
    let host = Host::on(&world.url(), &mount.path, "ext4");
    for n in 0..5 {
        host.write(format!("{n}"), format!("content {n}"));
    }
    assert!(host.scan().await.is_clean());

    mount.unmount();
    std::fs::create_dir(&host.up).unwrap();
    host.write("3", "content from below the mount point");
    let unmounted = host.scan().await;
    mount.mount();
    let back = host.scan().await;

    let error = unmounted.scan_errors.first().unwrap_or_else(|| panic!("{unmounted}"));
    assert!(error.contains("found another one without 4 of the 5 known files"), "{error}");
    assert_eq!((back.uploaded, back.is_clean()), (1, true), "only the file that is another one");
    assert_eq!(host.status().await.total.protected.files, 5);
}

/// A process that has mapped a file.
pub struct Mapped {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Mapped {
    pub fn new(file: &Path) -> Mapped {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/mapped.py");
        let mut child = Command::new("python3")
            .arg(program)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let answers = BufReader::new(child.stdout.take().expect("its output"));
        Mapped { child, answers }
    }

    pub fn store(&mut self, byte: u8) {
        let input = self.child.stdin.as_mut().expect("its input");
        input.write_all(&[byte, b'\n']).expect("a living process");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "stored\n");
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().expect("an ended process");
    }
}

fn shell(command: &mut Command) {
    let output = command.output().expect("a program that starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
