//! Records which backups a restore has received, so that a later one can resume after them. Pure.
//!
//! A backup counts once the filesystem was synced and this record says so. After a kill or a
//! power cut, all others are received again.

use btrfs_host::root_times::RootTimes;
use s3up_core::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::restore::uuid_rewrite::UuidSalt;

/// Version of the way in which backups are received. A backup that was received in another way may
/// differ, so it is received again. Version 1 sets the attributes last that new files inherit.
const VERSION: u32 = 1;

/// The content of the marker file of a staging directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagingProgress {
    #[serde(default)]
    version: u32,
    /// Makes the UUIDs that backups are received under.
    pub salt: UuidSalt,
    /// Digests of the manifests of the received backups, from the full on.
    #[serde(default, rename = "links")]
    pub received: Vec<Sha256Digest>,
    /// The newest received backup.
    #[serde(default)]
    pub last: Option<ReceivedBackup>,
    /// UUID of the subvolume that was about to be renamed to the target.
    #[serde(default, rename = "handed_over")]
    pub renamed_uuid: Option<String>,
}

/// The received snapshot of one backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedBackup {
    /// Name in the directory that backups are received into; any bytes.
    pub name: Vec<u8>,
    /// Its UUID on this filesystem.
    pub uuid: String,
    pub sent_uuid: [u8; 16],
    pub received_uuid: [u8; 16],
    /// Changes with every change of the snapshot.
    pub ctransid: u64,
    /// Times that its root directory has to get in the end. `None` if another version of
    /// the program received it.
    #[serde(default)]
    pub root_times: Option<RootTimes>,
}

impl StagingProgress {
    pub fn none(salt: UuidSalt) -> StagingProgress {
        StagingProgress {
            version: VERSION,
            salt,
            received: Vec::new(),
            last: None,
            renamed_uuid: None,
        }
    }

    /// Returns how many backups of `chain` need not be received again, and the newest of them,
    /// if the received backups are the beginning of the chain.
    pub fn begins(&self, chain: &[Sha256Digest]) -> Option<(usize, &ReceivedBackup)> {
        let last = self.last.as_ref()?;
        let is_newest = self.received.len() == chain.len();
        // Only the newest backup is received under its own UUID, and must be.
        let has_own_uuid = !is_newest || last.sent_uuid == last.received_uuid;
        let is_begun = !self.received.is_empty() && chain.starts_with(&self.received);
        let fits = self.version == VERSION && is_begun && has_own_uuid;
        fits.then_some((self.received.len(), last))
    }

    /// Adds a received backup.
    pub fn add(&mut self, entry: Sha256Digest, last: ReceivedBackup) {
        self.received.push(entry);
        self.last = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Situation, received backups, UUID of the last, chain, backups to resume after.
    type Case = (&'static str, &'static [u8], u8, &'static [u8], Option<usize>);

    #[test]
    fn a_restore_resumes_only_after_the_beginning_of_its_chain() {
        let digest = |n: u8| Sha256Digest::of(&[n]);
        let digests = |links: &[u8]| links.iter().map(|n| digest(*n)).collect::<Vec<_>>();
        let whole = |received: u8| ReceivedBackup {
            name: b"data".to_vec(),
            uuid: "uuid".to_owned(),
            sent_uuid: [1; 16],
            received_uuid: [received; 16],
            ctransid: 7,
            root_times: None,
        };
        let (own, salted) = (1, 2);
        #[rustfmt::skip]
        let cases: [Case; 8] = [
            // situation              received   uuid     chain          resumes
            ("nothing yet",           &[],       salted, &[1, 2],       None),
            ("the full",              &[1],      salted, &[1, 2],       Some(1)),
            ("all but one",           &[1, 2],   salted, &[1, 2, 3],    Some(2)),
            ("all",                   &[1, 2],   own,     &[1, 2],       Some(2)),
            ("another chain",         &[1, 2],   salted, &[1, 9, 3],    None),
            ("a newer one by now",    &[1, 2],   own,     &[1, 2, 3],    Some(2)),
            ("an older one",          &[1, 2],   salted, &[1],          None),
            ("it was not the newest", &[1, 2],   salted, &[1, 2],       None),
        ];
        for (situation, links, received, chain, want) in cases {
            let mut progress = StagingProgress::none(UuidSalt([1; 16]));
            digests(links).into_iter().for_each(|link| progress.add(link, whole(received)));
            let got = progress.begins(&digests(chain)).map(|(count, _)| count);
            assert_eq!(got, want, "{situation}");
        }
    }

    #[test]
    fn what_another_version_received_is_received_again() {
        let digest = Sha256Digest::of(&[1]);
        let mut progress = StagingProgress::none(UuidSalt([1; 16]));
        let last = ReceivedBackup {
            name: b"data".to_vec(),
            uuid: "uuid".to_owned(),
            sent_uuid: [1; 16],
            received_uuid: [1; 16],
            ctransid: 7,
            root_times: None,
        };
        progress.add(digest, last);
        assert!(progress.begins(&[digest]).is_some());
        let mut json = serde_json::to_value(&progress).unwrap();
        json.as_object_mut().unwrap().remove("version");
        let before: StagingProgress = serde_json::from_value(json).unwrap();
        assert!(before.begins(&[digest]).is_none());
    }
}
