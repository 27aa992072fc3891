//! The XML documents of S3 that clients read.

use std::fmt::Write;
use std::sync::Arc;

use super::state::{Object, Upload};

const START: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
/// The modification time of every object.
pub const LAST_MODIFIED_XML: &str = "2026-01-01T00:00:00.000Z";

pub fn error(code: &str) -> String {
    format!("{START}<Error><Code>{code}</Code><Message>{code}</Message></Error>")
}

pub fn versioning() -> String {
    format!("{START}<VersioningConfiguration/>")
}

pub fn location() -> String {
    format!("{START}<LocationConstraint/>")
}

pub fn uploads() -> String {
    format!(
        "{START}<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
    )
}

pub fn created(bucket: &str, key: &str, upload_id: &str) -> String {
    let (bucket, key) = (escaped(bucket), escaped(key));
    format!(
        "{START}<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>\
         <UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
    )
}

pub fn completed(bucket: &str, key: &str, etag: &str, crc64nvme: Option<&str>) -> String {
    let (bucket, key, etag) = (escaped(bucket), escaped(key), escaped(etag));
    let checksum = crc64nvme.map(|crc| format!("<ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>"));
    let checksum = checksum.unwrap_or_default();
    format!(
        "{START}<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>\
         <ETag>{etag}</ETag>{checksum}</CompleteMultipartUploadResult>"
    )
}

pub fn parts(upload: &Upload, after: u32, count_max: usize) -> String {
    let mut xml = format!("{START}<ListPartsResult>");
    let rest: Vec<_> = upload.parts.range(after + 1..).collect();
    let page = &rest[..rest.len().min(count_max)];
    for (number, part) in page {
        let crc = part.crc64nvme.as_deref();
        let crc = crc.map(|crc| format!("<ChecksumCRC64NVME>{crc}</ChecksumCRC64NVME>"));
        let (etag, crc) = (escaped(&part.etag), crc.unwrap_or_default());
        add(
            &mut xml,
            format_args!(
                "<Part><PartNumber>{number}</PartNumber><Size>{}</Size><ETag>{etag}</ETag>{crc}</Part>",
                part.bytes
            ),
        );
    }
    let next = page.last().map_or(after, |(number, _)| **number);
    let is_truncated = page.len() < rest.len();
    add(
        &mut xml,
        format_args!(
            "<NextPartNumberMarker>{next}</NextPartNumberMarker>\
             <IsTruncated>{is_truncated}</IsTruncated></ListPartsResult>"
        ),
    );
    xml
}

/// Returns a page of a listing. `next` is the last key of the page if there are
/// more.
pub fn listing(objects: &[(String, Arc<Object>)], next: Option<&str>) -> String {
    let count = objects.len();
    let mut xml = format!("{START}<ListBucketResult><KeyCount>{count}</KeyCount>");
    for (key, object) in objects {
        let (key, etag) = (escaped(key), escaped(&object.etag));
        add(
            &mut xml,
            format_args!(
                "<Contents><Key>{key}</Key><LastModified>{LAST_MODIFIED_XML}</LastModified>\
                 <ETag>{etag}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                object.bytes
            ),
        );
    }
    if let Some(next) = next {
        let next = escaped(next);
        add(
            &mut xml,
            format_args!(
                "<NextContinuationToken>{next}</NextContinuationToken><NextMarker>{next}</NextMarker>"
            ),
        );
    }
    let is_truncated = next.is_some();
    add(&mut xml, format_args!("<IsTruncated>{is_truncated}</IsTruncated></ListBucketResult>"));
    xml
}

pub fn deleted() -> String {
    format!("{START}<DeleteResult/>")
}

/// Returns the keys in a `Delete` document.
pub fn keys_to_delete(body: &str) -> Vec<String> {
    let after = body.split("<Key>").skip(1);
    after.filter_map(|text| text.split_once("</Key>")).map(|(key, _)| unescaped(key)).collect()
}

fn add(xml: &mut String, text: std::fmt::Arguments<'_>) {
    xml.write_fmt(text).expect("writing to a String does not fail");
}

const ESCAPES: [(char, &str); 5] =
    [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&apos;")];

fn escaped(text: &str) -> String {
    let escape = |c: char| ESCAPES.iter().find(|(plain, _)| *plain == c).map(|(_, xml)| *xml);
    text.chars().fold(String::new(), |mut xml, c| {
        match escape(c) {
            Some(escape) => xml.push_str(escape),
            None => xml.push(c),
        }
        xml
    })
}

fn unescaped(xml: &str) -> String {
    ESCAPES
        .iter()
        .rev()
        .fold(xml.to_owned(), |text, (plain, escape)| text.replace(escape, &plain.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_to_delete_are_unescaped() {
        let odd = "a&<b>'\"&lt;";
        let body = format!("<Delete><Object><Key>{}</Key></Object></Delete>", escaped(odd));
        assert_eq!(keys_to_delete(&body), [odd]);
    }
}
