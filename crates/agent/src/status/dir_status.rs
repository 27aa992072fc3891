//! The status of the files in one directory and below it.

use std::collections::BTreeMap;

use crate::scanning::live_databases::LiveDatabases;
use crate::scanning::scan::ScanReport;
use crate::scanning::walk::Exclusion;
use crate::states::counts::StateCounts;
use crate::states::decide::ListedProblem;

#[derive(Clone, Debug, Default)]
pub struct DirStatus {
    pub local_path: String,
    pub counts: StateCounts,
    /// Number of excluded entries by reason.
    pub excluded: BTreeMap<Exclusion, u64>,
    pub problems: Vec<ListedProblem>,
    /// Number of protected files whose content could have been replaced without a sign, while no
    /// agent ran.
    pub unprovable: u64,
    pub live_databases: LiveDatabases,
    /// Error of the watch as a whole, which could not be scanned.
    pub error: Option<String>,
}

impl DirStatus {
    pub(super) fn of(local_path: String, report: ScanReport) -> DirStatus {
        DirStatus {
            local_path,
            counts: report.counts,
            excluded: report.excluded,
            problems: report.problems,
            unprovable: report.unprovable,
            live_databases: report.live_databases,
            error: report.error,
        }
    }
}
