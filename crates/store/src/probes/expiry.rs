//! The lifecycle rules of the bucket that delete versions of objects: the newest ones, or those that were
//! overwritten.
//!
//! A rule for objects with a tag may cover any object, because others may tag it.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>

use std::time::Duration;

use aws_sdk_s3::types::{ExpirationStatus, LifecycleRule};
use s3up_core::{Key, error_chain};

use crate::probes::lifecycle::old_prefix;
use crate::transport::connect::Store;

/// The rules that delete versions, or why they are not known.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpiryRules {
    Known(Vec<ExpiryRule>),
    /// The credentials have no right to ask, or the server does not know the call.
    Unknown {
        reason: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExpiryRule {
    id: String,
    prefix: String,
    larger_than: Option<u64>,
    smaller_than: Option<u64>,
    /// Days after which the rule deletes a newest version. A rule for a date has 0: it deletes also what was stored
    /// the day before.
    newest_days: Option<u32>,
    /// Days after which the rule deletes a version that was overwritten.
    old_version_days: Option<u32>,
}

/// A rule that deletes what it deletes on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedRule {
    pub id: String,
    /// The rule may delete versions that are this old, and no younger ones.
    pub days: u32,
}

/// The rule that deletes the old versions of an object first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldVersionRule<'r> {
    pub id: &'r str,
    pub days: u32,
}

/// The lifecycle rules that delete the most below some prefixes, each by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionExpiry {
    /// One that deletes newest versions.
    pub newest: Option<String>,
    /// The one that deletes overwritten versions first, and after how many days.
    pub old: Option<(String, u32)>,
}

impl Store {
    /// Returns the enabled lifecycle rules of the bucket that delete versions.
    pub async fn expiry_rules(&self, retry_for: Duration) -> ExpiryRules {
        match self.lifecycle_rules(retry_for).await {
            Ok(rules) => ExpiryRules::of(&rules),
            Err(err) => ExpiryRules::Unknown { reason: error_chain(&err) },
        }
    }
}

impl ExpiryRules {
    fn of(rules: &[LifecycleRule]) -> ExpiryRules {
        ExpiryRules::Known(rules.iter().filter_map(ExpiryRule::of).collect())
    }

    /// Returns these rules without those that are accepted. A rule that deletes sooner than that is not.
    pub fn without(&self, accepted: &[AcceptedRule]) -> ExpiryRules {
        match self {
            ExpiryRules::Unknown { .. } => self.clone(),
            ExpiryRules::Known(rules) => {
                let others = rules.iter().filter(|rule| !rule.is_accepted(accepted));
                ExpiryRules::Known(others.cloned().collect())
            }
        }
    }

    /// Returns the rules that delete the most below any of `prefixes`.
    pub fn below<'p>(
        &self,
        prefixes: impl Iterator<Item = &'p str> + Clone,
    ) -> Result<VersionExpiry, &str> {
        let rules = match self {
            ExpiryRules::Unknown { reason } => return Err(reason),
            ExpiryRules::Known(rules) => rules,
        };
        let covers = |rule: &&ExpiryRule| prefixes.clone().any(|prefix| rule.touches(prefix));
        let rules = || rules.iter().filter(covers);
        let newest = rules().find(|rule| rule.newest_days.is_some()).map(|rule| rule.id.clone());
        let old = rules().filter_map(|rule| Some((rule.id.clone(), rule.old_version_days?)));
        Ok(VersionExpiry { newest, old: old.min_by_key(|(_, days)| *days) })
    }

    /// Returns the name of a rule that deletes the newest version of the object, or may delete it.
    pub fn rule_for(&self, key: &Key, size: u64) -> Result<Option<&str>, &str> {
        let mut rules = self.covering(key, size)?;
        Ok(rules.find(|rule| rule.newest_days.is_some()).map(|rule| rule.id.as_str()))
    }

    /// Returns the rule that deletes the object first once it is an old version, or may delete it.
    pub fn old_version_rule_for(
        &self,
        key: &Key,
        size: u64,
    ) -> Result<Option<OldVersionRule<'_>>, &str> {
        let rules = self.covering(key, size)?.filter_map(|rule| {
            let days = rule.old_version_days?;
            Some(OldVersionRule { id: &rule.id, days })
        });
        Ok(rules.min_by_key(|rule| rule.days))
    }

    fn covering(&self, key: &Key, size: u64) -> Result<impl Iterator<Item = &ExpiryRule>, &str> {
        match self {
            ExpiryRules::Unknown { reason } => Err(reason),
            ExpiryRules::Known(rules) => {
                Ok(rules.iter().filter(move |rule| rule.covers(key.as_str(), size)))
            }
        }
    }
}

