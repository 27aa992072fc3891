//! IAM policies of `packaging/aws`, and the actions that the calls of a program need.
//!
//! A test denies all calls that a policy does not allow ([`Policy::enforce`]), runs every command that
//! the policy is for, and compares the actions that were needed with those of the policy
//! ([`CallRecord::assert_all_needed`]). So a policy has every action that is needed, and no other.
//!
//! The actions of each call are those of
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>. AWS
//! itself is not asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use s3up_devstore::{DevStore, Op};
use serde_json::Value;

const BUCKET: &str = "arn:aws:s3:::BUCKET";
const OBJECTS: &str = "arn:aws:s3:::BUCKET/PREFIX*";

/// A policy, with the actions that it allows.
pub struct Policy {
    file: PathBuf,
    actions: BTreeSet<String>,
}

/// The calls that a server had counted at one moment.
pub struct CallRecord {
    calls: BTreeMap<Op, u64>,
}

impl Policy {
    /// Reads a policy of `packaging/aws`.
    ///
    /// # Panics
    ///
    /// If a statement does more than allow actions on the bucket or below the prefix, or names an
    /// action for a resource that it does not apply to: AWS ignores such an action silently.
    pub fn read(name: &str) -> Policy {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let file = root.join("packaging/aws").join(name);
        let text = fs::read_to_string(&file).unwrap_or_else(|err| panic!("{file:?}: {err}"));
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!(json["Version"], "2012-10-17", "{name}");
        let mut actions = BTreeSet::new();
        for statement in json["Statement"].as_array().expect("a list of statements") {
            assert_eq!(statement["Effect"], "Allow", "{name}");
            let keys: Vec<_> = statement.as_object().expect("a statement").keys().collect();
            assert_eq!(keys, ["Action", "Effect", "Resource", "Sid"], "{name}");
            for action in statement["Action"].as_array().expect("a list of actions") {
                let action = action.as_str().expect("an action");
                let resource = if is_of_bucket(action) { BUCKET } else { OBJECTS };
                assert_eq!(statement["Resource"], resource, "{name}: {action}");
                assert!(
                    actions.insert(action.to_owned()),
                    "{name}: expected {action} once, found it twice"
                );
            }
        }
        Policy { file, actions }
    }

    /// Lets the server deny every call that this policy does not allow.
    pub fn enforce(&self, s3: &DevStore) {
        let allows = |op: Op| actions_of(op, false).iter().all(|it| self.actions.contains(*it));
        s3.faults().deny(Op::ALL.iter().copied().filter(|op| !allows(*op)));
    }
}

impl CallRecord {
    pub fn start(s3: &DevStore) -> CallRecord {
        let calls = Op::ALL.iter().map(|op| (*op, s3.faults().calls(*op)));
        CallRecord { calls: calls.collect() }
    }

    /// Asserts that the calls since the start needed exactly the actions of a policy.
    #[track_caller]
    pub fn assert_all_needed(&self, s3: &DevStore, policy: &Policy) {
        let faults = s3.faults();
        let called = Op::ALL.iter().filter(|op| faults.calls(**op) > self.calls[*op]);
        let needed: BTreeSet<String> = called
            .flat_map(|op| actions_of(*op, faults.named_version(*op)))
            .map(|action| (*action).to_owned())
            .collect();
        assert_eq!(needed, policy.actions, "needed on the left, allowed by {:?}", policy.file);
    }
}

/// Returns the actions that a call needs, and those for a version of an object if one was named.
fn actions_of(op: Op, of_version: bool) -> &'static [&'static str] {
    match op {
        Op::GetObject | Op::HeadObject if of_version => &["s3:GetObject", "s3:GetObjectVersion"],
        Op::GetObject | Op::HeadObject => &["s3:GetObject"],
        Op::PutObject
        | Op::CreateMultipartUpload
        | Op::UploadPart
        | Op::CompleteMultipartUpload => &["s3:PutObject"],
        Op::CopyObject => &["s3:GetObject", "s3:PutObject"],
        Op::AbortMultipartUpload => &["s3:AbortMultipartUpload"],
        Op::ListParts => &["s3:ListMultipartUploadParts"],
        Op::DeleteObject | Op::DeleteObjects if of_version => {
            &["s3:DeleteObject", "s3:DeleteObjectVersion"]
        }
        Op::DeleteObject | Op::DeleteObjects => &["s3:DeleteObject"],
        Op::GetObjectAttributes => &["s3:GetObject", "s3:GetObjectAttributes"],
        Op::RestoreObject => &["s3:RestoreObject"],
        Op::HeadBucket | Op::ListObjects | Op::ListObjectsV2 => &["s3:ListBucket"],
        Op::ListObjectVersions => &["s3:ListBucketVersions"],
        Op::ListMultipartUploads => &["s3:ListBucketMultipartUploads"],
        Op::GetBucketVersioning => &["s3:GetBucketVersioning"],
        Op::GetBucketLifecycleConfiguration => &["s3:GetLifecycleConfiguration"],
        Op::GetBucketLocation => &["s3:GetBucketLocation"],
        Op::PutBucketLifecycleConfiguration | Op::DeleteBucketLifecycle => {
            &["s3:PutLifecycleConfiguration"]
        }
        Op::PutBucketVersioning => &["s3:PutBucketVersioning"],
        Op::CreateBucket => &["s3:CreateBucket"],
        Op::DeleteBucket => &["s3:DeleteBucket"],
        Op::ListBuckets => &["s3:ListAllMyBuckets"],
    }
}

fn is_of_bucket(action: &str) -> bool {
    matches!(
        action,
        "s3:ListBucket"
            | "s3:ListBucketVersions"
            | "s3:ListBucketMultipartUploads"
            | "s3:GetBucketVersioning"
            | "s3:GetBucketLocation"
            | "s3:GetLifecycleConfiguration"
    )
}
