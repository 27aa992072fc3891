//! A subvolume into S3: the whole path of `btrfs-to-s3 backup`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use s3up_testkit::{BtrfsFs, delete_subvolume};

use super::Peers;
use crate::load;
use crate::measure::{Contender, in_turn};
use crate::report::{Rate, Report};
use crate::tools::{self, BUCKET, REGION};
use crate::world::{GIB, MIB, Server, World, write_noise};

const FILE_BYTES: u64 = 64 * MIB;
/// Short ones take less time to hash and send than they wait for an answer.
const SHORT_PART_BYTES: u64 = 8 * MIB;
/// Longer chunks make longer parts than were asked for: S3 takes 10,000 of them.
const PARTS_PER_CHUNK: u64 = 1000;
/// Of parts.
const IN_FLIGHT: [usize; 3] = [1, 4, 8];
const LATENCY_MS: &str = "50";
/// Of the loop file, for each GiB of data: the data, a received copy, and room
/// to breathe.
const FILESYSTEM_GIB_PER_GIB: u64 = 4;

/// A filesystem with one subvolume `data`, and a snapshot of it.
pub struct Data {
    pub fs: BtrfsFs,
    pub snapshot: PathBuf,
    pub bytes: u64,
}

/// How parts are cut and sent.
#[derive(Clone, Copy)]
pub struct Parts {
    pub bytes: u64,
    pub in_flight: usize,
}

impl Parts {
    pub const PLAIN: Parts = Parts { bytes: 32 * MIB, in_flight: 4 };
}

impl Data {
    pub fn new(world: &World) -> anyhow::Result<Data> {
        let fs = BtrfsFs::create(FILESYSTEM_GIB_PER_GIB * world.gib * GIB);
        let data = fs.subvolume("data");
        let bytes = world.gib * GIB;
        for number in 0..bytes / FILE_BYTES {
            write_noise(&data.join(format!("file-{number}")), FILE_BYTES, number)?;
        }
        let snapshot = fs.snapshot(&data, "snapshot");
        rustix::fs::sync();
        Ok(Data { fs, snapshot, bytes })
    }

    /// `btrfs send` to nowhere: nothing that sends can be faster.
    pub fn send(&self) -> Contender<'_> {
        Contender::new("btrfs send > /dev/null", self.bytes, |_| {
            let mut command = Command::new("btrfs");
            let nowhere = fs::File::options().write(true).open("/dev/null");
            command.args(["send", "--quiet"]).arg(&self.snapshot);
            command.stdout(nowhere.context("open /dev/null")?);
            Ok(command)
        })
    }

    /// `btrfs-to-s3 backup` of everything, into the S3 server at `url`.
    pub fn backup<'a>(
        &'a self,
        world: &'a World,
        url: &'a str,
        parts: Parts,
        name: String,
    ) -> Contender<'a> {
        let id = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let after_id = id.clone();
        Contender::new(name, self.bytes, move |round| {
            let run = format!("{id}-{round}");
            let config = self.configure(world, url, parts, &run)?;
            let mut command = world.command("btrfs-to-s3", url);
            command.args(["backup", "--once", "--full", "--config"]).arg(config);
            Ok(command)
        })
        .after(move |round| self.forget(&format!("{after_id}-{round}")))
    }

    /// A configuration with a prefix and a folder for snapshots of its own.
    pub fn configure(
        &self,
        world: &World,
        url: &str,
        parts: Parts,
        run: &str,
    ) -> anyhow::Result<PathBuf> {
        let snapshots = self.snapshots(run);
        fs::create_dir_all(&snapshots).with_context(|| format!("make {snapshots:?}"))?;
        let text = format!(
            "[global]\nlock_path = {:?}\nstate_path = {:?}\n[snapshots]\nbase_dir = {snapshots:?}\n\
             [subvolumes]\npaths = [{:?}]\n[s3]\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n\
             endpoint = {url:?}\nprefix = {run:?}\nconcurrency = {}\n\
             part_size_bytes = {}\nchunk_size_bytes = {}\nstorage_class_chunks = \"STANDARD\"\n",
            world.path(format!("{run}.lock")),
            world.path(format!("{run}.state")),
            self.fs.path().join("data"),
            parts.in_flight,
            parts.bytes,
            parts.bytes * PARTS_PER_CHUNK,
        );
        world.write(&format!("{run}.toml"), &text)
    }

    fn snapshots(&self, run: &str) -> PathBuf {
        self.fs.path().join(format!("snapshots-{run}"))
    }

    /// Deletes what a run left on disk.
    fn forget(&self, run: &str) -> anyhow::Result<()> {
        let folder = self.snapshots(run);
        for snapshot in self.fs.subvolumes_below(&folder) {
            delete_subvolume(&snapshot);
        }
        fs::remove_dir_all(&folder).with_context(|| format!("remove {folder:?}"))
    }
}

