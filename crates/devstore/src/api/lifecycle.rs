//! Lifecycle configurations: checked, stored and returned. Nothing expires by
//! them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>

use std::collections::HashSet;

use s3s::dto::{BucketLifecycleConfiguration, ExpirationStatus, LifecycleRule};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, dto};

use super::Api;
use super::fields::{invalid, invalid_argument};
use crate::storage::blob::random_id;

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>
const RULES_MAX: usize = 1000;
const ID_CHARS_MAX: usize = 255;

impl Api {
    pub(super) async fn lifecycle(
        &self,
        request: S3Request<dto::GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<dto::GetBucketLifecycleConfigurationOutput> {
        let found = self.work(move |store| store.lifecycle(&request.input.bucket)).await?;
        Ok(dto::GetBucketLifecycleConfigurationOutput {
            rules: Some(found.rules),
            ..Default::default()
        })
    }

    pub(super) async fn set_lifecycle(
        &self,
        request: S3Request<dto::PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<dto::PutBucketLifecycleConfigurationOutput> {
        let dto::PutBucketLifecycleConfigurationInput { bucket, lifecycle_configuration, .. } =
            request.input;
        let mut configuration = lifecycle_configuration
            .ok_or_else(|| S3Error::new(S3ErrorCode::MissingRequestBodyError))?;
        check(&configuration)?;
        name_rules(&mut configuration)?;
        self.work(move |store| store.set_lifecycle(&bucket, Some(configuration))).await?;
        Ok(dto::PutBucketLifecycleConfigurationOutput::default())
    }

    pub(super) async fn delete_lifecycle(
        &self,
        request: S3Request<dto::DeleteBucketLifecycleInput>,
    ) -> S3Result<dto::DeleteBucketLifecycleOutput> {
        self.work(move |store| store.set_lifecycle(&request.input.bucket, None)).await?;
        Ok(dto::DeleteBucketLifecycleOutput::default())
    }
}

fn check(configuration: &BucketLifecycleConfiguration) -> S3Result<()> {
    let rules = &configuration.rules;
    if !(1..=RULES_MAX).contains(&rules.len()) {
        return Err(malformed("Expected 1 to 1000 rules."));
    }
    rules.iter().try_for_each(check_rule)?;
    let mut ids = HashSet::new();
    match rules.iter().filter_map(|rule| rule.id.as_ref()).all(|id| ids.insert(id)) {
        true => Ok(()),
        false => {
            Err(invalid_argument("Rule ID must be unique. Found same ID for more than one rule"))
        }
    }
}

fn check_rule(rule: &LifecycleRule) -> S3Result<()> {
    if !matches!(rule.status.as_str(), ExpirationStatus::ENABLED | ExpirationStatus::DISABLED) {
        return Err(malformed("Expected the Status Enabled or Disabled."));
    }
    if rule.filter.is_some() == rule.prefix.is_some() {
        return Err(malformed("Expected either a Filter or a Prefix in each rule."));
    }
    if !has_action(rule) {
        return Err(invalid("At least one action needs to be specified in a rule"));
    }
    if rule.id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
        return Err(invalid_argument("ID length should not exceed allowed limit of 255"));
    }
    match days_of(rule).all(|days| days > 0) {
        true => Ok(()),
        false => Err(invalid_argument("'Days' in a rule must be a positive integer")),
    }
}

fn has_action(rule: &LifecycleRule) -> bool {
    rule.expiration.is_some()
        || rule.abort_incomplete_multipart_upload.is_some()
        || rule.noncurrent_version_expiration.is_some()
        || rule.transitions.as_ref().is_some_and(|list| !list.is_empty())
        || rule.noncurrent_version_transitions.as_ref().is_some_and(|list| !list.is_empty())
}

/// Returns the numbers of days that may not be 0. Transitions are not among them,
/// since an object may change its class immediately.
fn days_of(rule: &LifecycleRule) -> impl Iterator<Item = i32> {
    let expiration = rule.expiration.as_ref().and_then(|expiration| expiration.days);
    let abort = rule.abort_incomplete_multipart_upload.as_ref();
    let noncurrent = rule.noncurrent_version_expiration.as_ref();
    [
        expiration,
        abort.and_then(|abort| abort.days_after_initiation),
        noncurrent.and_then(|noncurrent| noncurrent.noncurrent_days),
    ]
    .into_iter()
    .flatten()
}

/// Assigns an id to each rule without one, as S3 does.
fn name_rules(configuration: &mut BucketLifecycleConfiguration) -> S3Result<()> {
    for rule in configuration.rules.iter_mut().filter(|rule| rule.id.is_none()) {
        rule.id = Some(random_id().map_err(S3Error::internal_error)?);
    }
    Ok(())
}

fn malformed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedXML, message)
}

#[cfg(test)]
mod tests {
    use s3s::dto::{AbortIncompleteMultipartUpload, LifecycleExpiration, LifecycleRuleFilter};

    use super::*;

    #[test]
    fn invalid_configurations_are_refused() {
        use S3ErrorCode::{InvalidArgument, InvalidRequest, MalformedXML};
        let fine = || rule(Some("a"), 7);
        let no_action = LifecycleRule { abort_incomplete_multipart_upload: None, ..fine() };
        let odd_status = LifecycleRule { status: ExpirationStatus::from_static("On"), ..fine() };
        let no_filter = LifecycleRule { filter: None, ..fine() };
        let both = LifecycleRule { prefix: Some(String::new()), ..fine() };
        let at_once = LifecycleExpiration { days: Some(0), ..Default::default() };
        let no_days = LifecycleRule { expiration: Some(at_once), ..fine() };
        let long = "x".repeat(256);
        #[rustfmt::skip]
        let cases = [
            ("one rule",          vec![fine()],                          None),
            ("no names",          vec![rule(None, 1), rule(None, 1)],    None),
            ("no rules",          vec![],                                Some(MalformedXML)),
            ("too many",          vec![rule(None, 1); 1001],             Some(MalformedXML)),
            ("an odd status",     vec![odd_status],                      Some(MalformedXML)),
            ("no filter",         vec![no_filter],                       Some(MalformedXML)),
            ("filter and prefix", vec![both],                            Some(MalformedXML)),
            ("no action",         vec![no_action],                       Some(InvalidRequest)),
            ("no days",           vec![no_days],                         Some(InvalidArgument)),
            ("aborted at once",   vec![rule(None, 0)],                   Some(InvalidArgument)),
            ("the same name",     vec![fine(), fine()],                  Some(InvalidArgument)),
            ("a long name",       vec![rule(Some(&long), 1)],            Some(InvalidArgument)),
        ];
        for (situation, rules, want) in cases {
            let got = check(&BucketLifecycleConfiguration { rules }).err();
            assert_eq!(got.map(|e| e.code().clone()), want, "{situation}");
        }
    }

    fn rule(id: Option<&str>, abort_days: i32) -> LifecycleRule {
        LifecycleRule {
            abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload {
                days_after_initiation: Some(abort_days),
            }),
            expiration: None,
            filter: Some(LifecycleRuleFilter::default()),
            id: id.map(str::to_owned),
            noncurrent_version_expiration: None,
            noncurrent_version_transitions: None,
            prefix: None,
            status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
            transitions: None,
        }
    }
}
