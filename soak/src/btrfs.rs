//! A btrfs host: subvolumes that change, and runs of `btrfs-to-s3`, some of which are killed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use s3up_testkit::{BtrfsFs, CLOCK, delete_subvolume, differences, observe};

use crate::events::LinkName;
use crate::files;
use crate::random::Random;
use crate::storm::Counts;
use crate::world::{SNAPSHOTS, World};

const FILESYSTEM_BYTES: u64 = 2 << 30;
const SUBVOLUMES: [&str; 2] = ["data", "home"];
const PART_BYTES: u64 = 5 << 20;
const CHUNK_BYTES: u64 = 11 << 20;
/// Exit codes of a run that the storm does not let succeed.
const FAILED: [i32; 3] = [1, 3, 75];
/// Name of the staging directory of `restore --path`.
const FILES_STAGING: &str = ".btrfs-to-s3-restore-files";
/// Number of manifests that are restored and compared at the end.
const COMPARED_MAX: usize = 12;

/// A run of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    Backup(&'static str),
    Prune,
    Verify,
    Restore,
    /// `restore --path`, into a directory of its own.
    RestoreFiles,
}

pub struct BtrfsHost {
    fs: BtrfsFs,
    /// Own snapshots of each snapshot that was backed up, by its name.
    model: BTreeMap<String, PathBuf>,
    /// Number of restores that are complete.
    restores: u64,
}

