//! Decides whether data that is compressed on disk is sent as it is
//! (`send.compressed`).
//!
//! This requires protocol 2, which the kernel (6.0), btrfs-progs (6.0) and the
//! receiving host must support. The manifest records the protocol (`stream_protocol`).

use std::ffi::OsStr;
use std::fs;

use crate::tool::Btrfs;

/// Contains the highest protocol of the kernel. Kernels without this file support
/// protocol 1.
const KERNEL_PROTOCOL: &str = "/sys/fs/btrfs/features/send_stream_version";
const OPTION: &str = "--compressed-data";

/// The setting `send.compressed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressed {
    Never,
    /// If this host supports it.
    Auto,
    Always,
}

/// Form of a send stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protocol 1, with uncompressed data.
    Plain,
    /// Protocol 2, with compressed data as it is on disk.
    Compressed,
}

/// The component that this host lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("this kernel does not support send protocol 2, which needs Linux 6.0")]
    Kernel,
    #[error("this `btrfs send` does not support `--compressed-data`, which needs btrfs-progs 6.0")]
    Program,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`send.compressed` is `always`, but this host does not support it; set it to `auto` or `never`"
)]
pub struct CompressedError(#[source] Unsupported);

/// Returns the form for this host. With `auto`, the log says why it falls back.
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
    // A program that cannot print its help does not support the option.
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
    /// Returns the arguments for `btrfs send`.
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
    fn the_form_follows_setting_and_host() {
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
    fn the_protocol_of_the_kernel_is_parsed() {
        for (text, want) in
            [("2\n", true), ("3\n", true), ("1\n", false), ("", false), ("x", false)]
        {
            assert_eq!(has_protocol_2(text), want, "{text:?}");
        }
    }
}
