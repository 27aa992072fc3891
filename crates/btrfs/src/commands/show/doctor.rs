//! Prints what a server does and what it means, as a table or as JSON.

use s3up_cli::table;
use s3up_store::Finding;
use serde::Serialize;

/// One capability in the JSON output.
#[derive(Debug, Serialize)]
pub struct FindingLine {
    pub capability: &'static str,
    /// `ok`, `note`, `warning` or `problem`.
    pub severity: &'static str,
    pub found: String,
    pub means: String,
    /// `null` if there is nothing to fix.
    pub fix: Option<&'static str>,
}

impl FindingLine {
    pub fn of(finding: &Finding) -> FindingLine {
        FindingLine {
            capability: finding.subject.as_str(),
            severity: finding.severity.word(),
            found: finding.found.clone(),
            means: finding.means.clone(),
            fix: finding.fix,
        }
    }
}

/// Formats a table of all capabilities, then the meaning and the fix of each that is
/// not as it should be.
pub fn to_table(lines: &[FindingLine]) -> String {
    let header = ["CAPABILITY", "RESULT", "FOUND"];
    let rows = lines
        .iter()
        .map(|line| [line.capability.to_owned(), line.severity.to_owned(), line.found.clone()]);
    let mut text = table(header, rows);
    for FindingLine { capability, severity, means, fix, .. } in lines {
        if let Some(fix) = fix {
            text.push_str(&format!("{severity}: {capability}: {means}; {fix}\n"));
        }
    }
    text
}
