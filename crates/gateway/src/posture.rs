//! Findings about the bucket that `doctor` and the dashboard share. Pure.

use s3up_cli::FindingLine;
use s3up_core::{Count, KeyPrefix, Severity};
use s3up_store::{AbortRule, AcceptedRule, ExpiryRules, VersionExpiry};

use crate::fleet::incidents::OLD_VERSIONS_DAYS_MIN;

/// Days after which a lifecycle rule may abort an upload. The longest upload, of 5 TiB, takes some days.
const ABORT_DAYS_MIN: u32 = 2;

pub(crate) fn finding(
    severity: Severity,
    subject: &'static str,
    found: impl Into<String>,
    means: impl Into<String>,
    fix: Option<&'static str>,
) -> FindingLine {
    FindingLine {
        capability: subject.to_owned(),
        severity,
        found: found.into(),
        means: means.into(),
        fix,
    }
}

/// Says what the rule of the bucket for abandoned uploads means.
pub(crate) fn abort_rule(rule: AbortRule) -> FindingLine {
    let subject = "rule for abandoned uploads";
    match rule {
        AbortRule::AfterDays(days) if days < ABORT_DAYS_MIN => finding(
            Severity::Warning,
            subject,
            format!("aborts uploads after {days} day"),
            "an upload that takes longer is lost",
            Some("set DaysAfterInitiation of AbortIncompleteMultipartUpload to 7"),
        ),
        AbortRule::AfterDays(days) => finding(
            Severity::Ok,
            subject,
            format!("aborts uploads after {}", Count(u64::from(days), "day")),
            "S3 aborts the uploads that a crash leaves behind",
            None,
        ),
        AbortRule::Missing => finding(
            Severity::Warning,
            subject,
            "none covers the prefix",
            "the parts that a crash leaves behind cost storage until a gateway starts",
            Some("give the bucket a lifecycle rule AbortIncompleteMultipartUpload of 7 days"),
        ),
        AbortRule::Unknown { reason } => finding(
            Severity::Note,
            subject,
            format!("not known: {reason}"),
            "the server did not say whether it aborts abandoned uploads",
            None,
        ),
    }
}

/// Finds out whether lifecycle rules delete what clients have stored. Those of `accepted` are named all the same.
pub(crate) fn expiry(
    rules: &ExpiryRules,
    accepted: &[AcceptedRule],
    prefix: &KeyPrefix,
) -> FindingLine {
    let below =
        |rules: &ExpiryRules| rules.below(std::iter::once(prefix.as_str())).map_err(str::to_owned);
    let (all, counted) = (below(rules), below(&rules.without(accepted)));
    let (all, counted) = match (all, counted) {
        (Ok(all), Ok(counted)) => (all, counted),
        (Err(reason), _) | (_, Err(reason)) => {
            let found = format!("not known: {reason}");
            let means = "the server did not say whether it deletes files by their age";
            return finding(Severity::Note, EXPIRY, found, means, None);
        }
    };
    match (deletion(&counted), deletion(&all)) {
        (Some(Deletion::OfFiles(found)), _) => finding(
            Severity::Problem,
            EXPIRY,
            found,
            "files that agents take for protected are gone",
            Some(
                "remove the rule, limit it to old versions, or accept it with `s3.accepted_rules`",
            ),
        ),
        (Some(Deletion::OfOldVersions(found)), _) => finding(
            Severity::Warning,
            EXPIRY,
            found,
            "what is overwritten by mistake can be brought back for that time only",
            Some(
                "set NoncurrentDays of NoncurrentVersionExpiration to 30, or accept the rule with `s3.accepted_rules`",
            ),
        ),
        (None, Some(Deletion::OfFiles(found) | Deletion::OfOldVersions(found))) => finding(
            Severity::Note,
            EXPIRY,
            format!("{found}, which `s3.accepted_rules` accepts"),
            "what the rule deletes cannot be restored, although agents take it for protected",
            None,
        ),
        (None, None) => finding(
            Severity::Ok,
            EXPIRY,
            "none deletes a file, or an old version early",
            "what is stored stays",
            None,
        ),
    }
}

const EXPIRY: &str = "rules that delete files";

/// Deletion by a lifecycle rule, in words.
enum Deletion {
    OfFiles(String),
    OfOldVersions(String),
}

fn deletion(found: &VersionExpiry) -> Option<Deletion> {
    if let Some(rule) = &found.newest {
        return Some(Deletion::OfFiles(format!("{rule} deletes files by their age")));
    }
    let (rule, days) = found.old.as_ref().filter(|(_, days)| *days < OLD_VERSIONS_DAYS_MIN)?;
    let days = Count(u64::from(*days), "day");
    Some(Deletion::OfOldVersions(format!("{rule} deletes old versions after {days}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_aborts_too_early_is_a_warning() {
        #[rustfmt::skip]
        let cases = [
            (AbortRule::AfterDays(7),                                Severity::Ok),
            (AbortRule::AfterDays(1),                                Severity::Warning),
            (AbortRule::Missing,                                     Severity::Warning),
            (AbortRule::Unknown { reason: "access denied".into() },  Severity::Note),
        ];
        for (rule, want) in cases {
            let finding = abort_rule(rule);
            assert_eq!(finding.severity, want, "{finding:?}");
            assert_eq!(finding.fix.is_some(), want >= Severity::Warning, "{finding:?}");
        }
    }
}
