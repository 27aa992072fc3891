//! The section `s3`.

use s3up_cli::config::{ConfigError, Source};
use s3up_core::storage_class::{StorageClass, storage_class_names};
use s3up_store::{AcceptedRule, Bandwidth, Credentials, Profile, Settings, Sse, Timeouts};

use super::raw::{self, S3};

pub(super) fn settings(
    raw: &S3,
    source: &Source,
    buffer_budget_bytes: u64,
) -> Result<Settings, ConfigError> {
    let endpoint = s3up_store::parse_endpoint(raw.endpoint.as_deref())
        .map_err(|err| source.invalid("s3.endpoint", err))?;
    for (key, text) in [("s3.bucket", &raw.bucket), ("s3.region", &raw.region)] {
        if text.is_empty() {
            return Err(source.invalid(key, "expected a name, found an empty text"));
        }
    }
    let profile = match raw.profile {
        None => Profile::of(endpoint.as_deref()),
        Some(raw::Profile::Aws) => Profile::Aws,
        Some(raw::Profile::Generic) => Profile::Generic,
    };
    let sse_default = match profile {
        Profile::Aws => Sse::Aes256,
        Profile::Generic => Sse::Unset,
    };
    Ok(Settings {
        endpoint,
        region: raw.region.clone(),
        bucket: raw.bucket.clone(),
        credentials: credentials(raw, source)?,
        profile,
        ca_file: raw.ca_file.as_ref().map(|path| path.to_path_buf()),
        storage_class: storage_class(raw, source)?,
        sse: Sse::parse(raw.sse.as_deref(), raw.kms_key_id.as_deref(), sse_default)
            .map_err(|err| source.invalid(&format!("s3.{}", err.key()), err))?,
        buffer_budget_bytes,
        timeouts: Timeouts::default(),
        bandwidth: Bandwidth::default(),
    })
}

/// Returns the lifecycle rules that delete what they delete on purpose.
pub(super) fn accepted_rules(raw: &S3) -> Vec<AcceptedRule> {
    let rule = |(id, days): (&String, &u32)| AcceptedRule { id: id.clone(), days: *days };
    raw.accepted_rules.iter().map(rule).collect()
}

fn credentials(raw: &S3, source: &Source) -> Result<Credentials, ConfigError> {
    let id = raw.access_key_id.clone().filter(|id| !id.is_empty());
    let secret = raw.secret_access_key.as_ref().map(|secret| secret.expose().to_owned());
    match (id, secret.filter(|secret| !secret.is_empty())) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Ok(Credentials::Explicit { access_key_id, secret_access_key })
        }
        (None, None) => Ok(Credentials::DefaultChain),
        (Some(_), None) => Err(source.invalid(
            "s3.secret_access_key",
            "expected a value, since `s3.access_key_id` is set; found none",
        )),
        (None, Some(_)) => Err(source.invalid(
            "s3.access_key_id",
            "expected a value, since `s3.secret_access_key` is set; found none",
        )),
    }
}

/// Accepts only classes whose objects can be read at once, as `/download` needs.
fn storage_class(raw: &S3, source: &Source) -> Result<Option<String>, ConfigError> {
    let is_readable = |class: &StorageClass| !class.is_archive();
    match raw.storage_class.as_deref() {
        None | Some("STANDARD") => Ok(None),
        Some(class) if StorageClass::find(class).is_some_and(is_readable) => {
            Ok(Some(class.to_owned()))
        }
        Some(class) => {
            let names = storage_class_names(is_readable);
            let what = format!("expected one of {names}, found {class:?}");
            Err(source.invalid("s3.storage_class", what))
        }
    }
}
