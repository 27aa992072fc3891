//! The way back: into nothing, and into `btrfs receive`.

use std::fs;
use std::process::Command;

use anyhow::{Context, ensure};
use s3up_testkit::delete_subvolume;

use super::Peers;
use super::backup::{Data, Parts};
use crate::measure::{Contender, Row, in_turn, run};
use crate::report::{Rate, Report};
use crate::throttle::Throttle;
use crate::tools::{self, BUCKET};
use crate::world::{GIB, World};

/// What `btrfs receive` reached on the machine that the goals were set on.
const SLOW_DISK_MIB_PER_SECOND: u64 = 315;

pub fn receive(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let rows = received(world, &data)?;
    let title = format!(
        "{} GiB from the sink, which kept them, into `btrfs receive` on a loop file; each part \
         verified, the stream proven again, and all of it on disk at the end.",
        world.gib
    );
    Ok(Report { name: "restore", title, rows, missing: Vec::new(), rate: Rate::MibPerSecond })
}

pub fn receive_on_slow_disk(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let throttle = Throttle::writes(&data.fs, SLOW_DISK_MIB_PER_SECOND)?;
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    match throttle {
        Some(_) => rows = received(world, &data)?,
        None => missing.push("the blkio controller of cgroup v1".to_owned()),
    }
    let title = format!(
        "The same on a disk that takes {SLOW_DISK_MIB_PER_SECOND} MiB/s (`blkio.throttle`), as \
         `btrfs receive` did on the machine that the goals were set on."
    );
    Ok(Report { name: "restore-slow-disk", title, rows, missing, rate: Rate::MibPerSecond })
}

fn received(world: &World, data: &Data) -> anyhow::Result<Vec<Row>> {
    let sink = world.sink(&["--keep"])?;
    let config = data.configure(world, &sink.url, Parts::PLAIN, "kept")?;
    let mut backup = world.command("btrfs-to-s3", &sink.url);
    run(backup.args(["backup", "--once", "--full", "--config"]).arg(&config))?;
    let stream = world.path("stream");
    let mut send = Command::new("btrfs");
    run(send.args(["send", "--quiet", "-f"]).arg(&stream).arg(&data.snapshot))?;
    let received = data.fs.path().join("received");
    fs::create_dir(&received).with_context(|| format!("make {received:?}"))?;
    let restored = |round: usize| received.join(format!("restored-{round}"));
    let forget = |_| {
        for subvolume in data.fs.subvolumes_below(&received) {
            delete_subvolume(&subvolume);
        }
        // Also wakes what removes them, which sleeps for half a minute else.
        for what in ["filesystem", "subvolume"] {
            let mut sync = Command::new("btrfs");
            run(sync.args([what, "sync"]).arg(data.fs.path()))?;
        }
        rustix::fs::sync();
        Ok(())
    };
    let restore = |name: &str, verify: &'static str| {
        let (url, config) = (sink.url.clone(), config.clone());
        Contender::new(name, data.bytes, move |round| {
            let mut command = world.command("btrfs-to-s3", &url);
            command.args(["restore", "--subvolume", "data", "--verify", verify, "--config"]);
            command.arg(&config).arg("--target").arg(restored(round));
            Ok(command)
        })
    };
    let contenders = [
        Contender::new("btrfs receive < file", data.bytes, |_| {
            let mut command = Command::new("btrfs");
            command.args(["receive", "--quiet", "-f"]).arg(&stream).arg(&received);
            Ok(command)
        })
        .after(forget),
        Contender::new("the same, and `sync`", data.bytes, |_| {
            let mut command = Command::new("sh");
            let script = "btrfs receive --quiet -f \"$0\" \"$1\" && sync -f \"$1\"";
            command.args(["-c", script]).arg(&stream).arg(&received);
            Ok(command)
        })
        .after(forget),
        restore("btrfs-to-s3 restore", "none").after(forget),
        restore("the same, every byte compared with the source", "full").after(forget),
    ];
    in_turn(&contenders, world.rounds)
}

pub fn download(world: &World) -> anyhow::Result<Report> {
    let sink = world.sink(&["--keep"])?;
    let gib = world.gib;
    let mut upload = world.command("s3up-bench", &sink.url);
    run(upload.args(["stream", "--gib", &gib.to_string(), "--endpoint", &sink.url]))?;
    // The stream's chunks of 1 GiB all have this key.
    let key = "stream/chunk";
    let engine = |in_flight: usize| {
        let (url, in_flight) = (sink.url.clone(), in_flight.to_string());
        Contender::new(format!("engine, {in_flight} ranges in flight"), gib * GIB, move |_| {
            let mut command = world.command("s3up-bench", &url);
            command.args(["fetch", "--endpoint", &url, "--in-flight", &in_flight]);
            for _ in 0..gib {
                command.args(["--key", key]);
            }
            Ok(command)
        })
    };
    let mut contenders = vec![engine(4), engine(1)];
    let mut peers = Peers::default();
    let mut add = |name: &str, tool: &str, arguments: String| {
        let Some(tool) = peers.find(tool) else { return };
        let script = format!(
            "for n in $(seq {gib}); do {} {arguments} > /dev/null || exit 1; done",
            tool.display()
        );
        contenders.push(Contender::new(name, gib * GIB, {
            let url = sink.url.clone();
            move |_| Ok(tools::pipeline(&url, world.home(), &script))
        }));
    };
    add("curl", "curl", format!("-sS --fail {}/{BUCKET}/{key}", sink.url));
    let s5cmd = format!("cat --concurrency 4 --part-size 32 s3://{BUCKET}/{key}");
    add("s5cmd cat", "s5cmd", s5cmd);
    add("aws s3 cp", "aws", format!("s3 cp s3://{BUCKET}/{key} -"));
    add("rclone cat", "rclone", format!("cat sink:{BUCKET}/{key}"));
    let missing = peers.missing;
    ensure!(contenders.len() > 1, "nobody to compare with");
    Ok(Report {
        name: "download",
        title: format!(
            "{gib} objects of 1 GiB, one after the other, into nothing. The engine verifies \
             CRC64NVME; `curl` and the peers verify nothing."
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing,
        rate: Rate::MibPerSecond,
    })
}
