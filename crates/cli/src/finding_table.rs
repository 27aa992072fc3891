//! A table of the capabilities of an S3 server.

use s3up_core::Severity;
use serde::Serialize;

use crate::table;

/// One capability of a server, also as the JSON output has it.
#[derive(Clone, Debug, Serialize)]
pub struct FindingLine {
    pub capability: String,
    pub severity: Severity,
    pub found: String,
    pub means: String,
    /// `null` if there is nothing to fix.
    pub fix: Option<&'static str>,
}

/// Formats a table of all capabilities, then the meaning and the fix of each that is
/// not as it should be.
pub fn finding_table(lines: &[FindingLine]) -> String {
    let rows = lines.iter().map(|line| {
        [line.capability.clone(), line.severity.as_str().to_owned(), line.found.clone()]
    });
    let mut text = table(["CAPABILITY", "RESULT", "FOUND"], rows);
    for FindingLine { capability, severity, means, fix, .. } in lines {
        if let Some(fix) = fix {
            let severity = severity.as_str();
            text.push_str(&format!("{severity}: {capability}: {means}; {fix}\n"));
        }
    }
    text
}
