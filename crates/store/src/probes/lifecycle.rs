//! The lifecycle rule that aborts multipart uploads which a crash left behind.

use std::time::Duration;

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};
use s3up_core::{KeyPrefix, error_chain};

use crate::error::{Operation, StoreError, StoreErrorKind};
use crate::transport::connect::Store;

/// Says whether S3 aborts multipart uploads below a prefix by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortRule {
    AfterDays(u32),
    /// No rule that is enabled covers the whole prefix.
    Missing,
    /// The credentials have no right to ask, or the server does not know the call.
    Unknown {
        reason: String,
    },
}

impl Store {
    /// Returns the lifecycle rule of the bucket that aborts uploads below `prefix`.
    pub async fn abort_rule(&self, prefix: &KeyPrefix, retry_for: Duration) -> AbortRule {
        match self.lifecycle_rules(retry_for).await {
            Ok(rules) => abort_rule(&rules, prefix.as_str()),
            Err(err) => AbortRule::Unknown { reason: error_chain(&err) },
        }
    }

    /// Returns all lifecycle rules of the bucket.
    pub(super) async fn lifecycle_rules(
        &self,
        retry_for: Duration,
    ) -> Result<Vec<LifecycleRule>, StoreError> {
        let subject = format!("bucket {}", self.bucket());
        let asked = self.retry(retry_for, || {
            let ask = self.client.get_bucket_lifecycle_configuration().bucket(self.bucket());
            self.call(Operation::GetLifecycleRules, &subject, ask.send())
        });
        match asked.await {
            Ok(answer) => Ok(answer.rules.unwrap_or_default()),
            // S3 has an error of its own for it. Any other 404 says nothing of the rules: it may be that
            // of a proxy, or of a server that does not know the call.
            Err(err) if err.kind == StoreErrorKind::NoLifecycleRules => Ok(Vec::new()),
            Err(err) => Err(err),
        }
    }
}

/// Returns the prefix that a rule has outside its filter: its old form, which S3 still returns.
#[expect(deprecated, reason = "old rules have their prefix there")]
pub(super) fn old_prefix(rule: &LifecycleRule) -> Option<&str> {
    rule.prefix()
}

/// Returns the earliest abort by an enabled rule that covers all keys below `prefix`.
fn abort_rule(rules: &[LifecycleRule], prefix: &str) -> AbortRule {
    let days = rules.iter().filter(|rule| covers(rule, prefix)).filter_map(|rule| {
        let abort = rule.abort_incomplete_multipart_upload()?;
        u32::try_from(abort.days_after_initiation()?).ok()
    });
    days.min().map_or(AbortRule::Missing, AbortRule::AfterDays)
}

/// A rule with a filter by tag or size covers no upload for certain.
fn covers(rule: &LifecycleRule, prefix: &str) -> bool {
    let filter = rule.filter();
    let has_other_conditions = filter.is_some_and(|filter| {
        filter.tag().is_some()
            || filter.and().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some()
    });
    let of_rule =
        filter.and_then(|filter| filter.prefix()).or(old_prefix(rule)).unwrap_or_default();
    *rule.status() == ExpirationStatus::Enabled
        && !has_other_conditions
        && prefix.starts_with(of_rule)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{AbortIncompleteMultipartUpload, LifecycleRuleFilter, Tag};

    use super::*;

    #[test]
    fn only_an_enabled_rule_for_the_whole_prefix_counts() {
        let rule = |prefix: Option<&str>, days: Option<i32>, is_enabled: bool| {
            let status =
                if is_enabled { ExpirationStatus::Enabled } else { ExpirationStatus::Disabled };
            let filter = prefix.map(|text| LifecycleRuleFilter::builder().prefix(text).build());
            let abort = days.map(|days| {
                AbortIncompleteMultipartUpload::builder().days_after_initiation(days).build()
            });
            let rule = LifecycleRule::builder().status(status).set_filter(filter);
            rule.set_abort_incomplete_multipart_upload(abort).build().unwrap()
        };
        #[rustfmt::skip]
        let cases = [
            (vec![],                                                        AbortRule::Missing),
            (vec![rule(None, Some(7), true)],                               AbortRule::AfterDays(7)),
            (vec![rule(Some(""), Some(7), true)],                           AbortRule::AfterDays(7)),
            (vec![rule(Some("sites/"), Some(3), true)],                     AbortRule::AfterDays(3)),
            (vec![rule(Some("sites"), Some(3), true)],                      AbortRule::AfterDays(3)),
            (vec![rule(Some("sites/web"), Some(3), true)],                  AbortRule::Missing),
            (vec![rule(Some("other/"), Some(3), true)],                     AbortRule::Missing),
            (vec![rule(None, Some(7), false)],                              AbortRule::Missing),
            (vec![rule(None, None, true)],                                  AbortRule::Missing),
            (vec![rule(None, Some(7), true), rule(Some("s"), Some(2), true)], AbortRule::AfterDays(2)),
        ];
        for (rules, want) in cases {
            assert_eq!(abort_rule(&rules, "sites/"), want, "{rules:?}");
        }
    }

    #[test]
    fn a_rule_for_objects_with_a_tag_does_not_count() {
        let tag = Tag::builder().key("a").value("b").build().unwrap();
        let abort = AbortIncompleteMultipartUpload::builder().days_after_initiation(7).build();
        let rule = LifecycleRule::builder()
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().tag(tag).build())
            .abort_incomplete_multipart_upload(abort);
        assert_eq!(abort_rule(&[rule.build().unwrap()], "sites/"), AbortRule::Missing);
    }
}
