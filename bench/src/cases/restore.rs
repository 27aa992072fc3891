//! The way back: into nothing, and into `btrfs receive`.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use s3up_testkit::delete_subvolume;

use super::Peers;
use super::backup::{Data, Parts};
use crate::load;
use crate::measure::{Contender, in_turn, run};
use crate::report::{Rate, Report};
use crate::throttle::Throttle;
use crate::tools::{self, BUCKET};
use crate::world::{GIB, Server, World};

/// What `btrfs receive` reached on the machine that the goals were set on.
const SLOW_DISK_MIB_PER_SECOND: u64 = 315;
/// Of what is received: its pages, and half as much for those of the loop file.
const TOUCHED_PER_HUNDRED: u64 = 150;

/// Restores into `btrfs receive` on a loop file, beside that program alone.
struct Way<'a> {
    world: &'a World,
    data: &'a Data,
    sink: Server,
    config: PathBuf,
    /// The key of the only chunk.
    chunk: String,
    /// What `btrfs send` wrote.
    stream: PathBuf,
    received: PathBuf,
}

pub fn receive(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let way = Way::new(world, &data)?;
    let mut peers = Peers::default();
    let mut contenders = way.ours_beside_receive();
    contenders.extend(way.peers(&mut peers));
    Ok(Report {
        name: "restore",
        title: format!(
            "{} GiB from the sink, which kept them, into `btrfs receive` on a loop file: as fast \
             as memory. Ours verifies each part, proves the stream once more, and has all on disk \
             at its end; the peers verify nothing, and do not wait for the disk.",
            world.gib
        ),
        rows: in_turn(&contenders, world.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

pub fn receive_on_slow_disk(world: &World) -> anyhow::Result<Report> {
    let data = Data::new(world)?;
    let throttle = Throttle::writes(&data.fs, SLOW_DISK_MIB_PER_SECOND)?;
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    match throttle {
        Some(_) => {
            let way = Way::new(world, &data)?;
            rows = in_turn(&way.ours_beside_receive(), world.rounds)?;
        }
        None => missing.push("the blkio controller of cgroup v1".to_owned()),
    }
    let title = format!(
        "The same on a disk that takes {SLOW_DISK_MIB_PER_SECOND} MiB/s (`blkio.throttle`), as \
         `btrfs receive` did on the machine that the goals were set on."
    );
    Ok(Report { name: "restore-slow-disk", title, rows, missing, rate: Rate::MibPerSecond })
}

impl<'a> Way<'a> {
    fn new(world: &'a World, data: &'a Data) -> anyhow::Result<Way<'a>> {
        let sink = world.sink(&["--keep"])?;
        let config = data.configure(world, &sink.url, Parts::PLAIN, "kept")?;
        let mut backup = world.command("btrfs-to-s3", &sink.url);
        run(backup.args(["backup", "--once", "--full", "--config"]).arg(&config))?;
        let stream = world.path("stream");
        let mut send = Command::new("btrfs");
        run(send.args(["send", "--quiet", "-f"]).arg(&stream).arg(&data.snapshot))?;
        let received = data.fs.path().join("received");
        fs::create_dir(&received).with_context(|| format!("make {received:?}"))?;
        let mut chunks = load::keys(&sink.url)?;
        chunks.retain(|key| key.ends_with(".bin"));
        ensure!(chunks.len() == 1, "the stream is in {} chunks, not in one", chunks.len());
        let chunk = chunks.remove(0);
        Ok(Way { world, data, sink, config, chunk, stream, received })
    }

    fn ours_beside_receive(&self) -> Vec<Contender<'_>> {
        vec![
            self.contender("btrfs receive < file", |_| {
                let mut command = Command::new("btrfs");
                command.args(["receive", "--quiet", "-f"]).arg(&self.stream).arg(&self.received);
                command
            }),
            self.contender("the same, and `sync`", |_| {
                let mut command = Command::new("sh");
                let script = "btrfs receive --quiet -f \"$0\" \"$1\" && sync -f \"$1\"";
                command.args(["-c", script]).arg(&self.stream).arg(&self.received);
                command
            }),
            self.restore("btrfs-to-s3 restore", "none"),
            self.restore("the same, every byte compared with the source", "full"),
        ]
    }

    fn peers(&self, peers: &mut Peers) -> Vec<Contender<'_>> {
        let (url, chunk) = (&self.sink.url, &self.chunk);
        let fetches = [
            ("curl", "curl", format!("-sS --fail {url}/{BUCKET}/{chunk}")),
            ("s5cmd cat", "s5cmd", format!("cat s3://{BUCKET}/{chunk}")),
            ("aws s3 cp", "aws", format!("s3 cp s3://{BUCKET}/{chunk} -")),
            ("rclone cat", "rclone", format!("cat sink:{BUCKET}/{chunk}")),
        ];
        let mut contenders = Vec::new();
        for (name, tool, arguments) in fetches {
            let Some(tool) = peers.find(tool) else { continue };
            let into = self.received.display();
            let script = format!("{} {arguments} | btrfs receive --quiet {into}", tool.display());
            contenders.push(self.contender(&format!("{name} into btrfs receive"), move |_| {
                tools::pipeline(url, self.world.home(), &script)
            }));
        }
        contenders
    }

    fn restore(&self, name: &str, verify: &'static str) -> Contender<'_> {
        self.contender(name, move |round| {
            let mut command = self.world.command("btrfs-to-s3", &self.sink.url);
            command.args(["restore", "--subvolume", "data", "--verify", verify, "--config"]);
            let target = self.received.join(format!("restored-{round}"));
            command.arg(&self.config).arg("--target").arg(target);
            command
        })
    }

    fn contender<'s>(
        &'s self,
        name: &str,
        command: impl Fn(usize) -> Command + 's,
    ) -> Contender<'s> {
        Contender::new(name, self.data.bytes, move |round| Ok(command(round)))
            .before(|| self.touch_memory())
            .after(|_| self.forget())
    }

    fn forget(&self) -> anyhow::Result<()> {
        for subvolume in self.data.fs.subvolumes_below(&self.received) {
            delete_subvolume(&subvolume);
        }
        // Also wakes what removes them, which sleeps for half a minute else.
        for what in ["filesystem", "subvolume"] {
            let mut sync = Command::new("btrfs");
            run(sync.args([what, "sync"]).arg(self.data.fs.path()))?;
        }
        rustix::fs::sync();
        Ok(())
    }

    /// A host that takes back what its virtual machines leave free gives it again
    /// then, and not to one contender alone while that is measured.
    fn touch_memory(&self) -> anyhow::Result<()> {
        let bytes = self.data.bytes / 100 * TOUCHED_PER_HUNDRED;
        let mut touch = self.world.command("s3up-bench", &self.sink.url);
        run(touch.args(["touch", "--bytes", &bytes.to_string()]))?;
        // It may have been pushed out of memory by that.
        let mut stream = File::open(&self.stream).context("open the stream")?;
        io::copy(&mut stream, &mut io::sink()).context("read the stream")?;
        Ok(())
    }
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
