//! Restores into `btrfs receive`, and downloads into `/dev/null`.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use s3up_testkit::delete_subvolume;

use super::backup::{Parts, Source};
use crate::clients::{self, BUCKET, Peers};
use crate::disk_limit::DiskWriteLimit;
use crate::load::engine;
use crate::measure::{Contender, run, run_in_turn};
use crate::report::{Rate, Report};
use crate::server::Server;
use crate::units::GIB;
use crate::workspace::Workspace;

/// Speed of `btrfs receive` on the machine for which the goals were set.
const SLOW_DISK_MIB_PER_SECOND: u64 = 315;
/// Memory to write to before each run, in percent of the received data: its page
/// cache, and half of that for the page cache of the loop file.
const TOUCHED_PERCENT: u64 = 150;

/// A backup in the null S3 server and the directory on a loop file into which all
/// contenders restore it.
struct Setup<'a> {
    workspace: &'a Workspace,
    source: &'a Source,
    s3: Server,
    config: PathBuf,
    /// The key of the only chunk.
    chunk: String,
    /// The output of `btrfs send`.
    stream: PathBuf,
    received: PathBuf,
}

pub fn receive(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let setup = Setup::new(workspace, &source)?;
    let mut peers = Peers::default();
    let mut contenders = setup.ours_and_receive();
    contenders.extend(setup.peers(&mut peers));
    Ok(Report {
        name: "restore",
        title: format!(
            "{} GiB from the memory of the null S3 server into `btrfs receive` on a loop file that \
             is as fast as memory. Ours verifies each part and the stream, and syncs it to disk; \
             the peers verify nothing and do not sync.",
            workspace.gib
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing: peers.missing,
        rate: Rate::MibPerSecond,
    })
}

pub fn receive_on_slow_disk(workspace: &Workspace) -> anyhow::Result<Report> {
    let source = Source::new(workspace)?;
    let limit = DiskWriteLimit::new(&source.fs, SLOW_DISK_MIB_PER_SECOND)?;
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    match limit {
        Some(_) => {
            let setup = Setup::new(workspace, &source)?;
            rows = run_in_turn(&setup.ours_and_receive(), workspace.rounds)?;
        }
        None => missing.push("the blkio controller of cgroup v1".to_owned()),
    }
    let title = format!(
        "The same onto a disk of {SLOW_DISK_MIB_PER_SECOND} MiB/s (`blkio.throttle`), the speed of \
         `btrfs receive` on the machine for which the goals were set."
    );
    Ok(Report { name: "restore-slow-disk", title, rows, missing, rate: Rate::MibPerSecond })
}

impl<'a> Setup<'a> {
    fn new(workspace: &'a Workspace, source: &'a Source) -> anyhow::Result<Setup<'a>> {
        let s3 = workspace.null_server(&["--keep"])?;
        let config = source.configure(workspace, &s3.url, Parts::DEFAULT, "kept")?;
        let mut backup = workspace.command("btrfs-to-s3", &s3.url);
        run(backup.args(["backup", "--once", "--full", "--config"]).arg(&config))?;
        let stream = workspace.path("stream");
        let mut send = Command::new("btrfs");
        run(send.args(["send", "--quiet", "-f"]).arg(&stream).arg(&source.snapshot))?;
        let received = source.fs.path().join("received");
        fs::create_dir(&received).with_context(|| format!("create {received:?}"))?;
        let mut chunks = engine::keys(&s3.url)?;
        chunks.retain(|key| key.contains("/chunk-"));
        ensure!(chunks.len() == 1, "expected the stream in one chunk, found {}", chunks.len());
        let chunk = chunks.remove(0);
        Ok(Setup { workspace, source, s3, config, chunk, stream, received })
    }

    fn ours_and_receive(&self) -> Vec<Contender<'_>> {
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
        let (url, chunk) = (&self.s3.url, &self.chunk);
        let fetches = [
            ("curl", "curl", format!("-sS --fail {url}/{BUCKET}/{chunk}")),
            ("s5cmd cat", "s5cmd", format!("cat s3://{BUCKET}/{chunk}")),
            ("aws s3 cp", "aws", format!("s3 cp s3://{BUCKET}/{chunk} -")),
            ("rclone cat", "rclone", format!("cat bench:{BUCKET}/{chunk}")),
        ];
        let mut contenders = Vec::new();
        for (name, tool, arguments) in fetches {
            let Some(tool) = peers.find(tool) else { continue };
            let into = self.received.display();
            let script = format!("{} {arguments} | btrfs receive --quiet {into}", tool.display());
            contenders.push(self.contender(&format!("{name} into btrfs receive"), move |_| {
                clients::pipeline(url, self.workspace.directory(), &script)
            }));
        }
        contenders
    }

    fn restore(&self, name: &str, verify: &'static str) -> Contender<'_> {
        self.contender(name, move |round| {
            let mut command = self.workspace.command("btrfs-to-s3", &self.s3.url);
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
        Contender::new(name, self.source.bytes, move |round| Ok(command(round)))
            .before(|| self.touch_memory())
            .after(|_| self.clean_up())
    }

    /// Deletes the received subvolumes and waits until their space is free again.
    fn clean_up(&self) -> anyhow::Result<()> {
        for subvolume in self.source.fs.subvolumes_below(&self.received) {
            delete_subvolume(&subvolume);
        }
        // The sync also wakes the cleaner thread, which would sleep for half a minute.
        for command in ["filesystem", "subvolume"] {
            let mut sync = Command::new("btrfs");
            run(sync.args([command, "sync"]).arg(self.source.fs.path()))?;
        }
        rustix::fs::sync();
        Ok(())
    }

    /// Writes to as much memory as a run needs. A host that reclaims the free
    /// memory of its virtual machines returns it when it is written to. That
    /// must not happen during a run, and not for the first contender only.
    fn touch_memory(&self) -> anyhow::Result<()> {
        let bytes = self.source.bytes / 100 * TOUCHED_PERCENT;
        let mut touch = self.workspace.command("s3up-bench", &self.s3.url);
        run(touch.args(["touch", "--bytes", &bytes.to_string()]))?;
        // The writes may have evicted the stream from the page cache.
        let mut stream = File::open(&self.stream).context("open the stream")?;
        io::copy(&mut stream, &mut io::sink()).context("read the stream")?;
        Ok(())
    }
}

pub fn download(workspace: &Workspace) -> anyhow::Result<Report> {
    let s3 = workspace.null_server(&["--keep"])?;
    let gib = workspace.gib;
    let mut upload = workspace.command("s3up-bench", &s3.url);
    run(upload.args(["stream", "--gib", &gib.to_string(), "--endpoint", &s3.url]))?;
    // All chunks of the stream have this key.
    let key = "stream/chunk";
    let store = |in_flight: usize| {
        let (url, in_flight) = (s3.url.clone(), in_flight.to_string());
        Contender::new(format!("store, {in_flight} ranges in flight"), gib * GIB, move |_| {
            let mut command = workspace.command("s3up-bench", &url);
            command.args(["download", "--endpoint", &url, "--in-flight", &in_flight]);
            for _ in 0..gib {
                command.args(["--key", key]);
            }
            Ok(command)
        })
    };
    let mut contenders = vec![store(4), store(1)];
    let mut peers = Peers::default();
    let mut add = |name: &str, tool: &str, arguments: String| {
        let Some(tool) = peers.find(tool) else { return };
        let script = format!(
            "for n in $(seq {gib}); do {} {arguments} > /dev/null || exit 1; done",
            tool.display()
        );
        contenders.push(Contender::new(name, gib * GIB, {
            let url = s3.url.clone();
            move |_| Ok(clients::pipeline(&url, workspace.directory(), &script))
        }));
    };
    add("curl", "curl", format!("-sS --fail {}/{BUCKET}/{key}", s3.url));
    let s5cmd = format!("cat --concurrency 4 --part-size 32 s3://{BUCKET}/{key}");
    add("s5cmd cat", "s5cmd", s5cmd);
    add("aws s3 cp", "aws", format!("s3 cp s3://{BUCKET}/{key} -"));
    add("rclone cat", "rclone", format!("cat bench:{BUCKET}/{key}"));
    let missing = peers.missing;
    Ok(Report {
        name: "download",
        title: format!(
            "{gib} objects of 1 GiB, one after the other, into `/dev/null`. The store verifies \
             CRC64NVME; `curl` and the peers verify nothing."
        ),
        rows: run_in_turn(&contenders, workspace.rounds)?,
        missing,
        rate: Rate::MibPerSecond,
    })
}
