//! Decides the form of send streams: their protocol (`send.protocol`), and whether data
//! that is compressed on disk is sent as it is (`send.compressed`).
//!
//! Protocol 1 sends a hole that was punched into a file as zeros; protocol 2 sends it as a
//! hole. It needs Linux 6.0 to be sent, and btrfs-progs 6.2 to be received without damage.
//! `auto` uses it only where this host could receive its own streams. Compressed data
//! requires protocol 2. The manifest records the protocol (`stream_protocol`).

use std::ffi::OsStr;
use std::fs;

use btrfs_sendstream::{PROTOCOL_2_FROM, ProgsRelease, Protocol};

use crate::tool::Btrfs;

/// Contains the highest protocol of the kernel. Kernels without this file support
/// protocol 1.
const KERNEL_PROTOCOL: &str = "/sys/fs/btrfs/features/send_stream_version";
const OPTION: &str = "--compressed-data";

/// The setting `send.compressed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compressed {
    #[default]
    Never,
    /// Compressed if this host supports it.
    Auto,
    Always,
}

/// The setting `send.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProtocolSetting {
    /// 2 if this host can send and receive it, else 1.
    #[default]
    Auto,
    One,
    Two,
}

/// Both settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FormSetting {
    pub compressed: Compressed,
    pub protocol: ProtocolSetting,
}

/// Form of a send stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Protocol 1.
    Plain,
    /// Protocol 2, with uncompressed data.
    Protocol2,
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
    #[error("this `btrfs receive` does not handle protocol 2, which needs btrfs-progs 6.2")]
    Receive,
}

#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("this host cannot send compressed data")]
    Compressed(#[source] Unsupported),
    #[error("this host cannot send with protocol 2")]
    Protocol(#[source] Unsupported),
}

/// The support of this host. A feature that was not tested, because nothing depends on it, counts as
/// supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Support {
    compressed: Result<(), Unsupported>,
    protocol_2: Result<(), Unsupported>,
}

/// Returns the form for this host. The log says why `auto` falls back.
pub async fn form(wanted: FormSetting, btrfs: &Btrfs) -> Result<Form, FormError> {
    let mut support = Support { compressed: Ok(()), protocol_2: Ok(()) };
    if wanted.compressed != Compressed::Never {
        support.compressed = test_compressed(btrfs).await;
    }
    if wanted.protocol != ProtocolSetting::One {
        support.protocol_2 = test_protocol_2(btrfs).await;
    }
    if let (Compressed::Auto, Err(missing)) = (wanted.compressed, support.compressed) {
        tracing::info!(event = "send_not_compressed", "{missing}");
    }
    if let (ProtocolSetting::Auto, Err(missing)) = (wanted.protocol, support.protocol_2) {
        tracing::info!(event = "send_protocol_1", "{missing}; punched holes are sent as zeros");
    }
    decide(wanted, support)
}

fn decide(wanted: FormSetting, support: Support) -> Result<Form, FormError> {
    match (wanted.compressed, support.compressed) {
        (Compressed::Always, Err(missing)) => return Err(FormError::Compressed(missing)),
        (Compressed::Always, Ok(())) => return Ok(Form::Compressed),
        (Compressed::Auto, Ok(())) if wanted.protocol != ProtocolSetting::One => {
            return Ok(Form::Compressed);
        }
        (Compressed::Auto | Compressed::Never, _) => {}
    }
    match (wanted.protocol, support.protocol_2) {
        (ProtocolSetting::One, _) | (ProtocolSetting::Auto, Err(_)) => Ok(Form::Plain),
        (ProtocolSetting::Auto | ProtocolSetting::Two, Ok(())) => Ok(Form::Protocol2),
        (ProtocolSetting::Two, Err(missing)) => Err(FormError::Protocol(missing)),
    }
}