impl ExpiryRule {
    /// Returns `None` for a rule that deletes no version.
    fn of(rule: &LifecycleRule) -> Option<ExpiryRule> {
        let days_of = |days: i32| u32::try_from(days).unwrap_or(0);
        let newest_days = rule
            .expiration()
            .and_then(|it| it.days().map(days_of).or_else(|| it.date().map(|_| 0)));
        let old_versions = rule.noncurrent_version_expiration();
        // Without a number of days it may delete them at once.
        let old_version_days = old_versions.map(|it| it.noncurrent_days().map_or(0, days_of));
        let deletes = newest_days.is_some() || old_version_days.is_some();
        if !deletes || *rule.status() == ExpirationStatus::Disabled {
            return None;
        }
        let filter = rule.filter();
        let and = filter.and_then(|filter| filter.and());
        let prefix = filter.and_then(|filter| filter.prefix());
        let prefix = prefix.or_else(|| and?.prefix()).or(old_prefix(rule)).unwrap_or_default();
        let larger_than = filter.and_then(|filter| filter.object_size_greater_than());
        let smaller_than = filter.and_then(|filter| filter.object_size_less_than());
        let bytes = |size: Option<i64>| size.and_then(|size| u64::try_from(size).ok());
        Some(ExpiryRule {
            id: rule.id().unwrap_or("without a name").to_owned(),
            prefix: prefix.to_owned(),
            larger_than: bytes(larger_than.or_else(|| and?.object_size_greater_than())),
            smaller_than: bytes(smaller_than.or_else(|| and?.object_size_less_than())),
            newest_days,
            old_version_days,
        })
    }

    fn is_accepted(&self, accepted: &[AcceptedRule]) -> bool {
        let mut accepted = accepted.iter().filter(|it| it.id == self.id);
        let days = [self.newest_days, self.old_version_days];
        accepted.any(|it| days.into_iter().flatten().all(|days| days >= it.days))
    }

    /// Returns true if the rule covers some key below `prefix`.
    fn touches(&self, prefix: &str) -> bool {
        prefix.starts_with(&self.prefix) || self.prefix.starts_with(prefix)
    }

