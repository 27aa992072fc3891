//! Checksums of a PUT: how they protect the body, and how they are reported later.

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ObjectAttributes};
use s3up_testkit::SwappedBody;

use super::server::{BODY, Server, crc64nvme, wrong_crc64nvme};
use super::verdict::{Differs, Held, Verdict, is, refused, some};

const MD5_OF_OTHER_BYTES: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";
const SHA256: &str = "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=";
const SHA256_OF_OTHER_BYTES: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

pub async fn a_put_echoes_its_crc64nvme(server: &Server) -> Verdict {
    let crc = crc64nvme(BODY);

    let put = server.put("key", BODY).checksum_crc64_nvme(&crc).send().await?;

    is("echo", put.checksum_crc64_nvme(), Some(crc.as_str()))?;
    server.has("key", BODY).await?;
    Ok(Held)
}

pub async fn a_put_with_a_wrong_crc64nvme_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", BODY).checksum_crc64_nvme(wrong_crc64nvme()).send().await;

    refused(put, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_put_with_a_wrong_sha256_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", BODY).checksum_sha256(SHA256_OF_OTHER_BYTES).send().await;

    refused(put, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_put_with_a_wrong_content_md5_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", BODY).content_md5(MD5_OF_OTHER_BYTES).send().await;

    refused(put, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_put_of_other_bytes_than_were_signed_is_refused(server: &Server) -> Verdict {
    let put = server.put("key", BODY).customize();
    let put = put.interceptor(SwappedBody("987654321".to_owned())).send().await;

    refused(put, &["400", "403"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

/// With a checksum that the server verifies, a second hash proves nothing more.
pub async fn a_put_without_a_signed_payload_is_accepted(server: &Server) -> Verdict {
    let put = server.put("key", BODY).checksum_crc64_nvme(crc64nvme(BODY));

    put.customize().disable_payload_signing().send().await?;

    server.has("key", BODY).await?;
    Ok(Held)
}

pub async fn a_wrong_crc64nvme_is_refused_without_a_signed_payload(server: &Server) -> Verdict {
    let put = server.put("key", BODY).checksum_crc64_nvme(wrong_crc64nvme());

    let put = put.customize().disable_payload_signing().send().await;

    refused(put, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn a_crc64nvme_trailer_is_stored(server: &Server) -> Verdict {
    put_with_trailer(server).await?;

    let head = server.head("key").checksum_mode(ChecksumMode::Enabled).send().await?;
    is("checksum", head.checksum_crc64_nvme(), Some(crc64nvme(BODY).as_str()))?;
    server.has("key", BODY).await?;
    Ok(Held)
}

pub async fn head_reports_the_crc64nvme(server: &Server) -> Verdict {
    server.put("key", BODY).checksum_crc64_nvme(crc64nvme(BODY)).send().await?;

    let head = server.head("key").checksum_mode(ChecksumMode::Enabled).send().await?;

    is("checksum", head.checksum_crc64_nvme(), Some(crc64nvme(BODY).as_str()))?;
    Ok(Held)
}

pub async fn get_reports_the_crc64nvme(server: &Server) -> Verdict {
    server.put("key", BODY).checksum_crc64_nvme(crc64nvme(BODY)).send().await?;

    let got = server.get("key").checksum_mode(ChecksumMode::Enabled).send().await?;

    is("checksum", got.checksum_crc64_nvme(), Some(crc64nvme(BODY).as_str()))?;
    Ok(Held)
}

pub async fn get_object_attributes_reports_the_crc64nvme(server: &Server) -> Verdict {
    server.put("key", BODY).checksum_crc64_nvme(crc64nvme(BODY)).send().await?;

    let call = server.client.get_object_attributes().bucket(&server.bucket).key(server.key("key"));
    let call = call.object_attributes(ObjectAttributes::Checksum);
    let attributes = call.object_attributes(ObjectAttributes::ObjectSize).send().await?;

    is("size", attributes.object_size(), Some(BODY.len() as i64))?;
    let checksum = some("checksum", attributes.checksum)?;
    is("checksum", checksum.checksum_crc64_nvme(), Some(crc64nvme(BODY).as_str()))?;
    Ok(Held)
}

pub async fn a_put_without_a_checksum_gets_a_crc64nvme(server: &Server) -> Verdict {
    server.stored("key", BODY).await?;

    let head = server.head("key").checksum_mode(ChecksumMode::Enabled).send().await?;

    is("checksum", head.checksum_crc64_nvme(), Some(crc64nvme(BODY).as_str()))?;
    Ok(Held)
}

pub async fn a_sha256_is_echoed_and_reported(server: &Server) -> Verdict {
    let put = server.put("key", BODY).checksum_sha256(SHA256).send().await?;
    is("echo", put.checksum_sha256(), Some(SHA256))?;

    let head = server.head("key").checksum_mode(ChecksumMode::Enabled).send().await?;

    is("checksum", head.checksum_sha256(), Some(SHA256))?;
    Ok(Held)
}

/// Puts an object whose body is streamed, so that the client sends the checksum
/// after it.
async fn put_with_trailer(server: &Server) -> Result<(), Differs> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), BODY).expect("a written file");
    let streamed = ByteStream::from_path(file.path()).await.expect("a readable file");
    let put = server.put("key", b"").body(streamed);
    let put = put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).customize();
    let checking = aws_sdk_s3::Config::builder()
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported);
    put.config_override(checking).send().await?;
    Ok(())
}
