//! Assembles the parts of an upload: the rules of CompleteMultipartUpload.
//!
//! Pure. No byte is read again: the ETag is computed from the MD5s of the parts,
//! a composite checksum from their checksums, and a full-object CRC by combining
//! their CRCs.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html>

use std::collections::BTreeMap;

use s3s::crypto::{self, Checksum as _};
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::model::digest::{self, Algorithm, Checksum, ChecksumKind};
use crate::model::record::{Part, UploadRecord};

/// A part in the list with which a client completes an upload.
#[derive(Clone, Debug)]
pub(crate) struct ListedPart {
    pub(crate) number: i32,
    pub(crate) etag: String,
    pub(crate) checksum: Option<(Algorithm, String)>,
}

/// Further properties that the client expects of the object.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExpectedObject {
    pub(crate) checksum: Option<(Algorithm, String)>,
    pub(crate) kind: Option<ChecksumKind>,
    pub(crate) len: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct AssembledObject {
    pub(crate) parts: Vec<Part>,
    pub(crate) len: u64,
    pub(crate) etag: String,
    pub(crate) checksum: Checksum,
}

pub(crate) fn assemble(
    upload: &UploadRecord,
    uploaded: &BTreeMap<i32, Part>,
    listed: &[ListedPart],
    expected: &ExpectedObject,
    part_bytes_min: u64,
) -> S3Result<AssembledObject> {
    check_order(listed)?;
    let mut parts = Vec::with_capacity(listed.len());
    for line in listed {
        parts.push(find(upload, uploaded, line)?.clone());
    }
    check_sizes(&parts, part_bytes_min)?;
    let assembled = AssembledObject {
        len: parts.iter().map(|part| part.len).sum(),
        etag: etag(&parts),
        checksum: checksum(upload, &parts),
        parts,
    };
    check_expected(&assembled, expected)?;
    Ok(assembled)
}

fn check_order(listed: &[ListedPart]) -> S3Result<()> {
    if listed.is_empty() {
        let message = "You must specify at least one part";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
    }
    if listed.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        let message = "The list of parts was not in ascending order.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidPartOrder, message));
    }
    Ok(())
}

fn find<'a>(
    upload: &UploadRecord,
    uploaded: &'a BTreeMap<i32, Part>,
    line: &ListedPart,
) -> S3Result<&'a Part> {
    let number = line.number;
    let part = uploaded.get(&number).filter(|part| part.etag == line.etag).ok_or_else(|| {
        let message = format!("Part {number} was not uploaded, or its ETag does not match.");
        S3Error::with_message(S3ErrorCode::InvalidPart, message)
    })?;
    match &line.checksum {
        Some((algorithm, value)) if differs(&part.checksum, *algorithm, value) => {
            let message = format!("The checksum of part {number} does not match.");
            Err(S3Error::with_message(S3ErrorCode::InvalidPart, message))
        }
        None if upload.kind == ChecksumKind::Composite => {
            let message = format!(
                "The upload was created using a {} checksum. The complete request must include \
                 the checksum for each part. It was missing for part {number} in the request.",
                part.checksum.algorithm.as_str().to_lowercase()
            );
            Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message))
        }
        Some(_) | None => Ok(part),
    }
}

fn differs(checksum: &Checksum, algorithm: Algorithm, value: &str) -> bool {
    checksum.algorithm != algorithm || checksum.value != value
}

fn check_sizes(parts: &[Part], part_bytes_min: u64) -> S3Result<()> {
    let (_last, others) = parts.split_last().expect("the list is not empty");
    match others.iter().find(|part| part.len < part_bytes_min) {
        Some(part) => {
            let message = format!(
                "Part {} is {} bytes long, the minimum is {part_bytes_min}.",
                part.number, part.len
            );
            Err(S3Error::with_message(S3ErrorCode::EntityTooSmall, message))
        }
        None => Ok(()),
    }
}

