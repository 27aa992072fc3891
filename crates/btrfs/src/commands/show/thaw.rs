//! The result of a thaw as text and as JSON.

use jiff::Timestamp;
use s3up_core::{Count, Size};
use s3up_repository::stamp::seconds;
use s3up_repository::thaw::ThawResult;
use serde::Serialize;

use super::cost::{Priced, ThawCostLine, thaw_text};

/// The result of a thaw in the JSON output.
#[derive(Debug, Serialize)]
pub struct ThawLine {
    pub subvolume: String,
    /// `null` if only documents were thawed, or while they are not readable.
    pub manifest: Option<String>,
    /// True if every object that was asked for is readable.
    pub is_ready: bool,
    pub chunks: usize,
    pub chunks_ready: usize,
    /// Number of chunks that are not readable yet.
    pub chunks_archived: usize,
    /// Number of documents that a rule of the bucket archived. They are counted as chunks above.
    pub documents: usize,
    pub bytes: u64,
    pub bytes_ready: u64,
    /// Number of chunks that this run requested.
    pub asked: usize,
    pub extended: usize,
    /// Number of thaws in progress that S3 continues with a faster tier.
    pub sped_up: usize,
    pub waited_seconds: u64,
    /// Time at which the first copy expires.
    pub expires_at: Option<String>,
    /// Cost of what this run requested; `null` if nothing is known of the prices of this server.
    pub cost: Option<Priced<ThawCostLine>>,
}

impl ThawLine {
    pub fn of(
        subvolume: &str,
        manifest: Option<&str>,
        thawed: &ThawResult,
        cost: Option<Priced<ThawCostLine>>,
    ) -> ThawLine {
        let state = &thawed.state;
        let at = state.expires_at.and_then(|at| Timestamp::try_from(at).ok());
        ThawLine {
            subvolume: subvolume.to_owned(),
            manifest: manifest.map(str::to_owned),
            is_ready: thawed.is_ready(),
            chunks: state.total,
            chunks_ready: state.ready,
            chunks_archived: state.total - state.ready,
            documents: state.documents,
            bytes: state.total_bytes,
            bytes_ready: state.ready_bytes,
            asked: thawed.requested,
            extended: thawed.extended,
            sped_up: thawed.sped_up,
            waited_seconds: thawed.waited.as_secs(),
            expires_at: at.map(seconds),
            cost: cost.filter(|_| thawed.requested + thawed.sped_up > 0),
        }
    }
}

/// Formats a thaw: how much of it can be read, then what this run did.
pub fn to_text(line: &ThawLine) -> String {
    let ThawLine { subvolume, manifest, chunks, chunks_ready, asked, extended, .. } = line;
    let all_objects = Count::of(*chunks, if line.documents == 0 { "chunk" } else { "object" });
    let are = if *chunks == 1 { "is" } else { "are" };
    let (ready, all) = (Size(line.bytes_ready), Size(line.bytes));
    let sped_up = match line.sped_up {
        0 => String::new(),
        count => format!(", and sped up {count} in progress"),
    };
    let until = line.expires_at.as_deref();
    let until = until.map(|at| format!("; copies stay until {at}")).unwrap_or_default();
    let cost = line.cost.as_ref().map(|cost| format!("{subvolume}: {}\n", thaw_text(cost)));
    let manifest = manifest.as_ref();
    let manifest = manifest.map(|key| format!("{subvolume}: manifest {key}\n"));
    format!(
        "{subvolume}: {chunks_ready} of {all_objects} {are} readable ({ready} of {all}){until}\n\
         {subvolume}: this run requested {} and extended {}{sped_up}\n\
         {}{}",
        Count::of(*asked, "thaw"),
        Count::of(*extended, "copy"),
        cost.unwrap_or_default(),
        manifest.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use s3up_repository::thaw::ThawState;

    use super::*;

    #[test]
    fn a_thaw_is_described_with_its_progress() {
        let state = ThawState {
            total: 3,
            ready: 1,
            total_bytes: 3 << 20,
            ready_bytes: 1 << 20,
            expires_at: Some(SystemTime::UNIX_EPOCH),
            ..ThawState::default()
        };
        let thawed = ThawResult {
            state,
            requested: 2,
            extended: 1,
            sped_up: 0,
            waited: Duration::from_secs(7),
        };

        let line = ThawLine::of("data", Some("full/m.json"), &thawed, None);

        assert_eq!((line.is_ready, line.chunks_archived, line.waited_seconds), (false, 2, 7));
        assert_eq!(
            to_text(&line),
            "data: 1 of 3 chunks are readable (1.0 MiB of 3.0 MiB); copies stay until \
             1970-01-01T00:00:00Z\ndata: this run requested 2 thaws and extended 1 copy\n\
             data: manifest full/m.json\n"
        );
    }
}
