//! Observes the origin of a backup on this host: host, filesystem and subvolume.

use std::fs;
use std::path::Path;

use btrfs_host::filesystem;
use btrfs_host::subvolume;
use btrfs_host::tool::Btrfs;
use s3up_core::{Sha256Digest, error_chain};
use s3up_repository::origin::Origin;

const MACHINE_ID: &str = "/etc/machine-id";
/// A machine id has 32 hex digits: machine-id(5).
const MACHINE_ID_LEN: usize = 32;

/// Identity of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostIdentity {
    /// Host name.
    pub name: String,
    /// `None` if the host has no machine id.
    pub id: Option<String>,
}

impl HostIdentity {
    /// Reads the machine id. It must not leave the host (machine-id(5)), so the identity
    /// is derived from it.
    pub fn read(name: String) -> HostIdentity {
        match fs::read_to_string(MACHINE_ID) {
            Ok(text) => HostIdentity { name, id: derived(&text) },
            Err(err) => {
                tracing::debug!(
                    event = "origin_unknown",
                    "cannot read {MACHINE_ID}, so the host is known by its name only: {err}"
                );
                HostIdentity { name, id: None }
            }
        }
    }

    /// Returns the origin of a subvolume, without the UUID of the subvolume. It needs no
    /// root.
    pub fn origin_of(&self, path: &Path) -> Origin {
        let filesystem_uuid = match filesystem::uuid(path) {
            Ok(uuid) => Some(uuid),
            Err(err) => {
                tracing::debug!(
                    event = "origin_unknown",
                    path = %path.display(),
                    "cannot find the UUID of the filesystem: {}", error_chain(&err)
                );
                None
            }
        };
        let (host, host_id) = (self.name.clone(), self.id.clone());
        Origin { host, host_id, filesystem_uuid, subvolume_uuid: None }
    }

    /// Returns the origin of a subvolume. What cannot be found is left out.
    pub async fn observe(&self, btrfs: &Btrfs, path: &Path) -> Origin {
        let subvolume_uuid = match subvolume::show(btrfs, path).await {
            Ok(shown) => Some(shown.uuid),
            Err(err) => {
                tracing::debug!(
                    event = "origin_unknown",
                    path = %path.display(),
                    "cannot find the UUID of the subvolume: {}", error_chain(&err)
                );
                None
            }
        };
        Origin { subvolume_uuid, ..self.origin_of(path) }
    }
}

fn derived(machine_id: &str) -> Option<String> {
    let id = machine_id.trim();
    let is_id = id.len() == MACHINE_ID_LEN && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A host that was not set up yet has the word "uninitialized".
    is_id.then(|| {
        let digest = Sha256Digest::of(format!("btrfs-to-s3\n{id}").as_bytes()).to_string();
        digest[..MACHINE_ID_LEN].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_derived_from_a_machine_id_only() {
        let id = derived("0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(id, "0123456789abcdef0123456789abcdef");
        assert_ne!(Some(id), derived("0123456789abcdef0123456789abcdee\n"));
        for text in ["", "uninitialized\n", "0123"] {
            assert_eq!(derived(text), None, "{text}");
        }
    }
}
