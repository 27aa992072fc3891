//! A body that does not match its checksum is refused, and nothing is stored.

use std::fs;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedPart, ObjectAttributes,
};
use s3up_devstore::Op;
use s3up_testkit::SwappedBody;

use crate::signed::put_chunked;
use crate::support::{BUCKET, Server, bytes, checking, list_of, refusal, server};

// Checksums of "123456789".
const CRC32: &str = "y/Q5Jg==";
const CRC32C: &str = "4waSgw==";
const CRC64NVME: &str = "rosUhgp5mIg=";
const SHA1: &str = "98O8HYCOBHMq32eZZczDTKeuNEE=";
const SHA256: &str = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
// Checksums of the same bytes twice.
const FULL_CRC32: &str = "S4N65A==";
const FULL_CRC32C: &str = "qGxT9A==";
const FULL_CRC64NVME: &str = "oyJKiIDYJOQ=";
// Composite checksums of two parts with these bytes.
const COMPOSITE_CRC32: &str = "cCOsTw==-2";
const COMPOSITE_CRC32C: &str = "z8fdiQ==-2";
const COMPOSITE_SHA1: &str = "Ilk+i6rfk6Ehj37eRD3mojUbITk=-2";
const COMPOSITE_SHA256: &str = "7BUeeAOE+48vhYy0Cw7HXBFHFesoFphl4nDVSo8wSho=-2";
const MD5: &str = "JfnnlDI7RTiF9RgfG2JNCw==";
const BYTES: &[u8] = b"123456789";

#[tokio::test]
async fn a_correct_checksum_is_echoed_stored_and_returned_on_request() {
    let server = server().await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(BYTES));

    let crc32 = put().checksum_crc32(CRC32).send().await.unwrap();
    assert_eq!(crc32.checksum_crc32(), Some(CRC32));
    assert_eq!(head(&server).await.checksum_crc32(), Some(CRC32));

    let crc32c = put().checksum_crc32_c(CRC32C).send().await.unwrap();
    assert_eq!(crc32c.checksum_crc32_c(), Some(CRC32C));
    assert_eq!(head(&server).await.checksum_crc32_c(), Some(CRC32C));

    let sha256 = put().checksum_sha256(SHA256).send().await.unwrap();
    assert_eq!(sha256.checksum_sha256(), Some(SHA256));
    assert_eq!(head(&server).await.checksum_sha256(), Some(SHA256));
    assert_eq!(head(&server).await.checksum_crc64_nvme(), None, "only one checksum is stored");

    let sha1 = put().checksum_sha1(SHA1).send().await.unwrap();
    assert_eq!(sha1.checksum_sha1(), Some(SHA1));
    assert_eq!(head(&server).await.checksum_sha1(), Some(SHA1));

    let crc64 = put().checksum_crc64_nvme(CRC64NVME).send().await.unwrap();
    assert_eq!(crc64.checksum_crc64_nvme(), Some(CRC64NVME));
    assert_eq!(head(&server).await.checksum_type(), Some(&ChecksumType::FullObject));
}

#[tokio::test]
async fn an_object_without_a_checksum_gets_a_crc64nvme() {
    let server = server().await;
    server.put("key", BYTES).await;

    assert_eq!(head(&server).await.checksum_crc64_nvme(), Some(CRC64NVME));
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_nothing_is_stored() {
    let server = server().await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(b"other"));

    let refusals = [
        refusal(put().checksum_crc32(CRC32).send().await),
        refusal(put().checksum_crc32_c(CRC32C).send().await),
        refusal(put().checksum_crc64_nvme(CRC64NVME).send().await),
        refusal(put().checksum_sha1(SHA1).send().await),
        refusal(put().checksum_sha256(SHA256).send().await),
        refusal(put().content_md5(MD5).send().await),
    ];

    assert_eq!(refusals, ["BadDigest"; 6]);
    assert_eq!(server.keys().await, [""; 0]);
    assert_eq!(server.files("blobs").len() + server.files("tmp").len(), 0);
}

#[tokio::test]
async fn a_malformed_checksum_is_refused() {
    let server = server().await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(BYTES));

    assert_eq!(refusal(put().content_md5("nonsense").send().await), "InvalidDigest");
    assert_eq!(refusal(put().checksum_crc32("nonsense").send().await), "InvalidRequest");
}

#[tokio::test]
async fn a_trailing_checksum_is_verified_and_stored() {
    let server = server().await;
    let put = server.client.put_object().bucket(BUCKET).key("key").body(streamed(&server).await);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc32C).customize();
    put.config_override(checking()).send().await.unwrap();

    let headers = server.faults().headers(Op::PutObject, 1).unwrap();
    assert_eq!(headers["x-amz-trailer"], "x-amz-checksum-crc32c");
    assert_eq!(head(&server).await.checksum_crc32_c(), Some(CRC32C));
    assert_eq!(server.get("key").await, BYTES);
}