    fn covers(&self, key: &str, size: u64) -> bool {
        key.starts_with(&self.prefix)
            && self.larger_than.is_none_or(|limit| size > limit)
            && self.smaller_than.is_none_or(|limit| size < limit)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::types::{
        LifecycleExpiration, LifecycleRuleAndOperator, LifecycleRuleFilter,
        NoncurrentVersionExpiration, Tag,
    };

    use super::*;

    #[test]
    fn a_rule_that_may_delete_the_object_is_found() {
        let days = || LifecycleExpiration::builder().days(30).build();
        let markers = LifecycleExpiration::builder().expired_object_delete_marker(true).build();
        let prefix = |text: &str| LifecycleRuleFilter::builder().prefix(text).build();
        let tag = || Tag::builder().key("a").value("b").build().unwrap();
        let tagged = LifecycleRuleFilter::builder().tag(tag()).build();
        let and = |text: &str| {
            let and = LifecycleRuleAndOperator::builder().prefix(text).tags(tag());
            LifecycleRuleFilter::builder().and(and.build()).build()
        };
        let larger = LifecycleRuleFilter::builder().object_size_greater_than(100).build();
        let smaller = LifecycleRuleFilter::builder().object_size_less_than(100).build();
        let on = ExpirationStatus::Enabled;
        #[rustfmt::skip]
        let cases = [
            ("all objects",              Some(days()),  None,                    on.clone(), true),
            ("its prefix",               Some(days()),  Some(prefix("w/up")),    on.clone(), true),
            ("another prefix",           Some(days()),  Some(prefix("x/")),      on.clone(), false),
            ("not enabled",              Some(days()),  None,                    ExpirationStatus::Disabled, false),
            ("delete markers only",      Some(markers), None,                    on.clone(), false),
            ("deletes no object",        None,          None,                    on.clone(), false),
            ("tagged objects",           Some(days()),  Some(tagged),            on.clone(), true),
            ("tagged, its prefix",       Some(days()),  Some(and("w/")),         on.clone(), true),
            ("tagged, another prefix",   Some(days()),  Some(and("x/")),         on.clone(), false),
            ("larger objects",           Some(days()),  Some(larger),            on.clone(), false),
            ("smaller objects",          Some(days()),  Some(smaller),           on.clone(), true),
        ];
        let key = Key::parse("w/uploads/a").unwrap();
        for (name, expiration, filter, status, want) in cases {
            let old = NoncurrentVersionExpiration::builder().noncurrent_days(1).build();
            let rule = LifecycleRule::builder().id("r").status(status).set_filter(filter);
            let rule = rule.set_expiration(expiration).noncurrent_version_expiration(old);
            let rules = ExpiryRules::of(&[rule.build().unwrap()]);
            assert_eq!(rules.rule_for(&key, 10), Ok(want.then_some("r")), "{name}");
        }
    }

    #[test]
    fn the_rule_that_deletes_an_old_version_first_is_found() {
        let rule = |id: &str, prefix: &str, days: Option<i32>, status: ExpirationStatus| {
            let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
            let old = NoncurrentVersionExpiration::builder().set_noncurrent_days(days).build();
            let rule = LifecycleRule::builder().id(id).status(status).filter(filter);
            rule.noncurrent_version_expiration(old).build().unwrap()
        };
        let (on, off) = (ExpirationStatus::Enabled, ExpirationStatus::Disabled);
        let newest = LifecycleExpiration::builder().days(1).build();
        let newest =
            LifecycleRule::builder().id("n").status(on.clone()).expiration(newest).build().unwrap();
        let all = || rule("all", "", Some(90), on.clone());
        #[rustfmt::skip]
        let cases = [
            ("no rule",            vec![],                                             None),
            ("all objects",        vec![all()],                                        Some(("all", 90))),
            ("its prefix, sooner", vec![all(), rule("p", "w/up", Some(7), on.clone())], Some(("p", 7))),
            ("another prefix",     vec![all(), rule("p", "x/", Some(7), on.clone())],   Some(("all", 90))),
            ("not enabled",        vec![rule("p", "", Some(7), off)],                  None),
            ("no number of days",  vec![rule("p", "", None, on.clone())],              Some(("p", 0))),
            ("of the newest",      vec![newest],                                       None),
        ];
        let key = Key::parse("w/uploads/a").unwrap();
        for (name, rules, want) in cases {
            let rules = ExpiryRules::of(&rules);
            let found = rules.old_version_rule_for(&key, 10).unwrap();
            assert_eq!(found.map(|rule| (rule.id, rule.days)), want, "{name}");
        }
    }

    #[test]
    fn the_rules_that_delete_the_most_below_a_prefix_are_found() {
        let rule = |id: &str, prefix: &str, newest: Option<i32>, old: Option<i32>| {
            let filter = LifecycleRuleFilter::builder().prefix(prefix).build();
            let newest = newest.map(|days| LifecycleExpiration::builder().days(days).build());
            let old = old
                .map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build());
            let rule = LifecycleRule::builder().id(id).filter(filter);
            let rule = rule.status(ExpirationStatus::Enabled).set_expiration(newest);
            rule.set_noncurrent_version_expiration(old).build().unwrap()
        };
        let found = |newest: Option<&str>, old: Option<(&str, u32)>| VersionExpiry {
            newest: newest.map(str::to_owned),
            old: old.map(|(id, days)| (id.to_owned(), days)),
        };
        #[rustfmt::skip]
        let cases = [
            (vec![],                                                              found(None, None)),
            (vec![rule("a", "", None, Some(30))],                                 found(None, Some(("a", 30)))),
            (vec![rule("a", "", None, Some(30)), rule("b", "w/", None, Some(3))], found(None, Some(("b", 3)))),
            (vec![rule("a", "w/up", Some(9), None)],                              found(Some("a"), None)),
            (vec![rule("a", "x/", Some(9), Some(1))],                             found(None, None)),
            (vec![rule("a", "we/", Some(9), Some(1))],                            found(None, None)),
            (vec![rule("a", "v/", Some(9), Some(1))],                             found(Some("a"), Some(("a", 1)))),
        ];
        for (rules, want) in cases {
            let prefixes = ["v/", "w/"].into_iter();
            assert_eq!(ExpiryRules::of(&rules).below(prefixes), Ok(want), "{rules:?}");
        }
        let unknown = ExpiryRules::Unknown { reason: "denied".to_owned() };
        assert_eq!(unknown.below(std::iter::empty()), Err("denied"));
    }

