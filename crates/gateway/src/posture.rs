//! Findings about the bucket that `doctor` and the dashboard share. Pure.

use s3up_cli::FindingLine;
use s3up_core::{Count, KeyPrefix, Severity};
use s3up_store::{AbortRule, ExpiryRules, VersionExpiry};

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

/// Finds out whether lifecycle rules delete what clients have stored.
pub(crate) fn expiry(rules: &ExpiryRules, prefix: &KeyPrefix) -> FindingLine {
    let subject = "rules that delete files";
    match rules.below(std::iter::once(prefix.as_str())) {
        Ok(VersionExpiry { newest: Some(rule), .. }) => finding(
            Severity::Problem,
            subject,
            format!("{rule} deletes files by their age"),
            "files that agents take for protected are gone",
            Some("remove the rule, or limit it to old versions"),
        ),
        Ok(VersionExpiry { old: Some((rule, days)), .. }) if days < OLD_VERSIONS_DAYS_MIN => {
            finding(
                Severity::Warning,
                subject,
                format!("{rule} deletes old versions after {}", Count(u64::from(days), "day")),
                "what is overwritten by mistake can be brought back for that time only",
                Some("set NoncurrentDays of NoncurrentVersionExpiration to 30"),
            )
        }
        Ok(_) => finding(
            Severity::Ok,
            subject,
            "none deletes a file, or an old version early",
            "what is stored stays",
            None,
        ),
        Err(reason) => finding(
            Severity::Note,
            subject,
            format!("not known: {reason}"),
            "the server did not say whether it deletes files by their age",
            None,
        ),
    }
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
