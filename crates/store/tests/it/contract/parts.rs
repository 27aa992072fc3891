//! An unfinished multipart upload, for the behaviours that need one.

use aws_sdk_s3::operation::abort_multipart_upload::builders::AbortMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::list_parts::builders::ListPartsFluentBuilder;
use aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::server::{Server, bytes, crc64nvme};
use super::verdict::{Differs, some};

/// S3 accepts no shorter part, except as the last.
pub const PART: usize = 5 << 20;
pub const NAME: &str = "key";

#[derive(Debug)]
pub struct Upload {
    server: Server,
    pub id: String,
    /// The parts that the completion names.
    pub parts: Vec<CompletedPart>,
}

impl Upload {
    pub const READY: &[u8] = b"the only part";

    pub async fn start(server: &Server) -> Result<Upload, Differs> {
        Upload::of(server, started(server)).await
    }

    /// Starts an upload whose parts have a CRC64NVME, as our store does.
    pub async fn start_with_crc64nvme(server: &Server) -> Result<Upload, Differs> {
        let call = started(server).checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
        Upload::of(server, call.checksum_type(ChecksumType::FullObject)).await
    }

    pub async fn of(
        server: &Server,
        call: CreateMultipartUploadFluentBuilder,
    ) -> Result<Upload, Differs> {
        let id = some("upload ID", call.send().await?.upload_id)?;
        Ok(Upload { server: server.clone(), id, parts: Vec::new() })
    }

    /// Starts an upload and sends a single short part, so that it can be completed.
    pub async fn ready(server: &Server) -> Result<Upload, Differs> {
        let mut upload = Upload::start(server).await?;
        upload.send(1, Upload::READY).await?;
        Ok(upload)
    }

    pub fn part(&self, number: i32, body: &[u8]) -> UploadPartFluentBuilder {
        let call = self.server.client.upload_part().bucket(&self.server.bucket);
        let call = call.key(self.server.key(NAME)).upload_id(&self.id);
        call.part_number(number).body(bytes(body))
    }

    /// Sends a part that the completion will name.
    pub async fn send(&mut self, number: i32, body: &[u8]) -> Result<String, Differs> {
        let etag = some("ETag", self.part(number, body).send().await?.e_tag)?;
        self.name(CompletedPart::builder().part_number(number).e_tag(&etag).build());
        Ok(etag)
    }

    /// Sends a part like [`Upload::send`], with its CRC64NVME.
    pub async fn send_with_crc64nvme(&mut self, number: i32, body: &[u8]) -> Result<(), Differs> {
        let crc = crc64nvme(body);
        let sent = self.part(number, body).checksum_crc64_nvme(&crc).send().await?;
        let etag = some("ETag", sent.e_tag)?;
        let part = CompletedPart::builder().part_number(number).e_tag(etag);
        self.name(part.checksum_crc64_nvme(crc).build());
        Ok(())
    }

    pub fn name(&mut self, part: CompletedPart) {
        self.parts.retain(|named| named.part_number != part.part_number);
        self.parts.push(part);
    }

    /// Completes the upload with the named parts in that order.
    pub fn complete(&self) -> CompleteMultipartUploadFluentBuilder {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts.clone()));
        let call = self.server.client.complete_multipart_upload().bucket(&self.server.bucket);
        call.key(self.server.key(NAME)).upload_id(&self.id).multipart_upload(parts.build())
    }

    pub async fn abort(&self) -> Result<(), Differs> {
        self.aborting().send().await?;
        Ok(())
    }

    pub fn aborting(&self) -> AbortMultipartUploadFluentBuilder {
        let call = self.server.client.abort_multipart_upload().bucket(&self.server.bucket);
        call.key(self.server.key(NAME)).upload_id(&self.id)
    }

    pub fn list(&self) -> ListPartsFluentBuilder {
        let call = self.server.client.list_parts().bucket(&self.server.bucket);
        call.key(self.server.key(NAME)).upload_id(&self.id)
    }
}

pub fn started(server: &Server) -> CreateMultipartUploadFluentBuilder {
    server.client.create_multipart_upload().bucket(&server.bucket).key(server.key(NAME))
}

/// Returns `len` times the same letter, so that parts can differ.
pub fn filled(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len]
}
