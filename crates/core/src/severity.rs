//! The weight of a finding.

use serde::{Deserialize, Serialize};

/// The weight of a finding of `doctor`. The order is that of the weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is as it should be.
    Ok,
    /// It was not examined, or it is of no consequence.
    Note,
    /// A guarantee is kept in another way, which has a condition.
    Warning,
    /// A guarantee is lost.
    Problem,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Problem => "problem",
        }
    }
}
