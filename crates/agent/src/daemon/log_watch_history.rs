//! The events that say how files that existed before are treated.

use crate::files::watch::Watch;
use crate::states::watch_history::{LossEvidence, StoredFiles};

/// Says what happens with files that existed before, if it is not what the configuration says.
pub(crate) fn watch_history_decided(watch: &Watch, evidence: &LossEvidence) {
    let root = watch.root.display();
    match evidence {
        LossEvidence::Stored(StoredFiles::NoneUnknown) => {}
        LossEvidence::Marker => tracing::warn!(
            event = "database_lost",
            watch = %root,
            "the database of this host was lost; asking the gateway for each file and uploading \
             those that it does not have"
        ),
        LossEvidence::Stored(StoredFiles::Unknown(path)) => tracing::warn!(
            event = "database_lost",
            watch = %root,
            path,
            "the gateway has files of this watch that the database does not know; it is asked for \
             each file, and all files that it does not have are uploaded"
        ),
        LossEvidence::Stored(StoredFiles::CannotAsk(reason)) => tracing::warn!(
            event = "watch_history_unknown",
            watch = %root,
            error = reason,
            "cannot find out whether the gateway has files of this watch; uploading all files \
             without a baseline; give the key the right `exists` or `list`"
        ),
    }
}
