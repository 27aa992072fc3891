//! Selects the bytes of a read: all, a range, or one part.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>

use std::ops::Range;

use http::StatusCode;
use s3s::{S3Error, S3ErrorCode, S3Result, dto};

use super::fields::invalid;
use crate::model::digest::{Checksum, ChecksumKind};
use crate::model::record::{Object, Part};

#[derive(Clone, Copy)]
pub(super) enum Selection {
    All,
    Range(dto::Range),
    Part(i32),
}

pub(super) struct Slice {
    pub(super) range: Range<u64>,
    /// `Content-Range` of an answer with status 206.
    pub(super) content_range: Option<String>,
    /// Checksum of these bytes. A range has none.
    pub(super) checksum: Option<Checksum>,
    /// Number of parts, if one part of a multipart object was read.
    pub(super) parts_count: Option<i32>,
}

impl Selection {
    pub(super) fn new(range: Option<dto::Range>, part_number: Option<i32>) -> S3Result<Selection> {
        match (range, part_number) {
            (None, None) => Ok(Selection::All),
            (Some(range), None) => Ok(Selection::Range(range)),
            (None, Some(number)) => Ok(Selection::Part(number)),
            (Some(_), Some(_)) => Err(invalid("Cannot specify both Range header and partNumber")),
        }
    }

    pub(super) fn of(self, object: &Object) -> S3Result<Slice> {
        match self {
            Selection::All => Ok(Slice {
                range: 0..object.len,
                content_range: None,
                checksum: Some(object.checksum.clone()),
                parts_count: None,
            }),
            Selection::Range(wanted) => {
                let range = satisfiable(wanted, object.len)?;
                let content_range = content_range(&range, object.len);
                Ok(Slice { range, content_range, checksum: None, parts_count: None })
            }
            Selection::Part(number) => part(object, number),
        }
    }
}

fn part(object: &Object, number: i32) -> S3Result<Slice> {
    let mut start = 0;
    for part in &object.parts {
        if part.number == number {
            let range = start..start + part.len;
            return Ok(Slice {
                content_range: content_range(&range, object.len),
                range,
                checksum: checksum_of_part(object, part),
                parts_count: object.upload_id.as_ref().map(|_| object.parts.len() as i32),
            });
        }
        start += part.len;
    }
    let message = "The requested partnumber is not satisfiable";
    let mut refusal =
        S3Error::with_message(S3ErrorCode::Custom("InvalidPartNumber".into()), message);
    refusal.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
    Err(refusal)
}

/// Returns the checksum of a part. S3 returns it if the checksum of the object is
/// composite, or if the object has only this part.
fn checksum_of_part(object: &Object, part: &Part) -> Option<Checksum> {
    let kind = object.checksum.kind;
    let is_returned = kind == ChecksumKind::Composite || object.parts.len() == 1;
    is_returned.then(|| Checksum { kind, ..part.checksum.clone() })
}

fn satisfiable(wanted: dto::Range, len: u64) -> S3Result<Range<u64>> {
    match wanted.check(len) {
        Ok(range) if !range.is_empty() => Ok(range),
        Ok(_) | Err(_) => Err(S3Error::with_message(
            S3ErrorCode::InvalidRange,
            "The requested range is not satisfiable",
        )),
    }
}

/// Returns `None` for an empty range, which `Content-Range` cannot express.
fn content_range(range: &Range<u64>, len: u64) -> Option<String> {
    let last = range.end.checked_sub(1).filter(|_| !range.is_empty())?;
    Some(format!("bytes {}-{last}/{len}", range.start))
}

#[cfg(test)]
mod tests {
    use s3s::dto::{Range as Given, Timestamp};

    use super::*;
    use crate::model::digest::Algorithm;
    use crate::model::record::Attributes;

    #[test]
    fn ranges_are_cut_at_the_end_or_refused() {
        #[rustfmt::skip]
        let cases = [
            ("bytes=0-",    10, Some(0..10)),
            ("bytes=0-0",   10, Some(0..1)),
            ("bytes=3-5",   10, Some(3..6)),
            ("bytes=3-99",  10, Some(3..10)),
            ("bytes=-4",    10, Some(6..10)),
            ("bytes=-99",   10, Some(0..10)),
            ("bytes=10-",   10, None),
            ("bytes=-0",    10, None),
            ("bytes=0-",    0,  None),
            ("bytes=-1",    0,  None),
        ];
        for (text, len, want) in cases {
            let got = satisfiable(Given::parse(text).unwrap(), len);
            assert_eq!(got.ok(), want, "{text} of {len}");
        }
        assert_eq!(content_range(&(3..6), 10).as_deref(), Some("bytes 3-5/10"));
        assert_eq!(content_range(&(0..0), 0), None);
    }

    #[test]
    fn a_part_is_selected_by_its_number() {
        let object = object(&[(1, 4), (3, 2)]);
        #[rustfmt::skip]
        let cases = [
            (1, Some((0..4, "bytes 0-3/6"))),
            (2, None),
            (3, Some((4..6, "bytes 4-5/6"))),
        ];
        for (number, want) in cases {
            let got = Selection::Part(number).of(&object).ok();
            let got = got.map(|slice| (slice.range, slice.content_range.unwrap()));
            assert_eq!(got, want.map(|(range, text)| (range, text.to_owned())), "part {number}");
        }
    }

    #[test]
    fn a_part_has_a_checksum_if_the_object_is_composite_or_has_one_part() {
        #[rustfmt::skip]
        let cases = [
            // parts               kind              returned
            (&[(1, 4)][..],         ChecksumKind::FullObject, true),
            (&[(1, 4)][..],         ChecksumKind::Composite,  true),
            (&[(1, 4), (2, 2)][..], ChecksumKind::FullObject, false),
            (&[(1, 4), (2, 2)][..], ChecksumKind::Composite,  true),
        ];
        for (parts, kind, is_returned) in cases {
            let mut object = object(parts);
            object.checksum.kind = kind;
            let slice = Selection::Part(1).of(&object).unwrap();
            assert_eq!(slice.checksum.is_some(), is_returned, "{parts:?} {kind:?}");
        }
    }

    #[test]
    fn a_range_of_a_part_is_refused() {
        let range = Given::parse("bytes=0-1").unwrap();
        assert!(Selection::new(Some(range), Some(1)).is_err());
    }

    fn object(parts: &[(i32, u64)]) -> Object {
        let checksum = Checksum {
            algorithm: Algorithm::Crc64Nvme,
            kind: ChecksumKind::FullObject,
            value: String::new(),
        };
        let part = |&(number, len): &(i32, u64)| Part {
            number,
            blob: String::new(),
            len,
            etag: String::new(),
            checksum: checksum.clone(),
            crc64nvme: 0,
            written_at: Timestamp::default(),
        };
        Object {
            attributes: Attributes::default(),
            etag: String::new(),
            len: parts.iter().map(|(_, len)| len).sum(),
            checksum: checksum.clone(),
            tells_checksum: true,
            parts: parts.iter().map(part).collect(),
            upload_id: Some("u".to_owned()),
            restore: None,
        }
    }
}
