//! One backup into a real bucket at AWS and back, if the environment names a bucket.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use s3up_testkit::{
    AwsBucket, BtrfsFs, Tree, assert_same_tree, btrfs_or_skip, dir, file, noise, temp_dir,
};
use tokio::process::Command;

use crate::fixture::{CHUNK, PART};

const FILESYSTEM_BYTES: u64 = 2 << 30;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_and_an_incremental_are_restored_from_a_real_bucket() {
    let Some(bucket) = AwsBucket::from_env_or_skip().await else { return };
    if !btrfs_or_skip() {
        return;
    }
    let fs = BtrfsFs::create(FILESYSTEM_BYTES);
    let (data, target) = (fs.subvolume("data"), fs.path().join("restored"));
    let directory = temp_dir();
    let config = directory.path().join("config.toml");
    fs::create_dir(fs.path().join("snapshots")).unwrap();
    fs::write(&config, configuration(&bucket, fs.path(), directory.path())).unwrap();

    Tree::new([dir("a"), file("a/big", noise(CHUNK + PART)), file("small", "1")]).write(&data);
    let full = run(&config, &["backup", "--once"]).await;
    Tree::new([file("small", "2"), file("a/new", noise(PART))]).write(&data);
    let incremental = run(&config, &["backup", "--once"]).await;
    let target_name = target.to_str().unwrap();
    let restored = run(&config, &["restore", "--subvolume", "data", "--target", target_name]).await;

    let cleaned = bucket.clean().await;
    assert_eq!([full, incremental, restored, cleaned], [const { Ok(()) }; 4]);
    assert_same_tree(&data, &target);
}

/// Returns a configuration with a storage class that is read without a thaw.
fn configuration(bucket: &AwsBucket, fs: &Path, directory: &Path) -> String {
    format!(
        "[global]\nlock_path = {:?}\n[snapshots]\nbase_dir = {:?}\n\
         [subvolumes]\npaths = [{:?}]\n[s3]\nbucket = {:?}\nregion = {:?}\n\
         prefix = {:?}\nstorage_class_chunks = {:?}\n\
         part_size_bytes = {PART}\nchunk_size_bytes = {CHUNK}\nretry_hours = 0.02\n",
        directory.join("lock"),
        fs.join("snapshots"),
        fs.join("data"),
        bucket.name,
        bucket.region,
        bucket.prefix,
        bucket.storage_class,
    )
}

/// Runs the program with the credentials of the environment. The error is its stderr.
async fn run(config: &Path, arguments: &[&str]) -> Result<(), String> {
    let program = env!("CARGO_BIN_EXE_btrfs-to-s3");
    let mut command = Command::new(program);
    command.arg("--config").arg(config).args(arguments);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.expect("the program");
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{arguments:?}: {said}")) }
}
