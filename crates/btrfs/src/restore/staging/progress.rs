//! What a restore has received whole, so that another one can go on from there.
//!
//! Pure. A link counts once it is on disk for good (the filesystem was synced)
//! and this says so; after a kill or a power cut all else is received again.

use btrfs_host::root_times::RootTimes;
use s3up_core::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::restore::uuid_rewrite::UuidSalt;

/// The content of the mark of a staging folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Of the names that links are received under.
    pub salt: UuidSalt,
    /// Digests of the manifests of the links that are whole, from the full on.
    #[serde(default)]
    pub links: Vec<Sha256Digest>,
    /// The newest of them.
    #[serde(default)]
    pub last: Option<ReceivedBackup>,
    /// The UUID of the subvolume that was about to be handed over.
    #[serde(default)]
    pub handed_over: Option<String>,
}

/// A link that was received whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedBackup {
    /// In the folder that links are received into; any bytes.
    pub name: Vec<u8>,
    /// Its own, on this filesystem.
    pub uuid: String,
    pub sent_uuid: [u8; 16],
    pub received_uuid: [u8; 16],
    /// Changes with every change of its content.
    pub ctransid: u64,
    /// What its own folder has to get in the end. None where another version
    /// of this program received it.
    #[serde(default)]
    pub root_times: Option<RootTimes>,
}

impl Progress {
    pub fn none(salt: UuidSalt) -> Progress {
        Progress { salt, links: Vec::new(), last: None, handed_over: None }
    }

    /// Whether what is whole is the beginning of this chain. Then so many links
    /// of it need not be received again.
    pub fn begins(&self, chain: &[Sha256Digest]) -> Option<(usize, &ReceivedBackup)> {
        let last = self.last.as_ref()?;
        let is_newest = self.links.len() == chain.len();
        // Only the newest link is received under its own name, and has to be.
        let is_named = !is_newest || last.sent_uuid == last.received_uuid;
        let fits = !self.links.is_empty() && chain.starts_with(&self.links) && is_named;
        fits.then_some((self.links.len(), last))
    }

    /// One more link is whole.
    pub fn add(&mut self, link: Sha256Digest, last: ReceivedBackup) {
        self.links.push(link);
        self.last = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Situation, links that are whole, name of the last, chain, links of use.
    type Case = (&'static str, &'static [u8], u8, &'static [u8], Option<usize>);

    #[test]
    fn only_the_beginning_of_the_same_chain_is_of_use() {
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
        let (own, made_up) = (1, 2);
        #[rustfmt::skip]
        let cases: [Case; 8] = [
            // situation              whole      name     chain          of use
            ("nothing yet",           &[],       made_up, &[1, 2],       None),
            ("the full",              &[1],      made_up, &[1, 2],       Some(1)),
            ("all but one",           &[1, 2],   made_up, &[1, 2, 3],    Some(2)),
            ("all",                   &[1, 2],   own,     &[1, 2],       Some(2)),
            ("another chain",         &[1, 2],   made_up, &[1, 9, 3],    None),
            ("a newer one by now",    &[1, 2],   own,     &[1, 2, 3],    Some(2)),
            ("an older one",          &[1, 2],   made_up, &[1],          None),
            ("it was not the newest", &[1, 2],   made_up, &[1, 2],       None),
        ];
        for (situation, links, received, chain, want) in cases {
            let mut progress = Progress::none(UuidSalt([1; 16]));
            digests(links).into_iter().for_each(|link| progress.add(link, whole(received)));
            let got = progress.begins(&digests(chain)).map(|(count, _)| count);
            assert_eq!(got, want, "{situation}");
        }
    }
}
