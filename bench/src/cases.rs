//! The cases. Each prepares its data and servers, runs its contenders in turn and
//! returns a report.

mod backup;
mod files_of_chain;
mod gateway;
mod restore;
mod restore_files;
mod scale;
mod small_objects;

use crate::report::Report;
use crate::workspace::Workspace;

pub struct Case {
    pub name: &'static str,
    /// One line for `--list`.
    pub about: &'static str,
    pub run: fn(&Workspace) -> anyhow::Result<Report>,
    /// True if the case needs root and a loop device.
    pub needs_btrfs: bool,
}

#[rustfmt::skip]
pub const ALL: &[Case] = &[
    Case { name: "backup",            run: backup::to_null_server,        needs_btrfs: true,
           about: "a subvolume into the null S3 server; peers behind `btrfs send`" },
    Case { name: "backup-devstore",   run: backup::to_devstore,           needs_btrfs: true,
           about: "a subvolume into the embedded S3 server" },
    Case { name: "backup-latency",    run: backup::with_latency,          needs_btrfs: true,
           about: "a subvolume into an S3 server that answers after 50 ms" },
    Case { name: "restore",           run: restore::receive,              needs_btrfs: true,
           about: "a backup into `btrfs receive`; peers in front of it" },
    Case { name: "restore-slow-disk", run: restore::receive_on_slow_disk, needs_btrfs: true,
           about: "the same onto a disk of 315 MiB/s (needs cgroup v1)" },
    Case { name: "restore-one-file",  run: files_of_chain::one_file,      needs_btrfs: true,
           about: "10 KiB out of a full and 10 incrementals in the embedded S3 server" },
    Case { name: "download",          run: restore::download,             needs_btrfs: false,
           about: "objects of 1 GiB through the store; peers" },
    Case { name: "objects",           run: small_objects::objects,        needs_btrfs: false,
           about: "20,000 small objects from memory, directly and through the gateway" },
    Case { name: "files",             run: small_objects::files,          needs_btrfs: false,
           about: "20,000 small files through agent and gateway; peers" },
    Case { name: "restore-files",     run: restore_files::restore,        needs_btrfs: false,
           about: "20,000 small files through gateway and agent to the disk; peers" },
    Case { name: "file",              run: gateway::one_file,             needs_btrfs: false,
           about: "one long file through agent and gateway; a peer" },
    Case { name: "gateway-200",       run: gateway::concurrent_uploads,   needs_btrfs: false,
           about: "8 and 200 concurrent uploads into the gateway" },
    Case { name: "gateway-200-gib",   run: gateway::concurrent_long_uploads, needs_btrfs: false,
           about: "200 concurrent uploads of 1 GiB: memory must not change; 200 GiB for each round" },
    Case { name: "gateway-slow",      run: gateway::uploads_beside_slow_ones, needs_btrfs: false,
           about: "200 uploads of 1 GiB beside 100 slow ones of another client; 200 GiB for each round" },
    Case { name: "latency",           run: scale::latency,                needs_btrfs: false,
           about: "a stream into an S3 server that answers after 50 ms" },
    Case { name: "scale",             run: scale::length,                 needs_btrfs: false,
           about: "streams of 1 to 50 GiB: speed and memory must not change" },
];
