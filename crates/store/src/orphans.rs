//! Uploads that were begun twice, because the first answer was lost.
//!
//! S3 gives every CreateMultipartUpload an upload of its own. Where its answer
//! does not arrive, the call is made again, and the first upload would stay,
//! with nobody who knows its id, until a sweep. So the uploads to the same key
//! are listed then, and those that were begun while a failed try was under way,
//! by the clock of the server, are removed: unless this process knows them, or
//! is about to begin another one to the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::MultipartUpload;
use s3up_core::Key;

use crate::connect::Store;
use crate::error::StoreError;

/// Two clocks are compared through one event, so only the time that a call
/// takes blurs the comparison.
const SLACK: Duration = Duration::from_secs(2);
/// What is not found in this time is left to a sweep.
pub(crate) const ORPHANS_RETRY_FOR: Duration = Duration::from_secs(10);

/// The uploads that this process has begun, and those that it is beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun(Arc<Mutex<BTreeMap<Key, OfKey>>>);

#[derive(Debug, Default)]
struct OfKey {
    beginning: usize,
    ids: BTreeSet<String>,
}

/// Counts one upload that is being begun, until it is dropped.
pub(crate) struct Beginning {
    begun: Begun,
    key: Key,
}

/// A failed try: when it began and ended, before the one that succeeded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub began_before: Duration,
    pub ended_before: Duration,
}

impl Begun {
    pub(crate) fn beginning(&self, key: &Key) -> Beginning {
        self.map().entry(key.clone()).or_default().beginning += 1;
        Beginning { begun: self.clone(), key: key.clone() }
    }

    pub(crate) fn add(&self, key: &Key, id: &str) {
        self.map().entry(key.clone()).or_default().ids.insert(id.to_owned());
    }

    pub(crate) fn remove(&self, key: &Key, id: &str) {
        self.change(key, |of_key| of_key.ids.remove(id));
    }

    /// The uploads to this key; `None` where more than one is being begun now.
    fn known(&self, key: &Key) -> Option<BTreeSet<String>> {
        let map = self.map();
        let of_key = map.get(key)?;
        (of_key.beginning <= 1).then(|| of_key.ids.clone())
    }

    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut OfKey) -> T) {
        let mut map = self.map();
        if let Some(of_key) = map.get_mut(key) {
            change(of_key);
            if of_key.beginning == 0 && of_key.ids.is_empty() {
                map.remove(key);
            }
        }
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<Key, OfKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        self.begun.change(&self.key, |of_key| of_key.beginning -= 1);
    }
}

impl Store {
    /// Removes what the lost tries to begin `ours` left. What cannot be removed
    /// is left to a sweep, and is no reason to stop.
    pub(crate) async fn remove_orphans(&self, key: &Key, ours: &str, lost: &[Lost]) {
        if let Err(err) = self.try_remove_orphans(key, ours, lost).await {
            let key = key.as_str();
            tracing::debug!(event = "upload_left_behind", key, "{err}; it is left for a sweep");
        }
    }

    async fn try_remove_orphans(
        &self,
        key: &Key,
        ours: &str,
        lost: &[Lost],
    ) -> Result<(), StoreError> {
        let mut uploads = self.uploads(key.as_str(), ORPHANS_RETRY_FOR);
        let mut listed = Vec::new();
        while let Some(page) = uploads.next_page().await? {
            listed.extend(page.into_iter().filter(|upload| upload.key() == Some(key.as_str())));
        }
        let Some(known) = self.begun.known(key) else { return Ok(()) };
        for id in orphans(&listed, ours, &known, lost) {
            self.abort_upload(key.as_str(), id, ORPHANS_RETRY_FOR).await?;
        }
        Ok(())
    }
}

/// The ids of the uploads that were begun during a lost try.
fn orphans<'a>(
    listed: &'a [MultipartUpload],
    ours: &str,
    known: &BTreeSet<String>,
    lost: &[Lost],
) -> Vec<&'a str> {
    let Some(began_at) = listed.iter().find(|it| it.upload_id() == Some(ours)).and_then(begun_at)
    else {
        return Vec::new();
    };
    let during_a_try = |at: SystemTime| {
        lost.iter().any(|lost| {
            began_at - lost.began_before - SLACK <= at && at <= began_at - lost.ended_before + SLACK
        })
    };
    let strangers = listed.iter().filter(|it| begun_at(it).is_some_and(during_a_try));
    let ids = strangers.filter_map(MultipartUpload::upload_id);
    ids.filter(|id| *id != ours && !known.contains(*id)).collect()
}

/// By the clock of the server.
pub(crate) fn begun_at(upload: &MultipartUpload) -> Option<SystemTime> {
    upload.initiated().and_then(|at| SystemTime::try_from(*at).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(id: &str, second: i64) -> MultipartUpload {
        let at = aws_sdk_s3::primitives::DateTime::from_secs(second);
        MultipartUpload::builder().key("a").upload_id(id).initiated(at).build()
    }

    fn lost(began_before: u64, ended_before: u64) -> Lost {
        Lost {
            began_before: Duration::from_secs(began_before),
            ended_before: Duration::from_secs(ended_before),
        }
    }

    #[test]
    fn only_what_was_begun_during_a_lost_try_is_an_orphan() {
        let known = BTreeSet::from(["known".to_owned()]);
        #[rustfmt::skip]
        let cases = [
            // situation                  other            lost tries                    orphan
            ("during the try",            upload("x", 990),  vec![lost(20, 5)],             true),
            ("just before it",            upload("x", 978),  vec![lost(20, 5)],             true),
            ("long before it",            upload("x", 970),  vec![lost(20, 5)],             false),
            ("after it",                  upload("x", 999),  vec![lost(20, 5)],             false),
            ("during the second try",     upload("x", 990),  vec![lost(50, 40), lost(11, 9)], true),
            ("between two tries",         upload("x", 980),  vec![lost(50, 40), lost(11, 9)], false),
            ("begun by this process",     upload("known", 990), vec![lost(20, 5)],          false),
            ("no try was lost",           upload("x", 990),  vec![],                        false),
        ];
        for (situation, other, lost, is_orphan) in cases {
            let listed = [other, upload("ours", 1000)];
            let found = orphans(&listed, "ours", &known, &lost);
            assert_eq!(!found.is_empty(), is_orphan, "{situation}: {found:?}");
        }
        let alone = [upload("x", 990)];
        assert_eq!(orphans(&alone, "ours", &known, &[lost(20, 5)]), Vec::<&str>::new());
    }

    #[test]
    fn a_key_with_two_beginnings_is_left_alone() {
        let begun = Begun::default();
        let key = Key::parse("a").unwrap();
        let first = begun.beginning(&key);
        begun.add(&key, "1");
        assert_eq!(begun.known(&key), Some(BTreeSet::from(["1".to_owned()])));
        let second = begun.beginning(&key);
        assert_eq!(begun.known(&key), None);
        drop((first, second));
        begun.remove(&key, "1");
        assert!(begun.map().is_empty());
    }
}
