//! Fields that many calls share: checksums and attributes.
//!
//! `s3s` has a struct for each call, many of them with the same fields. The macros
//! here read and fill these fields.

use http::{HeaderMap, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders};

use crate::behaviours::{Classes, Encryption};
use crate::model::digest::{Algorithm, Claims};
use crate::model::precondition::ConditionHeaders;
use crate::storage::refusal::refusal;

/// The storage classes of S3. Any other is refused. The list is not the one of `s3up-core`, so that a
/// mistake in one of them fails a test.
const STORAGE_CLASSES: [&str; 9] = [
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
    "EXPRESS_ONEZONE",
];

/// Returns the checksum of an input, if it has one.
macro_rules! checksum_of {
    ($input:expr) => {
        $crate::api::fields::only_one([
            ($crate::model::digest::Algorithm::Crc32, $input.checksum_crc32.clone()),
            ($crate::model::digest::Algorithm::Crc32c, $input.checksum_crc32c.clone()),
            ($crate::model::digest::Algorithm::Crc64Nvme, $input.checksum_crc64nvme.clone()),
            ($crate::model::digest::Algorithm::Sha1, $input.checksum_sha1.clone()),
            ($crate::model::digest::Algorithm::Sha256, $input.checksum_sha256.clone()),
        ])
    };
}

/// Fills the checksum field of an output, but not its type.
macro_rules! fill_checksum {
    ($output:expr, $checksum:expr) => {{
        let value = Some($checksum.value.clone());
        match $checksum.algorithm {
            $crate::model::digest::Algorithm::Crc32 => $output.checksum_crc32 = value,
            $crate::model::digest::Algorithm::Crc32c => $output.checksum_crc32c = value,
            $crate::model::digest::Algorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
            $crate::model::digest::Algorithm::Sha1 => $output.checksum_sha1 = value,
            $crate::model::digest::Algorithm::Sha256 => $output.checksum_sha256 = value,
        }
    }};
}

/// Returns the attributes of a new object from the input of its call.
macro_rules! attributes_of {
    ($input:expr, $behaviours:expr) => {
        $crate::model::record::Attributes {
            cache_control: $input.cache_control.clone(),
            content_disposition: $input.content_disposition.clone(),
            content_encoding: $crate::api::fields::content_encoding(&$input.content_encoding),
            content_language: $input.content_language.clone(),
            content_type: $input.content_type.clone(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
            storage_class: $crate::api::fields::storage_class(
                $input.storage_class.as_ref(),
                $behaviours.classes,
            )?,
            sse: $crate::api::fields::sse(
                $input.server_side_encryption.as_ref(),
                $behaviours.encryption,
            )?,
            sse_kms_key_id: $input.ssekms_key_id.clone(),
        }
    };
}

/// Fills the fields that GetObject and HeadObject share.
macro_rules! fill_object {
    ($output:expr, $found:expr, $checksum:expr, $checksum_mode:expr, $behaviours:expr) => {{
        let (object, attributes) = ($found.object(), $found.object().attributes.clone());
        $output.accept_ranges = Some("bytes".to_owned());
        $output.cache_control = attributes.cache_control;
        $output.content_disposition = attributes.content_disposition;
        $output.content_encoding = attributes.content_encoding;
        $output.content_language = attributes.content_language;
        $output.content_type =
            Some(attributes.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.e_tag =
            Some(s3s::dto::ETag::Strong(object.etag.clone())).filter(|_| $behaviours.tells_etag);
        $output.last_modified = Some($found.version.written_at.clone());
        $output.metadata = Some(attributes.metadata.into_iter().collect());
        $output.server_side_encryption = attributes.sse.map(Into::into);
        $output.ssekms_key_id = attributes.sse_kms_key_id;
        $output.storage_class = attributes.storage_class.map(Into::into);
        $output.version_id = $found.shown_id.clone();
        let is_asked_for = object.tells_checksum
            && $checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == "ENABLED");
        if let Some(checksum) = $checksum.as_ref().filter(|_| is_asked_for) {
            $crate::api::fields::fill_checksum!($output, checksum);
            $output.checksum_type = Some($crate::api::fields::kind(checksum));
        }
    }};
}

pub(super) use {attributes_of, checksum_of, fill_checksum, fill_object};

pub(super) fn only_one(
    given: [(Algorithm, Option<String>); 5],
) -> S3Result<Option<(Algorithm, String)>> {
    let mut given = given.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?)));
    let first = given.next();
    if given.next().is_some() {
        return Err(invalid("Expecting a single x-amz-checksum- header."));
    }
    Ok(first)
}

/// Returns the checksum algorithm that the request announces as a trailer.
pub(super) fn trailing(headers: &HeaderMap, claims: &Claims) -> S3Result<Option<Algorithm>> {
    let announced = headers.get("x-amz-trailer").map(HeaderValue::as_bytes);
    let algorithm = announced.map(|name| {
        let of_name = |a: &Algorithm| a.header().as_bytes().eq_ignore_ascii_case(name);
        Algorithm::ALL.into_iter().find(of_name)
    });
    match algorithm {
        Some(None) => {
            Err(invalid("The value specified in the x-amz-trailer header is not supported"))
        }
        Some(Some(_)) if claims.checksum.is_some() => {
            Err(invalid("Expecting a single x-amz-checksum- header."))
        }
        None if claims.checksum.is_none()
            && headers.contains_key("x-amz-sdk-checksum-algorithm") =>
        {
            Err(invalid(
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* \
                 or x-amz-trailer headers were found.",
            ))
        }
        Some(trailing) => Ok(trailing),
        None => Ok(None),
    }
}

