//! The faults of the stand-in for `btrfs`.

/// A fault and the calls that it is injected into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InjectedFault {
    /// First word or words of the arguments, without options: `send`,
    /// `subvolume snapshot`. A call `send --no-data`, in this order, is a `forecast`, and a
    /// `receive` into a directory `trial` is a `trial`.
    pub command: &'static str,
    pub call: Calls,
    pub fault: BtrfsFault,
}

/// The calls of a command that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    Every,
    /// 1 is the first call since the stand-in was created.
    Nth(u32),
}

/// The behaviour of the stand-in in place of the real `btrfs`.
///
/// `bytes` count bytes of the stream that `send` writes or `receive` reads. With 0
/// the real `btrfs` is not started at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtrfsFault {
    /// Prints [`StandIn::ERROR_MESSAGE`](crate::StandIn::ERROR_MESSAGE) and exits
    /// with 1.
    FailsAfter { bytes: u64 },
    /// Is killed by SIGKILL, as by the kernel when memory runs out.
    DiesAfter { bytes: u64 },
    /// Exits with 0, as if the stream were complete. A `receive` discards the rest.
    CutsAfter { bytes: u64 },
    /// Inverts one byte of the stream. A `send` exits with 0.
    FlipsByteAt { offset: u64 },
    /// Writes the first bytes, then the whole stream, and exits with 0, like a
    /// `btrfs send` that was suspended and resumed. Only for `send`.
    StartsOverAfter { bytes: u64 },
    /// Neither reads, writes nor exits, until it gets a signal.
    HangsAfter { bytes: u64 },
    /// Hangs, and ignores SIGTERM.
    IgnoresTermAfter { bytes: u64 },
    /// Writes `flood_bytes` to stderr after `after_bytes` of the stream. The stream
    /// is complete.
    FloodsStderr { after_bytes: u64, flood_bytes: u64, exit: ExitAs },
    /// Does all of its work, then exits with 1.
    FailsAtTheEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitAs {
    /// Exits with 0.
    Success,
    /// Exits with 1.
    Failure,
}
