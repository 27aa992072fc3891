//! RestoreObject, and the state of a restore in other answers.

use std::time::SystemTime;

use http::StatusCode;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::fields::{invalid, invalid_argument};
use super::{Api, with_status};
use crate::model::archive::{ArchiveState, RestoreTerms, Tier};
use crate::model::record::Object;
use crate::storage::restore::RestoreOutcome;

impl Api {
    pub(super) async fn restore(
        &self,
        request: S3Request<dto::RestoreObjectInput>,
    ) -> S3Result<S3Response<dto::RestoreObjectOutput>> {
        let dto::RestoreObjectInput { bucket, key, version_id, restore_request, .. } =
            request.input;
        let terms = terms(restore_request)?;
        let outcome = self
            .work(move |store| store.restore(&bucket, &key, version_id.as_deref(), terms))
            .await?;
        let status = match outcome {
            RestoreOutcome::Started => StatusCode::ACCEPTED,
            RestoreOutcome::Extended => StatusCode::OK,
        };
        Ok(with_status(dto::RestoreObjectOutput::default(), status))
    }
}

fn terms(request: Option<dto::RestoreRequest>) -> S3Result<RestoreTerms> {
    let request = request.unwrap_or_default();
    if request.select_parameters.is_some() || request.output_location.is_some() {
        let message = "This server does not implement SELECT restores.";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    let days = request.days.ok_or_else(|| S3Error::new(S3ErrorCode::MalformedXML))?;
    let days = u32::try_from(days).map_err(|_| invalid_argument("Days must be at least 1"))?;
    let of_job = request.glacier_job_parameters.map(|parameters| parameters.tier);
    let tier = match (of_job, request.tier) {
        (Some(_), Some(_)) => return Err(invalid("Expected one tier, found two.")),
        (of_job, tier) => of_job.or(tier),
    };
    Ok(RestoreTerms { days, tier: parse_tier(tier.as_ref().map(dto::Tier::as_str))? })
}

fn parse_tier(given: Option<&str>) -> S3Result<Tier> {
    match given {
        Some("Expedited") => Ok(Tier::Expedited),
        None | Some("Standard") => Ok(Tier::Standard),
        Some("Bulk") => Ok(Tier::Bulk),
        Some(_) => Err(S3Error::new(S3ErrorCode::MalformedXML)),
    }
}

/// Returns the value of `x-amz-restore`.
pub(super) fn restore_header(state: ArchiveState) -> Option<String> {
    match state {
        ArchiveState::Active | ArchiveState::Archived => None,
        ArchiveState::Restoring => Some(r#"ongoing-request="true""#.to_owned()),
        ArchiveState::Restored { expires_at } => {
            let expiry = http_date(expires_at);
            Some(format!(r#"ongoing-request="false", expiry-date="{expiry}""#))
        }
    }
}

/// Returns the restore status for a listing; `at` is `None` if the client did not
/// ask for it.
pub(super) fn restore_status(
    object: &Object,
    at: Option<SystemTime>,
) -> Option<dto::RestoreStatus> {
    let class = object.attributes.storage_class.as_deref();
    match ArchiveState::of(class, object.restore.as_ref(), at?) {
        ArchiveState::Active | ArchiveState::Archived => None,
        ArchiveState::Restoring => Some(dto::RestoreStatus {
            is_restore_in_progress: Some(true),
            restore_expiry_date: None,
        }),
        ArchiveState::Restored { expires_at } => Some(dto::RestoreStatus {
            is_restore_in_progress: Some(false),
            restore_expiry_date: Some(Timestamp::from(expires_at)),
        }),
    }
}

/// Returns true if the client asked for restore statuses in a listing.
pub(super) fn wants_restore_status(requested: Option<&dto::OptionalObjectAttributesList>) -> bool {
    requested.into_iter().flatten().any(|attribute| attribute.as_str() == "RestoreStatus")
}

fn http_date(time: SystemTime) -> String {
    let mut text = Vec::new();
    let written = Timestamp::from(time).format(TimestampFormat::HttpDate, &mut text);
    written.expect("a date of this millennium is written to memory");
    String::from_utf8(text).expect("a date is ASCII")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_restore_has_its_header_value() {
        let expires_at = UNIX_EPOCH + Duration::from_secs(1_356_048_000);
        #[rustfmt::skip]
        let cases = [
            (ArchiveState::Active,                  None),
            (ArchiveState::Archived,                None),
            (ArchiveState::Restoring,               Some(r#"ongoing-request="true""#)),
            (ArchiveState::Restored { expires_at }, Some(r#"ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT""#)),
        ];
        for (state, want) in cases {
            assert_eq!(restore_header(state).as_deref(), want, "{state:?}");
        }
    }

    #[test]
    fn a_restore_request_is_parsed() {
        let request = |days, tier: Option<&'static str>, of_job: Option<&'static str>| {
            let tier_of = |tier: &'static str| dto::Tier::from_static(tier);
            let of_job = of_job.map(|tier| dto::GlacierJobParameters { tier: tier_of(tier) });
            Some(dto::RestoreRequest {
                days,
                tier: tier.map(tier_of),
                glacier_job_parameters: of_job,
                ..Default::default()
            })
        };
        #[rustfmt::skip]
        let cases = [
            (None,                                             None),
            (request(None,     None,             None),        None),
            (request(Some(-1), None,             None),        None),
            (request(Some(3),  None,             None),        Some((3, Tier::Standard))),
            (request(Some(3),  Some("Bulk"),     None),        Some((3, Tier::Bulk))),
            (request(Some(3),  None, Some("Expedited")),       Some((3, Tier::Expedited))),
            (request(Some(3),  Some("Bulk"), Some("Bulk")),    None),
            (request(Some(3),  Some("Soon"),     None),        None),
        ];
        for (given, want) in cases {
            let got = terms(given.clone()).ok().map(|terms| (terms.days, terms.tier));
            assert_eq!(got, want, "{given:?}");
        }
    }
}