pub(super) fn trailer(
    algorithm: Algorithm,
    trailers: Option<&TrailingHeaders>,
) -> S3Result<String> {
    let name = algorithm.header();
    let found = trailers.and_then(|trailers| {
        trailers.read(|headers| Some(headers.get(name)?.to_str().ok()?.to_owned())).flatten()
    });
    found.ok_or_else(|| {
        let message = format!("expected the announced trailer {name}, found none");
        let mut refusal =
            S3Error::with_message(S3ErrorCode::Custom("MalformedTrailerError".into()), message);
        refusal.set_status_code(StatusCode::BAD_REQUEST);
        refusal
    })
}

/// Removes `aws-chunked`, which describes the transfer and not the object.
pub(super) fn content_encoding(given: &Option<String>) -> Option<String> {
    let kept: Vec<_> = given
        .as_deref()?
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Returns the storage class, and `None` for STANDARD, which S3 never returns.
pub(super) fn storage_class(
    given: Option<&s3s::dto::StorageClass>,
    classes: Classes,
) -> S3Result<Option<String>> {
    let class = match given.map(s3s::dto::StorageClass::as_str) {
        None | Some("STANDARD") => return Ok(None),
        Some(class) => class,
    };
    let is_known = match classes {
        Classes::All => STORAGE_CLASSES.contains(&class),
        Classes::Any => true,
        Classes::Some(known) => known.contains(&class),
        Classes::Standard => false,
    };
    match classes {
        _ if is_known => Ok(Some(class.to_owned())),
        Classes::Some(_) => Err(S3Error::new(S3ErrorCode::InvalidArgument)),
        Classes::All | Classes::Any | Classes::Standard => Err(S3Error::with_message(
            S3ErrorCode::InvalidStorageClass,
            "The storage class you specified is not valid.",
        )),
    }
}

/// Returns the headers of a conditional write. `s3s` removes the quotes of an ETag.
pub(super) fn condition_headers(
    headers: &HeaderMap,
    if_match: Option<s3s::dto::IfMatch>,
    if_none_match: Option<s3s::dto::IfNoneMatch>,
) -> ConditionHeaders {
    let given = headers.get(http::header::IF_MATCH).map(HeaderValue::as_bytes);
    let is_quoted = given.is_some_and(|text| text.starts_with(b"\""));
    ConditionHeaders { if_match, if_none_match, is_quoted }
}

pub(super) fn sse(
    given: Option<&s3s::dto::ServerSideEncryption>,
    encryption: Encryption,
) -> S3Result<Option<String>> {
    match (given.map(s3s::dto::ServerSideEncryption::as_str), encryption) {
        (None, _) | (_, Encryption::Ignored) => Ok(None),
        (Some(_), Encryption::Refused(status)) => Err(refusal(status)),
        (Some(sse), Encryption::Reported | Encryption::ReportedByHead) => known_sse(sse),
    }
}

fn known_sse(sse: &str) -> S3Result<Option<String>> {
    match sse {
        "AES256" | "aws:kms" | "aws:kms:dsse" => Ok(Some(sse.to_owned())),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidEncryptionAlgorithmError,
            "The encryption request you specified is not valid.",
        )),
    }
}

pub(super) fn kind(checksum: &crate::model::digest::Checksum) -> s3s::dto::ChecksumType {
    s3s::dto::ChecksumType::from_static(checksum.kind.as_str())
}

pub(super) fn algorithm_name(algorithm: Algorithm) -> s3s::dto::ChecksumAlgorithm {
    s3s::dto::ChecksumAlgorithm::from_static(algorithm.as_str())
}

pub(super) fn parse_algorithm(
    given: Option<&s3s::dto::ChecksumAlgorithm>,
) -> S3Result<Option<Algorithm>> {
    given.map(|algorithm| Algorithm::parse(algorithm.as_str())).transpose()
}

pub(super) fn invalid(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

pub(super) fn invalid_argument(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_chunked_is_not_stored_as_a_content_encoding() {
        #[rustfmt::skip]
        let cases = [
            (None,                     None),
            (Some("aws-chunked"),      None),
            (Some("gzip"),             Some("gzip")),
            (Some("aws-chunked,gzip"), Some("gzip")),
            (Some("gzip, aws-chunked, br"), Some("gzip,br")),
            (Some(""),                 None),
        ];
        for (given, want) in cases {
            let got = content_encoding(&given.map(str::to_owned));
            assert_eq!(got.as_deref(), want, "{given:?}");
        }
    }

    #[test]
    fn two_checksums_are_refused() {
        let value = || Some("AAAAAA==".to_owned());
        let both = [
            (Algorithm::Crc32, value()),
            (Algorithm::Crc32c, value()),
            (Algorithm::Crc64Nvme, None),
            (Algorithm::Sha1, None),
            (Algorithm::Sha256, None),
        ];
        assert_eq!(*only_one(both).unwrap_err().code(), S3ErrorCode::InvalidRequest);
    }
}
