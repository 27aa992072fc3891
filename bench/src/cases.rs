//! The cases: each makes its world, runs its contenders in turn, and reports.

mod backup;
mod gateway;
mod restore;
mod scale;
mod small;

use std::path::PathBuf;

use crate::report::Report;
use crate::tools;
use crate::world::World;

pub struct Case {
    pub name: &'static str,
    pub run: fn(&World) -> anyhow::Result<Report>,
    /// Whether it needs root and a loop device.
    pub wants_btrfs: bool,
}

#[rustfmt::skip]
pub const ALL: &[Case] = &[
    Case { name: "backup",          run: backup::into_sink,     wants_btrfs: true },
    Case { name: "backup-devstore", run: backup::into_devstore, wants_btrfs: true },
    Case { name: "backup-latency",  run: backup::with_latency,  wants_btrfs: true },
    Case { name: "restore",         run: restore::receive,      wants_btrfs: true },
    Case { name: "restore-slow-disk", run: restore::receive_on_slow_disk, wants_btrfs: true },
    Case { name: "download",        run: restore::download,     wants_btrfs: false },
    Case { name: "objects",         run: small::objects,        wants_btrfs: false },
    Case { name: "files",           run: small::files,          wants_btrfs: false },
    Case { name: "file",            run: gateway::one_file,     wants_btrfs: false },
    Case { name: "gateway-200",     run: gateway::many_at_once, wants_btrfs: false },
    Case { name: "latency",         run: scale::latency,        wants_btrfs: false },
    Case { name: "scale",           run: scale::length,         wants_btrfs: false },
];

/// Tools that may take part.
#[derive(Default)]
struct Peers {
    missing: Vec<String>,
}

impl Peers {
    /// Where it is; noted as missing otherwise.
    fn find(&mut self, name: &str) -> Option<PathBuf> {
        let found = tools::find(name);
        if found.is_none() {
            self.missing.push(name.to_owned());
        }
        found
    }
}
