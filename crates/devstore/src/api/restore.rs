//! RestoreObject, and what is told of a restore elsewhere.

use std::time::SystemTime;

use http::StatusCode;
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto};

use super::fields::{invalid, invalid_argument};
use super::{Api, with_status};
use crate::archive::{State, Tier, Wanted};
use crate::record::Object;
use crate::restore::Taken;

impl Api {
    pub(super) async fn restore(
        &self,
        request: S3Request<dto::RestoreObjectInput>,
    ) -> S3Result<S3Response<dto::RestoreObjectOutput>> {
        let dto::RestoreObjectInput { bucket, key, version_id, restore_request, .. } =
            request.input;
        let wanted = wanted(restore_request)?;
        let taken = self
            .work(move |store| store.restore(&bucket, &key, version_id.as_deref(), wanted))
            .await?;
        let status = match taken {
            Taken::Started => StatusCode::ACCEPTED,
            Taken::Prolonged => StatusCode::OK,
        };
        Ok(with_status(dto::RestoreObjectOutput::default(), status))
    }
}

fn wanted(request: Option<dto::RestoreRequest>) -> S3Result<Wanted> {
    let request = request.unwrap_or_default();
    if request.select_parameters.is_some() || request.output_location.is_some() {
        let message = "This server restores objects and selects nothing from them.";
        return Err(S3Error::with_message(S3ErrorCode::NotImplemented, message));
    }
    let days = request.days.ok_or_else(|| S3Error::new(S3ErrorCode::MalformedXML))?;
    let days = u32::try_from(days).map_err(|_| invalid_argument("Days must be at least 1"))?;
    let of_job = request.glacier_job_parameters.map(|parameters| parameters.tier);
    let tier = match (of_job, request.tier) {
        (Some(_), Some(_)) => return Err(invalid("The tier is given twice.")),
        (of_job, tier) => of_job.or(tier),
    };
    Ok(Wanted { days, tier: parse_tier(tier.as_ref().map(dto::Tier::as_str))? })
}

fn parse_tier(given: Option<&str>) -> S3Result<Tier> {
    match given {
        Some("Expedited") => Ok(Tier::Expedited),
        None | Some("Standard") => Ok(Tier::Standard),
        Some("Bulk") => Ok(Tier::Bulk),
        Some(_) => Err(S3Error::new(S3ErrorCode::MalformedXML)),
    }
}

/// `x-amz-restore`
pub(super) fn restore_header(state: State) -> Option<String> {
    match state {
        State::Active | State::Archived => None,
        State::Restoring => Some(r#"ongoing-request="true""#.to_owned()),
        State::Restored { expires_at } => {
            let expiry = http_date(expires_at);
            Some(format!(r#"ongoing-request="false", expiry-date="{expiry}""#))
        }
    }
}

/// What a listing tells at that time, where it was asked to.
pub(super) fn restore_status(
    object: &Object,
    at: Option<SystemTime>,
) -> Option<dto::RestoreStatus> {
    let class = object.attributes.storage_class.as_deref();
    match State::of(class, object.restore.as_ref(), at?) {
        State::Active | State::Archived => None,
        State::Restoring => Some(dto::RestoreStatus {
            is_restore_in_progress: Some(true),
            restore_expiry_date: None,
        }),
        State::Restored { expires_at } => Some(dto::RestoreStatus {
            is_restore_in_progress: Some(false),
            restore_expiry_date: Some(Timestamp::from(expires_at)),
        }),
    }
}

/// Whether a listing is to tell of restores.
pub(super) fn wants_restore_status(asked: Option<&dto::OptionalObjectAttributesList>) -> bool {
    asked.into_iter().flatten().any(|attribute| attribute.as_str() == "RestoreStatus")
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
    fn how_a_restore_is_told() {
        let expires_at = UNIX_EPOCH + Duration::from_secs(1_356_048_000);
        #[rustfmt::skip]
        let cases = [
            (State::Active,                  None),
            (State::Archived,                None),
            (State::Restoring,               Some(r#"ongoing-request="true""#)),
            (State::Restored { expires_at }, Some(r#"ongoing-request="false", expiry-date="Fri, 21 Dec 2012 00:00:00 GMT""#)),
        ];
        for (state, want) in cases {
            assert_eq!(restore_header(state).as_deref(), want, "{state:?}");
        }
    }

    #[test]
    fn what_is_asked_of_a_restore() {
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
            let got = wanted(given.clone()).ok().map(|wanted| (wanted.days, wanted.tier));
            assert_eq!(got, want, "{given:?}");
        }
    }
}
