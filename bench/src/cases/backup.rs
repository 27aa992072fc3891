//! A subvolume into S3 by `btrfs-to-s3 backup`, and by the peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use s3up_testkit::{BtrfsFs, delete_subvolume};

use crate::clients::{self, BUCKET, Peers, REGION};
use crate::load::engine;
use crate::measure::{Contender, run_in_turn};
use crate::noise::write_noise;
use crate::report::{Rate, Report};
use crate::server::Server;
use crate::units::{GIB, MIB};
use crate::workspace::Workspace;

const FILE_BYTES: u64 = 64 * MIB;
/// Length of a part that takes less time to hash and send than S3 takes to answer.
const SHORT_PART_BYTES: u64 = 8 * MIB;
/// Parts of one chunk. Because of the limit of 10,000 parts, a longer chunk would
/// have longer parts than configured.
const PARTS_PER_CHUNK: u64 = 1000;
/// Numbers of parts in flight to compare.
const IN_FLIGHT: [usize; 3] = [1, 4, 8];
const LATENCY_MS: &str = "50";
/// Size of the loop file for each GiB of data: the data, a received copy, and
/// free space, without which btrfs becomes slow.
const FILESYSTEM_GIB_PER_GIB: u64 = 4;

/// A filesystem with one subvolume `data` and a snapshot of it.
pub struct Source {
    pub fs: BtrfsFs,
    pub snapshot: PathBuf,
    pub bytes: u64,
}

/// The length of the parts, and how many of them are in flight.
#[derive(Clone, Copy)]
pub struct Parts {
    pub bytes: u64,
    pub in_flight: usize,
}

impl Parts {
    pub const DEFAULT: Parts = Parts { bytes: 32 * MIB, in_flight: 4 };
}

impl Source {
    pub fn new(workspace: &Workspace) -> anyhow::Result<Source> {
        let fs = BtrfsFs::create(FILESYSTEM_GIB_PER_GIB * workspace.gib * GIB);
        let data = fs.subvolume("data");
        let bytes = workspace.gib * GIB;
        for number in 0..bytes / FILE_BYTES {
            write_noise(&data.join(format!("file-{number}")), FILE_BYTES, number)?;
        }
        let snapshot = fs.snapshot(&data, "snapshot");
        rustix::fs::sync();
        Ok(Source { fs, snapshot, bytes })
    }

    /// Returns the baseline: `btrfs send` into `/dev/null`.
    pub fn send(&self) -> Contender<'_> {
        Contender::new("btrfs send > /dev/null", self.bytes, |_| {
            let mut command = Command::new("btrfs");
            let dev_null = fs::File::options().write(true).open("/dev/null");
            command.args(["send", "--quiet"]).arg(&self.snapshot);
            command.stdout(dev_null.context("open /dev/null")?);
            Ok(command)
        })
    }

    /// Returns a full backup by `btrfs-to-s3` into the S3 server at `url`.
    pub fn backup<'a>(
        &'a self,
        workspace: &'a Workspace,
        url: &'a str,
        parts: Parts,
        name: String,
    ) -> Contender<'a> {
        let id = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let after_id = id.clone();
        Contender::new(name, self.bytes, move |round| {
            let run = format!("{id}-{round}");
            let config = self.configure(workspace, url, parts, &run)?;
            let mut command = workspace.command("btrfs-to-s3", url);
            command.args(["backup", "--once", "--full", "--config"]).arg(config);
            Ok(command)
        })
        .after(move |round| self.clean_up(&format!("{after_id}-{round}")))
    }

    /// Writes a configuration whose prefix and snapshot directory belong to `run`.
    pub fn configure(
        &self,
        workspace: &Workspace,
        url: &str,
        parts: Parts,
        run: &str,
    ) -> anyhow::Result<PathBuf> {
        let snapshots = self.snapshots(run);
        fs::create_dir_all(&snapshots).with_context(|| format!("create {snapshots:?}"))?;
        let text = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n[snapshots]\nbase_dir = {snapshots:?}\n\
             [subvolumes]\npaths = [{:?}]\n[s3]\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n\
             endpoint = {url:?}\nprefix = {run:?}\nconcurrency = {}\n\
             part_size_bytes = {}\nchunk_size_bytes = {}\nstorage_class_chunks = \"STANDARD\"\n",
            workspace.path(format!("{run}.lock")),
            workspace.path(format!("{run}.state")),
            self.fs.path().join("data"),
            parts.in_flight,
            parts.bytes,
            parts.bytes * PARTS_PER_CHUNK,
        );
        workspace.write(&format!("{run}.toml"), &text)
    }

    fn snapshots(&self, run: &str) -> PathBuf {
        self.fs.path().join(format!("snapshots-{run}"))
    }

    /// Deletes the snapshots of a run.
    fn clean_up(&self, run: &str) -> anyhow::Result<()> {
        let directory = self.snapshots(run);
        for snapshot in self.fs.subvolumes_below(&directory) {
            delete_subvolume(&snapshot);
        }
        fs::remove_dir_all(&directory).with_context(|| format!("remove {directory:?}"))
    }
}

