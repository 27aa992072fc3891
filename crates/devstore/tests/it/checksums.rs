//! A body that is not what was said of it is refused, and leaves nothing.

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, ObjectAttributes};
use s3up_devstore::Op;

use crate::support::{BUCKET, Server, bytes, refusal, server};

// Of the bytes "123456789".
const CRC32: &str = "y/Q5Jg==";
const CRC32C: &str = "4waSgw==";
const CRC64NVME: &str = "rosUhgp5mIg=";
const SHA256: &str = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
const MD5: &str = "JfnnlDI7RTiF9RgfG2JNCw==";
const BYTES: &[u8] = b"123456789";

#[tokio::test]
async fn a_right_checksum_is_echoed_kept_and_told_when_asked_for() {
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
    assert_eq!(head(&server).await.checksum_crc64_nvme(), None, "one checksum is kept");

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
        refusal(put().checksum_sha256(SHA256).send().await),
        refusal(put().content_md5(MD5).send().await),
    ];

    assert_eq!(refusals, ["BadDigest"; 5]);
    assert_eq!(server.keys().await, [""; 0]);
    assert_eq!(server.files("blobs").len() + server.files("tmp").len(), 0);
}

#[tokio::test]
async fn a_checksum_that_is_none_is_refused() {
    let server = server().await;
    let put = || server.client.put_object().bucket(BUCKET).key("key").body(bytes(BYTES));

    assert_eq!(refusal(put().content_md5("nonsense").send().await), "InvalidDigest");
    assert_eq!(refusal(put().checksum_crc32("nonsense").send().await), "InvalidRequest");
}

#[tokio::test]
async fn a_checksum_behind_the_body_is_checked_and_kept() {
    let server = server().await;
    let path = server.dir.path().join("body");
    std::fs::write(&path, BYTES).unwrap();
    let stream = aws_sdk_s3::primitives::ByteStream::from_path(&path).await.unwrap();

    let put = server.client.put_object().bucket(BUCKET).key("key").body(stream);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc32C).customize();
    let checking = aws_sdk_s3::Config::builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
    put.config_override(checking).send().await.unwrap();

    let headers = server.faults().headers(Op::PutObject, 1).unwrap();
    assert_eq!(headers["x-amz-trailer"], "x-amz-checksum-crc32c");
    assert_eq!(head(&server).await.checksum_crc32_c(), Some(CRC32C));
    assert_eq!(server.get("key").await, BYTES);
}

#[tokio::test]
async fn a_checksum_that_is_promised_and_not_sent_is_refused() {
    let server = server().await;
    let path = server.dir.path().join("body");
    std::fs::write(&path, BYTES).unwrap();
    let stream = aws_sdk_s3::primitives::ByteStream::from_path(&path).await.unwrap();

    // The client names an algorithm, and is told not to compute it.
    let put = server.client.put_object().bucket(BUCKET).key("key").body(stream);
    let refused = put.checksum_algorithm(ChecksumAlgorithm::Crc32C).send().await;

    assert_eq!(refusal(refused), "InvalidRequest");
}

#[tokio::test]
async fn a_wrong_checksum_of_a_part_is_refused() {
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

    assert_eq!(right.checksum_sha256(), Some(SHA256));
    assert_eq!(refusal(wrong), "BadDigest");
    assert_eq!(refusal(other), "InvalidRequest");
}

#[tokio::test]
async fn the_attributes_of_an_object_tell_its_checksum_and_size() {
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
    assert_eq!(attributes.e_tag(), None, "nobody asked for it");
}

async fn head(server: &Server) -> aws_sdk_s3::operation::head_object::HeadObjectOutput {
    let head = server.client.head_object().bucket(BUCKET).key("key");
    let head = head.checksum_mode(ChecksumMode::Enabled).send().await;
    head.expect("the object is there")
}
