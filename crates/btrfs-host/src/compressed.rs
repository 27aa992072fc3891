//! Whether data that is compressed on disk is sent as it is: `send.compressed`.
//!
//! That needs protocol 2, which the kernel (6.0) and `btrfs send` (btrfs-progs
//! 6.0) have to know, and so has the host that will receive. What was sent is
//! in the manifest (`stream_protocol`).

use std::ffi::OsStr;
use std::fs;

use crate::tool::Btrfs;

/// The highest protocol of the kernel; kernels that have no such file know 1.
const KERNEL_PROTOCOL: &str = "/sys/fs/btrfs/features/send_stream_version";
const OPTION: &str = "--compressed-data";

/// As configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressed {
    Never,
    /// Where this host can.
    Auto,
    Always,
}

/// How a stream is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protocol 1, all data as it is read.
    Plain,
    /// Protocol 2, compressed data as it is on disk.
    Compressed,
}

/// What this host cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("this kernel sends no protocol 2; that needs Linux 6.0")]
    Kernel,
    #[error("this `btrfs send` has no `--compressed-data`; that needs btrfs-progs 6.0")]
    Program,
}

#[derive(Debug, thiserror::Error)]
#[error("`send.compressed` is `always`; set it to `auto` or `never`")]
pub struct CompressedError(#[source] Unsupported);

/// The form for this host. `auto` says where it falls back.
pub async fn form(wanted: Compressed, btrfs: &Btrfs) -> Result<Form, CompressedError> {
    if wanted == Compressed::Never {
        return Ok(Form::Plain);
    }
    let found = look(btrfs).await;
    if let (Compressed::Auto, Err(missing)) = (wanted, found) {
        tracing::info!(event = "send_not_compressed", "{missing}");
    }
    decide(wanted, found)
}

fn decide(wanted: Compressed, found: Result<(), Unsupported>) -> Result<Form, CompressedError> {
    match (wanted, found) {
        (Compressed::Never, _) | (Compressed::Auto, Err(_)) => Ok(Form::Plain),
        (Compressed::Auto | Compressed::Always, Ok(())) => Ok(Form::Compressed),
        (Compressed::Always, Err(missing)) => Err(CompressedError(missing)),
    }
}

async fn look(btrfs: &Btrfs) -> Result<(), Unsupported> {
    let version = fs::read_to_string(KERNEL_PROTOCOL);
    if !version.is_ok_and(|text| has_protocol_2(&text)) {
        return Err(Unsupported::Kernel);
    }
    // A program that cannot even print its help has no such option.
    match btrfs.run(&["send", "--help"].map(OsStr::new)).await {
        Ok(help) if help.contains(OPTION) => Ok(()),
        Ok(_) | Err(_) => Err(Unsupported::Program),
    }
}

fn has_protocol_2(text: &str) -> bool {
    text.trim().parse().is_ok_and(|version: u32| version >= 2)
}

impl Compressed {
    pub fn word(self) -> &'static str {
        match self {
            Compressed::Never => "never",
            Compressed::Auto => "auto",
            Compressed::Always => "always",
        }
    }
}

impl Form {
    /// For `btrfs send`.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Form::Plain => &[],
            Form::Compressed => &["--proto", "2", OPTION],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        use Compressed::{Always, Auto, Never};
        use Unsupported::{Kernel, Program};
        #[rustfmt::skip]
        let cases = [
            (Never,  Ok(()),       Some(Form::Plain)),
            (Never,  Err(Kernel),  Some(Form::Plain)),
            (Auto,   Ok(()),       Some(Form::Compressed)),
            (Auto,   Err(Kernel),  Some(Form::Plain)),
            (Auto,   Err(Program), Some(Form::Plain)),
            (Always, Ok(()),       Some(Form::Compressed)),
            (Always, Err(Kernel),  None),
            (Always, Err(Program), None),
        ];
        for (wanted, found, want) in cases {
            assert_eq!(decide(wanted, found).ok(), want, "{wanted:?} {found:?}");
        }
    }

    #[test]
    fn versions_of_kernels() {
        for (text, want) in
            [("2\n", true), ("3\n", true), ("1\n", false), ("", false), ("x", false)]
        {
            assert_eq!(has_protocol_2(text), want, "{text:?}");
        }
    }
}
