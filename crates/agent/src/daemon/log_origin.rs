//! The events that say how files that existed before are treated.

use crate::files::watch::Watch;
use crate::states::origin::{Evidence, StoredFiles};

/// Says what happens with files that existed before, if it is not what the configuration says.
pub(crate) fn origin_decided(watch: &Watch, evidence: &Evidence) {
    let root = watch.root.display();
    match evidence {
        Evidence::Stored(StoredFiles::NoneUnknown) => {}
        Evidence::Marker => tracing::warn!(
            event = "database_lost",
            watch = %root,
            "an agent ran here before, and its database is gone; the gateway is asked for each \
             file, and all files that it does not have are uploaded"
        ),
        Evidence::Stored(StoredFiles::Unknown(path)) => tracing::warn!(
            event = "database_lost",
            watch = %root,
            path,
            "the gateway has files of this watch that the database does not know; it is asked for \
             each file, and all files that it does not have are uploaded"
        ),
        Evidence::Stored(StoredFiles::CannotAsk(reason)) => tracing::warn!(
            event = "origin_unknown",
            watch = %root,
            error = reason,
            "the gateway does not say whether it has files of this watch, so there is no \
             baseline: all files are uploaded; give the key the right `exists` or `list`"
        ),
    }
}