#[tokio::test]
async fn a_wrong_trailing_checksum_is_refused_and_nothing_is_stored() {
    let server = server().await;
    let right = [
        (ChecksumAlgorithm::Crc32, CRC32),
        (ChecksumAlgorithm::Crc32C, CRC32C),
        (ChecksumAlgorithm::Crc64Nvme, CRC64NVME),
        (ChecksumAlgorithm::Sha1, SHA1),
        (ChecksumAlgorithm::Sha256, SHA256),
    ];
    for (algorithm, value) in right {
        let name = header(&algorithm);
        let path = format!("/{BUCKET}/key");

        let wrong = put_chunked(&server, &path, BYTES, (&name, &another(value))).await;
        assert_eq!(wrong.0, 400, "{name}");
        assert!(wrong.1.contains("<Code>BadDigest</Code>"), "{name}: {}", wrong.1);
        assert_eq!(server.keys().await, [""; 0], "{name}");

        let right = put_chunked(&server, &path, BYTES, (&name, value)).await;
        assert_eq!(right.0, 200, "{name}: {}", right.1);
        assert_eq!(value_of(&algorithm, &head(&server).await), Some(value));
        server.client.delete_object().bucket(BUCKET).key("key").send().await.unwrap();
    }
    assert_eq!(server.files("blobs").len() + server.files("tmp").len(), 0);
}

#[tokio::test]
async fn a_part_with_a_wrong_trailing_checksum_is_refused_and_not_stored() {
    let server = server().await;
    let id = start(&server, ChecksumAlgorithm::Crc64Nvme, None).await;
    let path = format!("/{BUCKET}/key?partNumber=1&uploadId={id}");
    let name = header(&ChecksumAlgorithm::Crc64Nvme);

    let wrong = put_chunked(&server, &path, BYTES, (&name, &another(CRC64NVME))).await;
    let listed = server.client.list_parts().bucket(BUCKET).key("key").upload_id(&id);
    let listed = listed.send().await.unwrap();
    let right = put_chunked(&server, &path, BYTES, (&name, CRC64NVME)).await;

    assert!(wrong.1.contains("<Code>BadDigest</Code>"), "{}", wrong.1);
    assert_eq!(listed.parts().len(), 0);
    assert_eq!(right.0, 200, "{}", right.1);
}

#[tokio::test]
async fn a_body_that_differs_from_the_signed_one_is_refused() {
    let server = server().await;

    let put = server.client.put_object().bucket(BUCKET).key("key").body(bytes(BYTES)).customize();
    let put = put.interceptor(SwappedBody("987654321".to_owned()));

    assert_eq!(refusal(put.send().await), "XAmzContentSHA256Mismatch");
    assert_eq!(server.keys().await, [""; 0]);
}

/// Two parts of "123456789", with every algorithm and checksum type of S3.
#[tokio::test]
async fn the_checksum_of_an_upload_is_composite_or_covers_all_bytes() {
    use ChecksumAlgorithm::{Crc32, Crc32C, Crc64Nvme, Sha1, Sha256};
    use ChecksumType::{Composite, FullObject};
    let server = server().await;
    #[rustfmt::skip]
    let cases = [
        (Crc32,     Composite,  COMPOSITE_CRC32),
        (Crc32,     FullObject, FULL_CRC32),
        (Crc32C,    Composite,  COMPOSITE_CRC32C),
        (Crc32C,    FullObject, FULL_CRC32C),
        (Crc64Nvme, FullObject, FULL_CRC64NVME),
        (Sha1,      Composite,  COMPOSITE_SHA1),
        (Sha256,    Composite,  COMPOSITE_SHA256),
    ];
    for (algorithm, kind, want) in cases {
        let id = start(&server, algorithm.clone(), Some(kind.clone())).await;
        let parts =
            [part(&server, &id, 1, &algorithm).await, part(&server, &id, 2, &algorithm).await];

        let complete = || {
            let complete = server.client.complete_multipart_upload().bucket(BUCKET).key("key");
            let complete = complete.checksum_type(kind.clone()).upload_id(&id);
            complete.multipart_upload(list_of(parts.clone()))
        };
        let wrong = complete().customize().mutate_request({
            let (name, value) = (header(&algorithm), another(want));
            move |request| {
                request.headers_mut().insert(name.clone(), value.clone());
            }
        });
        assert_eq!(refusal(wrong.send().await), "BadDigest", "{algorithm} {kind}");
        complete().send().await.unwrap();

        let found = head(&server).await;
        assert_eq!(value_of(&algorithm, &found), Some(want), "{algorithm} {kind}");
        assert_eq!(found.checksum_type(), Some(&kind));
    }
}

#[tokio::test]
async fn a_part_of_a_composite_upload_needs_a_checksum() {
    let server = server().await;
    let id = start(&server, ChecksumAlgorithm::Sha256, None).await;
    let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(id).part_number(1);

    assert_eq!(refusal(part.body(bytes(BYTES)).send().await), "InvalidRequest");
}

