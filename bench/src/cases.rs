//! The cases. Each prepares its data and servers, runs its contenders in turn and
//! returns a report.

mod backup;
mod fairness;
mod files_of_chain;
mod gateway;
mod restore;
mod restore_files;
mod scale;
mod small_objects;

use serde_json::Value;

use self::Run::{Latencies, Programs};
use crate::latencies::LatencyReport;
use crate::report::Report;
use crate::workspace::Workspace;

pub struct Case {
    pub name: &'static str,
    /// One line for `--list`.
    pub about: &'static str,
    pub run: Run,
    /// True if the case needs root and a loop device.
    pub needs_btrfs: bool,
}

/// The function of a case, by what it measures.
pub enum Run {
    /// Whole programs.
    Programs(fn(&Workspace) -> anyhow::Result<Report>),
    /// Single requests.
    Latencies(fn(&Workspace) -> anyhow::Result<LatencyReport>),
}

/// The results of a case.
pub struct Results {
    pub markdown: String,
    pub json: Value,
}

impl Case {
    pub fn run(&self, workspace: &Workspace) -> anyhow::Result<Results> {
        Ok(match self.run {
            Programs(run) => {
                let report = run(workspace)?;
                Results { markdown: report.markdown(), json: report.json() }
            }
            Latencies(run) => {
                let report = run(workspace)?;
                Results { markdown: report.markdown(), json: report.json() }
            }
        })
    }
}

#[rustfmt::skip]
pub const ALL: &[Case] = &[
    Case { name: "backup",            run: Programs(backup::to_null_server),        needs_btrfs: true,
           about: "a subvolume into the null S3 server; peers behind `btrfs send`" },
    Case { name: "backup-devstore",   run: Programs(backup::to_devstore),           needs_btrfs: true,
           about: "a subvolume into the embedded S3 server" },
    Case { name: "backup-latency",    run: Programs(backup::with_latency),          needs_btrfs: true,
           about: "a subvolume into an S3 server that answers after 50 ms" },
    Case { name: "restore",           run: Programs(restore::receive),              needs_btrfs: true,
           about: "a backup into `btrfs receive`; peers in front of it" },
    Case { name: "restore-slow-disk", run: Programs(restore::receive_on_slow_disk), needs_btrfs: true,
           about: "the same onto a disk of 315 MiB/s (needs cgroup v1)" },
    Case { name: "restore-one-file",  run: Programs(files_of_chain::one_file),      needs_btrfs: true,
           about: "10 KiB out of a full and 10 incrementals in the embedded S3 server" },
    Case { name: "download",          run: Programs(restore::download),             needs_btrfs: false,
           about: "objects of 1 GiB through the store; peers" },
    Case { name: "objects",           run: Programs(small_objects::objects),        needs_btrfs: false,
           about: "20,000 small objects from memory, directly and through the gateway" },
    Case { name: "files",             run: Programs(small_objects::files),          needs_btrfs: false,
           about: "20,000 small files through agent and gateway; peers" },
    Case { name: "restore-files",     run: Programs(restore_files::restore),        needs_btrfs: false,
           about: "20,000 small files through gateway and agent to the disk; peers" },
    Case { name: "file",              run: Programs(gateway::one_file),             needs_btrfs: false,
           about: "one long file through agent and gateway; a peer" },
    Case { name: "gateway-200",       run: Programs(gateway::concurrent_uploads),   needs_btrfs: false,
           about: "8 and 200 concurrent uploads into the gateway" },
    Case { name: "gateway-200-gib",   run: Programs(gateway::concurrent_long_uploads), needs_btrfs: false,
           about: "200 concurrent uploads of 1 GiB: memory must not change; 200 GiB for each round" },
    Case { name: "gateway-slow",      run: Programs(gateway::uploads_beside_slow_ones), needs_btrfs: false,
           about: "200 uploads of 1 GiB beside 100 slow ones of another client; 200 GiB for each round" },
    Case { name: "fairness",          run: Latencies(fairness::beside_a_busy_client),  needs_btrfs: false,
           about: "requests of one client, alone and beside another one with 1,000 in flight" },
    Case { name: "latency",           run: Programs(scale::latency),                needs_btrfs: false,
           about: "a stream into an S3 server that answers after 50 ms" },
    Case { name: "scale",             run: Programs(scale::length),                 needs_btrfs: false,
           about: "streams of 1 to 50 GiB: speed and memory must not change" },
];
