//! Operations on subvolumes and snapshots, each by one call of `btrfs`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::tool::{Btrfs, ToolError};

/// ETXTBSY, as `btrfs` prints it with `LC_ALL=C`.
const BUSY: &str = "Text file busy";

/// The fields of `btrfs subvolume show` that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubvolumeInfo {
    pub uuid: String,
    pub parent_uuid: Option<String>,
    /// UUID of the snapshot that was sent. `None` if this one was not received, or not
    /// completely.
    pub received_uuid: Option<String>,
    pub is_read_only: bool,
    /// Transaction that created the subvolume.
    pub made_transid: u64,
    /// Ctransid of the snapshot that was sent, if this one was received. Old versions
    /// of btrfs-progs do not show it.
    pub send_transid: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum SubvolumeError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("`btrfs subvolume show {path:?}`: expected a field {field}, found none")]
    Show { path: PathBuf, field: &'static str },
}

pub async fn show(btrfs: &Btrfs, path: &Path) -> Result<SubvolumeInfo, SubvolumeError> {
    let text = btrfs.run(&[OsStr::new("subvolume"), OsStr::new("show"), path.as_ref()]).await?;
    parse_shown(&text).map_err(|field| SubvolumeError::Show { path: path.to_owned(), field })
}

pub async fn snapshot_read_only(btrfs: &Btrfs, of: &Path, at: &Path) -> Result<(), ToolError> {
    snapshot(btrfs, &[OsStr::new("-r"), of.as_ref(), at.as_ref()]).await
}

pub async fn snapshot_writable(btrfs: &Btrfs, of: &Path, at: &Path) -> Result<(), ToolError> {
    snapshot(btrfs, &[of.as_ref(), at.as_ref()]).await
}

async fn snapshot(btrfs: &Btrfs, arguments: &[&OsStr]) -> Result<(), ToolError> {
    let call = [&["subvolume", "snapshot"].map(OsStr::new), arguments].concat();
    match btrfs.run(&call).await {
        Ok(_) => Ok(()),
        // The kernel answers ETXTBSY for nothing else here.
        Err(ToolError::Failed { command, outcome }) if outcome.stderr.contains(BUSY) => {
            Err(ToolError::SwapFile { command, outcome })
        }
        Err(err) => Err(err),
    }
}

pub async fn delete(btrfs: &Btrfs, path: &Path) -> Result<(), ToolError> {
    btrfs.run(&[OsStr::new("subvolume"), OsStr::new("delete"), path.as_ref()]).await?;
    Ok(())
}

fn parse_shown(text: &str) -> Result<SubvolumeInfo, &'static str> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name));
        line.and_then(|rest| rest.strip_prefix(':')).map(str::trim)
    };
    // A missing value is written as `-`.
    let optional = |name: &'static str| -> Result<Option<String>, &'static str> {
        let value = field(name).ok_or(name)?;
        Ok((value != "-").then(|| value.to_owned()))
    };
    let number = |name: &str| field(name).and_then(|value| value.parse().ok());
    let uuid = optional("UUID")?.ok_or("UUID")?;
    let parent_uuid = optional("Parent UUID")?;
    let received_uuid = optional("Received UUID")?;
    Ok(SubvolumeInfo {
        uuid,
        parent_uuid,
        send_transid: number("Send transid").filter(|_| received_uuid.is_some()),
        received_uuid,
        made_transid: number("Gen at creation").ok_or("Gen at creation")?,
        is_read_only: field("Flags").ok_or("Flags")?.split(',').any(|flag| flag == "readonly"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: &str = "rc/s1\n\tName: \t\t\ts1\n\tUUID: \t\t\t7bc7a40d-cc4f-fc49-bd00-8a80b120c474\n\tParent UUID: \t\t-\n\tReceived UUID: \t\ta52774ec-fb18-4a43-b645-459222f96360\n\tGeneration: \t\t13\n\tGen at creation: \t10\n\tFlags: \t\t\treadonly\n\tSend transid: \t\t7\n\tSnapshot(s):\n\t\t\t\trc/s2\n";

    #[test]
    fn the_output_of_subvolume_show_is_parsed() {
        let shown = parse_shown(RECEIVED).unwrap();
        assert_eq!(
            shown,
            SubvolumeInfo {
                uuid: "7bc7a40d-cc4f-fc49-bd00-8a80b120c474".to_owned(),
                parent_uuid: None,
                received_uuid: Some("a52774ec-fb18-4a43-b645-459222f96360".to_owned()),
                is_read_only: true,
                made_transid: 10,
                send_transid: Some(7),
            }
        );
        let writable = RECEIVED.replace("readonly", "-");
        assert!(!parse_shown(&writable).unwrap().is_read_only);
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(parse_shown(""), Err("UUID"));
        assert_eq!(parse_shown(&RECEIVED.replace("Flags", "Flag")), Err("Flags"));
        let unknown = RECEIVED.replace("creation", "x");
        assert_eq!(parse_shown(&unknown), Err("Gen at creation"));
        let old = RECEIVED.replace("Send transid", "x");
        assert_eq!(parse_shown(&old).unwrap().send_transid, None);
        assert_eq!(parse_shown(&RECEIVED.replace("Received UUID", "x")), Err("Received UUID"));
    }
}