pub fn into_sink(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let sink = world.sink(&[])?;
    let mut contenders = vec![data.send()];
    for in_flight in IN_FLIGHT {
        let parts = Parts { in_flight, ..Parts::PLAIN };
        contenders.push(data.backup(world, &sink.url, parts, in_flight_name(in_flight)));
    }
    let mut peers = Peers::default();
    contenders.extend(pipes(world, &sink.url, &data, &mut peers));
    Ok(Report {
        name: "backup",
        title: format!(
            "{} GiB of a btrfs subvolume into the sink, with everything that belongs to a backup: \
             snapshot, stream CRC32C, SHA-256 of chunk and parts, CRC64NVME, parts of 32 MiB, \
             manifest, pointer. CPU and memory are those of the whole process tree, `btrfs send` \
             included.",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

/// `btrfs send | PEER`, with parts as long, and as many in flight, as ours.
fn pipes<'a>(
    world: &'a World,
    url: &'a str,
    data: &'a Data,
    peers: &mut Peers,
) -> Vec<Contender<'a>> {
    let mut contenders = Vec::new();
    let mut add = |name: &str, tool: Option<PathBuf>, arguments: String| {
        let Some(tool) = tool else { return };
        let script = script(&data.snapshot, &tool, &arguments);
        contenders.push(Contender::new(name, data.bytes, move |_| {
            Ok(tools::pipeline(url, world.home(), &script))
        }));
    };
    let s5cmd = format!("pipe --concurrency 4 --part-size 32 s3://{BUCKET}/s5cmd");
    add("s5cmd pipe", peers.find("s5cmd"), s5cmd);
    let aws = format!("s3 cp - s3://{BUCKET}/aws --expected-size {}", data.bytes);
    add("aws s3 cp -", peers.find("aws"), aws);
    let rclone = "rcat --s3-chunk-size 32M --s3-upload-concurrency 4 --s3-no-check-bucket";
    add("rclone rcat", peers.find("rclone"), format!("{rclone} sink:{BUCKET}/rclone"));
    contenders
}

fn script(snapshot: &Path, tool: &Path, arguments: &str) -> String {
    format!("btrfs send --quiet {} | {} {arguments}", snapshot.display(), tool.display())
}

fn in_flight_name(in_flight: usize) -> String {
    format!("btrfs-to-s3, {in_flight} parts in flight")
}

/// Into the embedded S3 server, which is emptied after each run.
fn backup_to<'a>(
    world: &'a World,
    data: &'a Data,
    devstore: &'a Server,
    parts: Parts,
    name: String,
) -> Contender<'a> {
    let mut backup = data.backup(world, &devstore.url, parts, name);
    let forget = backup.after;
    backup.after = Box::new(move |round| {
        forget(round)?;
        load::empty(&devstore.url)
    });
    backup.with_server(devstore)
}

pub fn into_devstore(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let devstore = world.devstore(&[])?;
    let name = "btrfs-to-s3 into s3up-devstore".to_owned();
    let backup = backup_to(world, &data, &devstore, Parts::PLAIN, name);
    let contenders = [data.send(), backup];
    Ok(Report {
        name: "backup-devstore",
        title: format!(
            "{} GiB into the embedded S3 server, which verifies every checksum and writes to disk: \
             a real server is the bottleneck.",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}

pub fn with_latency(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let devstore = world.devstore(&["--latency-ms", LATENCY_MS])?;
    let contenders = IN_FLIGHT.map(|in_flight| {
        let parts = Parts { bytes: SHORT_PART_BYTES, in_flight };
        backup_to(world, &data, &devstore, parts, in_flight_name(in_flight))
    });
    Ok(Report {
        name: "backup-latency",
        title: format!(
            "{} GiB of a btrfs subvolume into the embedded S3 server, where every call waits for \
             {LATENCY_MS} ms: the whole program, parts of 8 MiB.",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: Vec::new(),
        rate: Rate::MibPerSecond,
    })
}
