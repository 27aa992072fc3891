//! Checksums of parts, and the checksum of the whole object that S3 combines from
//! them.

use aws_sdk_s3::types::{ChecksumMode, ChecksumType};

use super::parts::{PART, Upload, filled};
use super::server::{Server, crc64nvme, wrong_crc64nvme};
use super::verdict::{Held, Verdict, is, refused};

pub async fn a_part_echoes_its_crc64nvme(server: &Server) -> Verdict {
    let upload = Upload::start_with_crc64nvme(server).await?;
    let crc = crc64nvme(b"part");

    let sent = upload.part(1, b"part").checksum_crc64_nvme(&crc).send().await?;

    is("echo", sent.checksum_crc64_nvme(), Some(crc.as_str()))?;
    Ok(Held)
}

pub async fn a_part_with_a_wrong_crc64nvme_is_refused(server: &Server) -> Verdict {
    let upload = Upload::start_with_crc64nvme(server).await?;

    let sent = upload.part(1, b"part").checksum_crc64_nvme(wrong_crc64nvme()).send().await;

    refused(sent, &["400"])?;
    Ok(Held)
}

pub async fn a_part_with_a_wrong_content_md5_is_refused(server: &Server) -> Verdict {
    let upload = Upload::start(server).await?;

    let sent = upload.part(1, b"part").content_md5("1B2M2Y8AsgTpgAmY7PhCfg==").send().await;

    refused(sent, &["400"])?;
    Ok(Held)
}

pub async fn a_completed_upload_has_the_crc64nvme_of_the_whole_object(server: &Server) -> Verdict {
    let (first, last) = (filled(b'a', PART), b"the end");
    let whole = crc64nvme(&[&first[..], last].concat());
    let mut upload = Upload::start_with_crc64nvme(server).await?;
    upload.send_with_crc64nvme(1, &first).await?;
    upload.send_with_crc64nvme(2, last).await?;

    let complete = upload.complete().checksum_crc64_nvme(&whole);
    complete.checksum_type(ChecksumType::FullObject).send().await?;

    let head = server.head("key").checksum_mode(ChecksumMode::Enabled).send().await?;
    is("checksum", head.checksum_crc64_nvme(), Some(whole.as_str()))?;
    is("type", head.checksum_type(), Some(&ChecksumType::FullObject))?;
    Ok(Held)
}

pub async fn an_upload_with_a_wrong_crc64nvme_does_not_complete(server: &Server) -> Verdict {
    let mut upload = Upload::start_with_crc64nvme(server).await?;
    upload.send_with_crc64nvme(1, b"part").await?;

    let complete = upload.complete().checksum_crc64_nvme(wrong_crc64nvme());
    let complete = complete.checksum_type(ChecksumType::FullObject).send().await;

    refused(complete, &["400"])?;
    server.has_none("key", "refused, but stored anyway").await?;
    Ok(Held)
}

pub async fn parts_are_listed_with_their_crc64nvme(server: &Server) -> Verdict {
    let mut upload = Upload::start_with_crc64nvme(server).await?;
    upload.send_with_crc64nvme(1, b"part").await?;

    let listed = upload.list().send().await?;

    let crcs: Vec<_> = listed.parts().iter().map(|part| part.checksum_crc64_nvme()).collect();
    is("checksums", crcs, vec![Some(crc64nvme(b"part").as_str())])?;
    Ok(Held)
}
