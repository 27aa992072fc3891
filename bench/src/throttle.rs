//! A disk that is slower than the one that is there.

use std::fs;
use std::path::Path;

use anyhow::Context;
use s3up_testkit::BtrfsFs;

use crate::measure::say;
use crate::world::MIB;

/// Of the root group of cgroup v1, which holds also what kernel threads write
/// back later. The root group of v2 has no such limit.
const LIMITS: &str = "/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device";

/// Holds a filesystem's device to a speed; dropped, it is as fast as it was.
pub struct Throttle {
    device: String,
}

impl Throttle {
    /// `None`: this machine cannot.
    pub fn writes(fs: &BtrfsFs, mib_per_second: u64) -> anyhow::Result<Option<Throttle>> {
        if !Path::new(LIMITS).exists() {
            return Ok(None);
        }
        let throttle = Throttle { device: fs.device_number() };
        throttle.set(mib_per_second * MIB)?;
        Ok(Some(throttle))
    }

    /// 0: no limit.
    fn set(&self, bytes_per_second: u64) -> anyhow::Result<()> {
        fs::write(LIMITS, format!("{} {bytes_per_second}", self.device))
            .with_context(|| format!("limit the writes of device {} in {LIMITS}", self.device))
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        if let Err(err) = self.set(0) {
            say(&format!("{err:#}"));
        }
    }
}