fn etag(parts: &[Part]) -> String {
    let mut md5 = crypto::Md5::new();
    for part in parts {
        md5.update(&unhex(&part.etag));
    }
    format!("{}-{}", digest::hex(&md5.finalize()), parts.len())
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |d: u8| (d as char).to_digit(16).expect("ETags of parts are hex") as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

fn checksum(upload: &UploadRecord, parts: &[Part]) -> Checksum {
    let algorithm = upload.algorithm.unwrap_or(Algorithm::Crc64Nvme);
    let values = parts.iter().map(|part| part.checksum.value.as_str());
    let value = match upload.kind {
        ChecksumKind::Composite => digest::compose(algorithm, values),
        ChecksumKind::FullObject => {
            digest::combine(algorithm, values.zip(parts.iter().map(|part| part.len)))
                .expect("a full-object checksum is a CRC")
        }
    };
    Checksum { algorithm, kind: upload.kind, value }
}

fn check_expected(assembled: &AssembledObject, expected: &ExpectedObject) -> S3Result<()> {
    if let Some(len) = expected.len
        && len != assembled.len
    {
        let found = assembled.len;
        let message = format!("x-amz-mp-object-size: expected {len} bytes, found {found}.");
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    if expected.kind.is_some_and(|kind| kind != assembled.checksum.kind) {
        let message = "x-amz-checksum-type does not match the upload.";
        return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
    }
    let Some((algorithm, claim)) = &expected.checksum else { return Ok(()) };
    let found = match algorithm {
        _ if *algorithm == assembled.checksum.algorithm => assembled.checksum.value.clone(),
        Algorithm::Crc64Nvme => crc64nvme(&assembled.parts),
        Algorithm::Crc32 | Algorithm::Crc32c | Algorithm::Sha1 | Algorithm::Sha256 => {
            let message = "The checksum algorithm does not match the one of the upload.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
    };
    if found == *claim { Ok(()) } else { Err(digest::bad_digest(algorithm.as_str())) }
}

/// Returns the CRC64NVME of the whole object, for any algorithm of the upload.
fn crc64nvme(parts: &[Part]) -> String {
    let values: Vec<_> = parts.iter().map(|part| digest::encode_crc64(part.crc64nvme)).collect();
    let lens = parts.iter().map(|part| part.len);
    digest::combine(Algorithm::Crc64Nvme, values.iter().map(String::as_str).zip(lens))
        .expect("CRC64NVME can be combined")
}

#[cfg(test)]
mod tests {
    use s3s::dto::Timestamp;

    use super::*;
    use crate::model::digest::Hasher;
    use crate::model::record::Attributes;

    const MIN: u64 = 4;

    #[test]
    fn a_wrong_list_of_parts_is_refused() {
        use S3ErrorCode::{EntityTooSmall, InvalidPart, InvalidPartOrder, MalformedXML};
        let parts = uploaded(&[b"1111", b"22", b"3333"]);
        let line = |number: i32| listed(&parts[&number]);
        let wrong = ListedPart { etag: "0".repeat(32), ..line(1) };
        let absent = ListedPart { number: 4, ..line(3) };
        #[rustfmt::skip]
        let cases = [
            ("no parts",                vec![],                          MalformedXML),
            ("in reverse order",        vec![line(3), line(1)],          InvalidPartOrder),
            ("the same twice",          vec![line(1), line(1)],          InvalidPartOrder),
            ("a wrong ETag",            vec![wrong],                     InvalidPart),
            ("never uploaded",          vec![line(1), absent],           InvalidPart),
            ("a short one in between",  vec![line(1), line(2), line(3)], EntityTooSmall),
        ];
        for (situation, list, want) in cases {
            let refused = assemble(&upload(), &parts, &list, &ExpectedObject::default(), MIN);
            assert_eq!(*refused.unwrap_err().code(), want, "{situation}");
        }
    }

    #[test]
    fn parts_may_be_omitted_and_the_last_may_be_short() {
        let parts = uploaded(&[b"1111", b"22", b"3333"]);
        let list = [listed(&parts[&1]), listed(&parts[&2])];

        let assembled =
            assemble(&upload(), &parts, &list, &ExpectedObject::default(), MIN).unwrap();

        assert_eq!(assembled.len, 6);
        assert_eq!(assembled.checksum, part(0, b"111122").checksum);
        assert!(assembled.etag.ends_with("-2"), "{}", assembled.etag);
    }

    #[test]
    fn the_expected_checksum_length_and_kind_are_verified() {
        let parts = uploaded(&[b"1111", b"22"]);
        let list = [listed(&parts[&1]), listed(&parts[&2])];
        let crc = |value: String| Some((Algorithm::Crc64Nvme, value));
        let right = crc(part(0, b"111122").checksum.value);
        let wrong = crc(part(0, b"111123").checksum.value);
        #[rustfmt::skip]
        let cases = [
            (ExpectedObject { checksum: right, ..ExpectedObject::default() },                None),
            (ExpectedObject { checksum: wrong, ..ExpectedObject::default() },                Some(S3ErrorCode::BadDigest)),
            (ExpectedObject { len: Some(6), ..ExpectedObject::default() },                   None),
            (ExpectedObject { len: Some(7), ..ExpectedObject::default() },                   Some(S3ErrorCode::InvalidRequest)),
            (ExpectedObject { kind: Some(ChecksumKind::Composite), ..ExpectedObject::default() },    Some(S3ErrorCode::InvalidRequest)),
        ];
        for (expected, want) in cases {
            let refused = assemble(&upload(), &parts, &list, &expected, MIN).err();
            assert_eq!(refused.map(|e| e.code().clone()), want, "{expected:?}");
        }
    }

    #[test]
    fn a_composite_upload_needs_the_checksum_of_each_part() {
        let parts = uploaded(&[b"1111"]);
        let composite = UploadRecord { kind: ChecksumKind::Composite, ..upload() };

        let refused =
            assemble(&composite, &parts, &[listed(&parts[&1])], &ExpectedObject::default(), MIN);

        assert_eq!(*refused.unwrap_err().code(), S3ErrorCode::InvalidRequest);
    }

    fn upload() -> UploadRecord {
        UploadRecord {
            id: "u".to_owned(),
            key: "k".to_owned(),
            order: 1,
            started_at: Timestamp::default(),
            attributes: Attributes::default(),
            algorithm: None,
            kind: ChecksumKind::FullObject,
        }
    }

    fn uploaded(bodies: &[&[u8]]) -> BTreeMap<i32, Part> {
        (1..).zip(bodies).map(|(number, body)| (number, part(number, body))).collect()
    }

    fn part(number: i32, body: &[u8]) -> Part {
        let mut hasher = Hasher::new(Algorithm::Crc64Nvme);
        hasher.update(body);
        let digests = hasher.finish();
        Part {
            number,
            blob: String::new(),
            len: body.len() as u64,
            etag: digest::hex(&digests.md5),
            checksum: digests.checksum,
            crc64nvme: digests.crc64nvme,
            written_at: Timestamp::default(),
        }
    }

    fn listed(part: &Part) -> ListedPart {
        ListedPart { number: part.number, etag: part.etag.clone(), checksum: None }
    }
}