impl BtrfsHost {
    /// Returns `None`, and prints why, if this machine cannot mount a btrfs.
    pub fn start_or_skip(world: &World) -> anyhow::Result<Option<BtrfsHost>> {
        if !s3up_testkit::btrfs_or_skip() {
            return Ok(None);
        }
        let fs = BtrfsFs::create(FILESYSTEM_BYTES);
        for directory in ["snapshots", "model"] {
            fs::create_dir(fs.path().join(directory)).context("create a directory")?;
        }
        let paths = SUBVOLUMES.map(|name| fs.subvolume(name));
        let text = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n[snapshots]\nbase_dir = {:?}\n\
             [schedule]\nrun_at = \"00:00\"\n[subvolumes]\npaths = {paths:?}\n[s3]\n\
             bucket = \"{SNAPSHOTS}\"\nregion = \"us-east-1\"\nprefix = \"nas\"\n\
             endpoint = \"http://{}\"\nstorage_class_chunks = \"STANDARD\"\n\
             part_size_bytes = {PART_BYTES}\nchunk_size_bytes = {CHUNK_BYTES}\n\
             retry_hours = 0.003\n[retention]\nkeep_days = 0\n",
            world.directory.join("btrfs.lock"),
            world.directory.join("btrfs.state"),
            fs.path().join("snapshots"),
            world.link(LinkName::BtrfsToS3).address,
        );
        fs::write(world.directory.join("config.toml"), text).context("write config.toml")?;
        Ok(Some(BtrfsHost { fs, model: BTreeMap::new(), restores: 0 }))
    }

    /// Changes the subvolumes and runs the program for `time`.
    pub async fn storm(
        &mut self,
        world: &World,
        counts: &Counts,
        mut random: Random,
        time: Duration,
    ) -> anyhow::Result<()> {
        let began = CLOCK.start();
        while began.elapsed() < time {
            self.change(&mut random);
            let run = match random.below(14) {
                0..=5 => Run::Backup("--once"),
                6 | 7 => Run::Backup("--full"),
                8 => Run::Prune,
                9 => Run::Verify,
                10 | 11 => Run::Restore,
                _ => Run::RestoreFiles,
            };
            let kill_after = random.one_in(2).then(|| random.millis(0, 3000));
            let code = self.run(world, &run, kill_after).await?;
            let kind = match (&run, code) {
                (_, None) => "btrfs-to-s3 killed".to_owned(),
                (Run::Backup(_), Some(0)) => "btrfs backup".to_owned(),
                (Run::Prune, Some(0)) => "btrfs prune".to_owned(),
                (Run::Verify, Some(0)) => "btrfs verify".to_owned(),
                (Run::Restore, Some(0)) => "btrfs restore".to_owned(),
                (Run::RestoreFiles, Some(0)) => "btrfs restore --path".to_owned(),
                (_, Some(code)) => {
                    ensure!(FAILED.contains(&code), "{run:?}: exit code {code}");
                    "btrfs-to-s3 failed in the storm".to_owned()
                }
            };
            counts.add(&kind);
        }
        Ok(())
    }

    fn change(&self, random: &mut Random) {
        for name in SUBVOLUMES {
            for _ in 0..random.below(20) {
                // A change that does not fit the state of the disk does nothing.
                files::change(&self.fs.path().join(name), random).ok();
            }
        }
    }

    /// Runs the program. Returns its exit code, or `None` if it was killed.
    async fn run(
        &mut self,
        world: &World,
        run: &Run,
        kill_after: Option<Duration>,
    ) -> anyhow::Result<Option<i32>> {
        if *run == Run::Restore && self.restore_is_complete() {
            // The last one was killed at its very end.
            self.remove_restored();
        }
        let target = self.target().display().to_string();
        let files = self.files_target().display().to_string();
        let arguments = match run {
            Run::Backup(how) => vec!["backup", how],
            Run::Prune => vec!["prune"],
            Run::Verify => vec!["verify"],
            Run::Restore => {
                vec!["restore", "--subvolume", "data", "--target", &target, "--no-keep-parent"]
            }
            Run::RestoreFiles => {
                // What a killed one has left may be of an earlier backup.
                let restore = ["restore", "--subvolume", "data", "--path", "/", "--overwrite"];
                [&restore[..], &["--target", &files]].concat()
            }
        };
        let code = self.run_arguments(world, &arguments, kill_after).await?;
        match (run, code) {
            (Run::Backup(_), Some(0 | 3)) => self.keep_snapshots()?,
            (Run::Restore, Some(0)) => self.remove_restored(),
            (Run::RestoreFiles, Some(0)) => {
                let target = self.files_target();
                let staging = target.join(FILES_STAGING);
                ensure!(!staging.exists(), "{staging:?} is left after a restore");
                fs::remove_dir_all(target).context("remove restored files")?;
            }
            _ => {}
        }
        Ok(code)
    }

    async fn run_arguments(
        &self,
        world: &World,
        arguments: &[&str],
        kill_after: Option<Duration>,
    ) -> anyhow::Result<Option<i32>> {
        let log = world.directory.join("logs/btrfs-to-s3.log");
        let log = || File::options().create(true).append(true).open(&log);
        let mut command = world.command("btrfs-to-s3");
        command.arg("--config").arg(world.directory.join("config.toml"));
        command.args(["--log-format", "logfmt"]).args(arguments).stdin(Stdio::null());
        command.stdout(log().context("open a log")?).stderr(log().context("open a log")?);
        let mut child =
            tokio::process::Command::from(command).spawn().context("start btrfs-to-s3")?;
        let killed = async {
            match kill_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            status = child.wait() => return Ok(Some(status.context("wait for btrfs-to-s3")?.code().unwrap_or(-1))),
            () = killed => {}
        }
        child.kill().await.context("kill btrfs-to-s3")?;
        Ok(None)
    }

    /// Returns true if the target is there and the restore has removed its staging directory.
    fn restore_is_complete(&self) -> bool {
        let name = self.target().file_name().map(|name| name.to_string_lossy().into_owned());
        let staging = format!(".{}.btrfs-to-s3-restore", name.unwrap_or_default());
        self.target().exists() && !self.fs.path().join(staging).exists()
    }

    fn remove_restored(&mut self) {
        delete_subvolume(&self.target());
        self.restores += 1;
    }

    fn target(&self) -> PathBuf {
        self.fs.path().join(format!("restored-{}", self.restores))
    }

    fn files_target(&self) -> PathBuf {
        self.fs.path().join("restored-files")
    }

    /// Makes an own snapshot of each new snapshot of the program.
    fn keep_snapshots(&mut self) -> anyhow::Result<()> {
        for entry in fs::read_dir(self.fs.path().join("snapshots")).context("list snapshots")? {
            let entry = entry.context("list snapshots")?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && !self.model.contains_key(&name) {
                let own = self.fs.snapshot(&entry.path(), format!("model/{name}"));
                self.model.insert(name, own);
            }
        }
        Ok(())
    }

    /// Lets everything that was interrupted be completed, without a manual step.
    pub async fn rest(&mut self, world: &World) -> anyhow::Result<()> {
        for run in [
            Run::Backup("--once"),
            Run::Restore,
            Run::RestoreFiles,
            Run::Backup("--once"),
            Run::Verify,
        ] {
            let code = self.run(world, &run, None).await?;
            ensure!(code == Some(0), "{run:?} after the storm: exit code {code:?}");
        }
        let code = self.run_arguments(world, &["verify", "--deep"], None).await?;
        ensure!(code == Some(0), "verify --deep after the storm: exit code {code:?}");
        Ok(())
    }

    /// Restores backups, given by manifest and name of the snapshot, and compares each with the own
    /// snapshot. Returns how many were compared.
    pub async fn compare<'b>(
        &self,
        world: &World,
        backups: impl Iterator<Item = (&'b str, &'b str)>,
    ) -> anyhow::Result<u64> {
        let mut count = 0;
        for (manifest, snapshot) in backups.take(COMPARED_MAX) {
            // A run that was killed after it published has no own snapshot here.
            let Some(own) = self.model.get(snapshot) else { continue };
            let subvolume = snapshot.split("__").next().unwrap_or_default();
            let target = self.fs.path().join("compared");
            let text = target.display().to_string();
            let arguments = [
                "restore",
                "--subvolume",
                subvolume,
                "--manifest-key",
                manifest,
                "--target",
                &text,
                "--verify",
                "none",
                "--no-keep-parent",
            ];
            let code = self.run_arguments(world, &arguments, None).await?;
            ensure!(code == Some(0), "restore {manifest}: exit code {code:?}");
            let found = differences(&observe(own), &observe(&target));
            ensure!(found.is_empty(), "{manifest} differs from {snapshot}: {found:#?}");
            delete_subvolume(&target);
            self.compare_files(world, manifest, own).await?;
            count += 1;
        }
        Ok(count)
    }

    /// Restores one file of a backup, and then everything, with `restore --path`, and compares both
    /// with the own snapshot.
    async fn compare_files(&self, world: &World, manifest: &str, own: &Path) -> anyhow::Result<()> {
        let snapshot = own.file_name().map(|name| name.to_string_lossy().into_owned());
        let snapshot = snapshot.unwrap_or_default();
        let subvolume = snapshot.split("__").next().unwrap_or_default();
        let target = self.fs.path().join("compared-files");
        let text = target.display().to_string();
        let file = files::files_below(own).context("list the own snapshot")?.into_iter().next();
        let file = file.map(|file| file.display().to_string());
        for path in file.iter().map(String::as_str).chain(["/"]) {
            let restore = ["restore", "--subvolume", subvolume, "--manifest-key", manifest];
            let arguments = [&restore[..], &["--path", path, "--target", &text]].concat();
            let code = self.run_arguments(world, &arguments, None).await?;
            ensure!(code == Some(0), "restore {path} of {manifest}: exit code {code:?}");
            match path {
                "/" => {
                    let found = differences(&observe(own), &observe(&target));
                    let what = format!("the files of {manifest} differ from {snapshot}");
                    ensure!(found.is_empty(), "{what}: {found:#?}");
                }
                path => {
                    let names = files::files_below(&target).context("list the restored file")?;
                    ensure!(names == [Path::new(path)], "{path} was wanted, found {names:?}");
                    let read = |root: &Path| fs::read(root.join(path)).context("read a file");
                    ensure!(read(own)? == read(&target)?, "{path} of {manifest} differs");
                }
            }
            fs::remove_dir_all(&target).context("remove restored files")?;
        }
        Ok(())
    }
}