pub fn to_null_server(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let s3 = workspace.null_server(&[])?;
    let mut contenders = vec![source.send()];
    for in_flight in IN_FLIGHT {
        let parts = Parts { in_flight, ..Parts::DEFAULT };
        contenders.push(source.backup(workspace, &s3.url, parts, in_flight_name(in_flight)));
    }
    let mut peers = Peers::default();
    contenders.extend(pipes(workspace, &s3.url, &source, &mut peers));
    Ok(Report {
        name: "backup",
        title: format!(
            "{} GiB of a btrfs subvolume into the null S3 server. A backup includes the snapshot, \
             CRC32C of the stream, SHA-256 of chunk and parts, CRC64NVME, manifest and pointer; \
             parts of 32 MiB. CPU and memory are of the whole process tree with `btrfs send`.",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

/// Returns the pipelines `btrfs send | PEER`, with the part length and the number
/// of parts in flight of ours.
fn pipes<'a>(
    workspace: &'a Workspace,
    url: &'a str,
    source: &'a Source,
    peers: &mut Peers,
) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    let mut add = |name: &str, tool: Option<PathBuf>, arguments: String| {
        let Some(tool) = tool else { return };
        let script = script(&source.snapshot, &tool, &arguments);
        contenders.push(Contender::new(name, source.bytes, move |_| {
            Ok(clients::pipeline(url, workspace.directory(), &script))
        }));
    };
    let s5cmd = format!("pipe --concurrency 4 --part-size 32 s3://{BUCKET}/s5cmd");
    add("s5cmd pipe", peers.find("s5cmd"), s5cmd);
    let aws = format!("s3 cp - s3://{BUCKET}/aws --expected-size {}", source.bytes);
    add("aws s3 cp -", peers.find("aws"), aws);
    let rclone = "rcat --s3-chunk-size 32M --s3-upload-concurrency 4 --s3-no-check-bucket";
    add("rclone rcat", peers.find("rclone"), format!("{rclone} bench:{BUCKET}/rclone"));
    contenders
}

fn script(snapshot: &Path, tool: &Path, arguments: &str) -> String {
    format!("btrfs send --quiet {} | {} {arguments}", snapshot.display(), tool.display())
}

fn in_flight_name(in_flight: usize) -> String {
    format!("btrfs-to-s3, {in_flight} parts in flight")
}

/// Returns a backup into the embedded S3 server, which is emptied after each run.
fn backup_to_devstore<'a>(
    workspace: &'a Workspace,
    source: &'a Source,
    devstore: &'a Server,
    parts: Parts,
    name: String,
) -> Contender<'a> {
    let mut backup = source.backup(workspace, &devstore.url, parts, name);
    let clean_up = backup.after;
    backup.after = Box::new(move |round| {
        clean_up(round)?;
        engine::empty_bucket(&devstore.url)
    });
    backup.with_server(devstore)
}

pub fn to_devstore(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let devstore = workspace.devstore(&[])?;
    let name = "btrfs-to-s3 into s3up-devstore".to_owned();
    let backup = backup_to_devstore(workspace, &source, &devstore, Parts::DEFAULT, name);
    let contenders = [source.send(), backup];
    Ok(Report {
        name: "backup-devstore",
        title: format!(
            "{} GiB into the embedded S3 server, which verifies every checksum and writes to disk: \
             the server is the bottleneck.",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}

pub fn with_latency(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let devstore = workspace.devstore(&["--latency-ms", LATENCY_MS])?;
    let contenders = IN_FLIGHT.map(|in_flight| {
        let parts = Parts { bytes: SHORT_PART_BYTES, in_flight };
        backup_to_devstore(workspace, &source, &devstore, parts, in_flight_name(in_flight))
    });
    Ok(Report {
        name: "backup-latency",
        title: format!(
            "{} GiB of a btrfs subvolume into the embedded S3 server, which answers each \
             request after {LATENCY_MS} ms; parts of 8 MiB.",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
