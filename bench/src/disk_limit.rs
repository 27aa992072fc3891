//! Makes a disk slower than it is.

use std::fs;
use std::path::Path;

use anyhow::Context;
use s3up_testkit::BtrfsFs;

use crate::console;
use crate::units::MIB;

/// The limits of the root group of cgroup v1. They also apply to the writes of
/// kernel threads. The root group of v2 has no such limits.
const LIMITS: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device";

/// A limit on the write speed of a filesystem's device. Dropping it removes the
/// limit.
pub struct DiskWriteLimit {
    device: String,
}

impl DiskWriteLimit {
    /// Returns `None` if the machine has no cgroup v1.
    pub fn new(fs: &BtrfsFs, mib_per_second: u64) -> anyhow::Result<Option<DiskWriteLimit>> {
        if !Path::new(LIMITS).exists() {
            return Ok(None);
        }
        let limit = DiskWriteLimit { device: fs.device_number() };
        limit.set(mib_per_second * MIB)?;
        Ok(Some(limit))
    }

    /// Sets the limit; 0 removes it.
    fn set(&self, bytes_per_second: u64) -> anyhow::Result<()> {
        fs::write(LIMITS, format!("{} {bytes_per_second}", self.device))
            .with_context(|| format!("limit the writes of device {} in {LIMITS}", self.device))
    }
}

impl Drop for DiskWriteLimit {
    fn drop(&mut self) {
        if let Err(err) = self.set(0) {
            console::status(&format!("{err:#}"));
        }
    }
}
