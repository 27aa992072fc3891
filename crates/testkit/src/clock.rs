//! The clock of this machine, for what tests pass on.

use std::time::{Instant, SystemTime};

use s3up_core::Clock;

#[expect(clippy::disallowed_methods, reason = "tests of a program use the real time")]
pub const CLOCK: Clock = Clock { wall: SystemTime::now, monotonic: Instant::now };