#[tokio::test]
async fn an_announced_checksum_that_is_missing_is_refused() {
    let server = server().await;
    // The client announces an algorithm, but is configured not to compute it.
    let put = server.client.put_object().bucket(BUCKET).key("key").body(streamed(&server).await);
    let refused = put.checksum_algorithm(ChecksumAlgorithm::Crc32C).send().await;

    assert_eq!(refusal(refused), "InvalidRequest");
}

#[tokio::test]
async fn a_part_with_a_wrong_checksum_is_refused_and_the_stored_one_stays() {
    let server = server().await;
    let started = server.client.create_multipart_upload().bucket(BUCKET).key("key");
    let started = started.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await.unwrap();
    let id = started.upload_id().unwrap();
    let part = || {
        let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(id);
        part.part_number(1).body(bytes(BYTES))
    };

    let right = part().checksum_sha256(SHA256).send().await.unwrap();
    let wrong = part().checksum_sha256(SHA256.replace('F', "G")).send().await;
    let other = part().checksum_crc32(CRC32).send().await;
    let wrong_md5 = part().checksum_sha256(SHA256).content_md5(another(MD5)).send().await;

    assert_eq!(right.checksum_sha256(), Some(SHA256));
    assert_eq!(refusal(wrong), "BadDigest");
    assert_eq!(refusal(other), "InvalidRequest");
    assert_eq!(refusal(wrong_md5), "BadDigest");
    let listed = server.client.list_parts().bucket(BUCKET).key("key").upload_id(id);
    let listed = listed.send().await.unwrap();
    assert_eq!(listed.parts()[0].checksum_sha256(), Some(SHA256));
    assert_eq!(server.files("blobs").len(), 1);
}

#[tokio::test]
async fn the_attributes_of_an_object_have_its_checksum_and_size() {
    let server = server().await;
    server.put("key", BYTES).await;

    let attributes = server.client.get_object_attributes().bucket(BUCKET).key("key");
    let attributes = attributes
        .object_attributes(ObjectAttributes::Checksum)
        .object_attributes(ObjectAttributes::ObjectSize)
        .send()
        .await
        .unwrap();

    assert_eq!(attributes.checksum().unwrap().checksum_crc64_nvme(), Some(CRC64NVME));
    assert_eq!(attributes.object_size(), Some(9));
    assert_eq!(attributes.e_tag(), None, "it was not requested");
}

async fn start(
    server: &Server,
    algorithm: ChecksumAlgorithm,
    kind: Option<ChecksumType>,
) -> String {
    let start = server.client.create_multipart_upload().bucket(BUCKET).key("key");
    let start = start.checksum_algorithm(algorithm).set_checksum_type(kind);
    start.send().await.expect("the upload starts").upload_id.expect("an upload id")
}

async fn part(
    server: &Server,
    id: &str,
    number: i32,
    algorithm: &ChecksumAlgorithm,
) -> CompletedPart {
    let part = server.client.upload_part().bucket(BUCKET).key("key").upload_id(id);
    let part = part.part_number(number).checksum_algorithm(algorithm.clone()).body(bytes(BYTES));
    let put = part.customize().config_override(checking()).send().await.expect("the part is put");
    CompletedPart::builder()
        .part_number(number)
        .set_e_tag(put.e_tag)
        .set_checksum_crc32(put.checksum_crc32)
        .set_checksum_crc32_c(put.checksum_crc32_c)
        .set_checksum_crc64_nvme(put.checksum_crc64_nvme)
        .set_checksum_sha1(put.checksum_sha1)
        .set_checksum_sha256(put.checksum_sha256)
        .build()
}

/// Returns another checksum of the same form.
fn another(value: &str) -> String {
    format!("A{}", &value[1..])
}

fn header(algorithm: &ChecksumAlgorithm) -> String {
    format!("x-amz-checksum-{}", algorithm.as_str().to_lowercase())
}

fn value_of<'a>(algorithm: &ChecksumAlgorithm, head: &'a HeadObjectOutput) -> Option<&'a str> {
    let values = [
        (ChecksumAlgorithm::Crc32, head.checksum_crc32()),
        (ChecksumAlgorithm::Crc32C, head.checksum_crc32_c()),
        (ChecksumAlgorithm::Crc64Nvme, head.checksum_crc64_nvme()),
        (ChecksumAlgorithm::Sha1, head.checksum_sha1()),
        (ChecksumAlgorithm::Sha256, head.checksum_sha256()),
    ];
    values.into_iter().find(|(of, _)| of == algorithm).and_then(|(_, value)| value)
}

/// Returns a body that the client sends in chunks, with the checksum as a trailer.
async fn streamed(server: &Server) -> ByteStream {
    let path = server.dir.path().join("body");
    fs::write(&path, BYTES).expect("the directory is writable");
    ByteStream::from_path(path).await.expect("the file is there")
}

async fn head(server: &Server) -> HeadObjectOutput {
    let head = server.client.head_object().bucket(BUCKET).key("key");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
    head.expect("the object is there")
}