    #[test]
    fn an_accepted_rule_counts_once_it_deletes_sooner() {
        let rule = |newest: Option<i32>, old: Option<i32>| {
            let newest = newest.map(|days| LifecycleExpiration::builder().days(days).build());
            let old = old
                .map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(days).build());
            let rule = LifecycleRule::builder().id("tidy").status(ExpirationStatus::Enabled);
            let rule = rule.set_expiration(newest).set_noncurrent_version_expiration(old);
            ExpiryRules::of(&[rule.build().unwrap()])
        };
        let date = aws_sdk_s3::primitives::DateTime::from_secs(0);
        let date = LifecycleExpiration::builder().date(date).build();
        let date = LifecycleRule::builder().id("tidy").expiration(date);
        let date = ExpiryRules::of(&[date.status(ExpirationStatus::Enabled).build().unwrap()]);
        #[rustfmt::skip]
        let cases = [
            // rule                        accepted        counts
            (rule(Some(90), None),         ("tidy", 90),   false),
            (rule(Some(91), None),         ("tidy", 90),   false),
            (rule(Some(89), None),         ("tidy", 90),   true),
            (rule(Some(90), None),         ("other", 90),  true),
            (rule(None, Some(3)),          ("tidy", 3),    false),
            (rule(None, Some(2)),          ("tidy", 3),    true),
            (rule(Some(90), Some(1)),      ("tidy", 90),   true),
            (rule(Some(90), Some(1)),      ("tidy", 1),    false),
            (date.clone(),                 ("tidy", 1),    true),
            (date,                         ("tidy", 0),    false),
        ];
        for (rules, (id, days), counts) in cases {
            let accepted = [AcceptedRule { id: id.to_owned(), days }];
            let left = rules.without(&accepted);
            let want = if counts { rules } else { ExpiryRules::Known(Vec::new()) };
            assert_eq!(left, want, "{accepted:?}");
        }
        let unknown = ExpiryRules::Unknown { reason: "denied".to_owned() };
        assert_eq!(unknown.without(&[]), unknown);
    }

    #[test]
    fn rules_that_are_not_known_are_no_absence_of_rules() {
        let rules = ExpiryRules::Unknown { reason: "denied".to_owned() };
        let key = Key::parse("a").unwrap();
        assert_eq!(rules.rule_for(&key, 1), Err("denied"));
        assert_eq!(rules.old_version_rule_for(&key, 1), Err("denied"));
    }
}