async fn test_compressed(btrfs: &Btrfs) -> Result<(), Unsupported> {
    test_kernel()?;
    // A program that cannot print its help does not support the option.
    match btrfs.run(&["send", "--help"].map(OsStr::new)).await {
        Ok(help) if help.contains(OPTION) => Ok(()),
        Ok(_) | Err(_) => Err(Unsupported::Program),
    }
}

async fn test_protocol_2(btrfs: &Btrfs) -> Result<(), Unsupported> {
    test_kernel()?;
    // A program whose version is unknown may be an old one.
    match btrfs.version().await {
        Ok(version) if receives_protocol_2(&version) => Ok(()),
        Ok(_) | Err(_) => Err(Unsupported::Receive),
    }
}

fn test_kernel() -> Result<(), Unsupported> {
    let version = fs::read_to_string(KERNEL_PROTOCOL);
    match version.is_ok_and(|text| has_protocol_2(&text)) {
        true => Ok(()),
        false => Err(Unsupported::Kernel),
    }
}

fn has_protocol_2(text: &str) -> bool {
    text.trim().parse().is_ok_and(|version: u32| version >= 2)
}

fn receives_protocol_2(version: &str) -> bool {
    let release = ProgsRelease::parse(version);
    release.is_some() && release >= ProgsRelease::parse(PROTOCOL_2_FROM)
}

impl Compressed {
    pub fn as_str(self) -> &'static str {
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
            Form::Protocol2 => &["--proto", "2"],
            Form::Compressed => &["--proto", "2", OPTION],
        }
    }

    /// Returns the arguments for a `btrfs send` without data.
    pub fn protocol_arguments(self) -> &'static [&'static str] {
        match self {
            Form::Plain => &[],
            Form::Protocol2 | Form::Compressed => &["--proto", "2"],
        }
    }

    pub fn protocol(self) -> Protocol {
        match self {
            Form::Plain => Protocol::V1,
            Form::Protocol2 | Form::Compressed => Protocol::V2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_settings_and_host() {
        use Compressed::{Always, Auto, Never};
        use ProtocolSetting::{Auto as Any, One, Two};
        use Unsupported::{Kernel, Program, Receive};
        const YES: Result<(), Unsupported> = Ok(());
        #[rustfmt::skip]
        let cases = [
            // compressed, protocol, supports compressed, supports protocol 2
            (Never,  Any, YES,          YES,          Some(Form::Protocol2)),
            (Never,  Any, YES,          Err(Kernel),  Some(Form::Plain)),
            (Never,  Any, YES,          Err(Receive), Some(Form::Plain)),
            (Never,  One, YES,          YES,          Some(Form::Plain)),
            (Never,  Two, YES,          YES,          Some(Form::Protocol2)),
            (Never,  Two, YES,          Err(Receive), None),
            (Auto,   Any, YES,          YES,          Some(Form::Compressed)),
            (Auto,   Any, Err(Program), YES,          Some(Form::Protocol2)),
            (Auto,   Any, Err(Kernel),  Err(Kernel),  Some(Form::Plain)),
            (Auto,   One, YES,          YES,          Some(Form::Plain)),
            (Always, Any, YES,          YES,          Some(Form::Compressed)),
            (Always, Two, YES,          Err(Receive), Some(Form::Compressed)),
            (Always, Any, Err(Kernel),  Err(Kernel),  None),
            (Always, Any, Err(Program), YES,          None),
        ];
        for (compressed, protocol, with_compressed, protocol_2, want) in cases {
            let wanted = FormSetting { compressed, protocol };
            let support = Support { compressed: with_compressed, protocol_2 };
            assert_eq!(decide(wanted, support).ok(), want, "{wanted:?} {support:?}");
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

    #[test]
    fn protocol_2_is_sent_by_what_can_receive_it() {
        #[rustfmt::skip]
        let cases = [
            ("6.2", true), ("6.10.1", true), ("7.0-rc1", true),
            ("6.1.3", false), ("5.16.2", false), ("6", false), ("unknown", false), ("", false),
        ];
        for (version, want) in cases {
            assert_eq!(receives_protocol_2(version), want, "{version}");
        }
    }
}
