//! `POST /upload`: stores the file of a form (multipart/form-data).
//!
//! The fields may come in any order. If `path` comes before `file`, the file
//! streams straight into S3. Otherwise it waits in an unnamed temporary file,
//! which the kernel removes however the request ends. Either way the size limit
//! is enforced while bytes arrive.

mod fields;
mod temp_file;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Version};
use futures::TryStreamExt;
use multer::{Field, Multipart};
use s3up_core::Code;
use s3up_core::part::OBJECT_BYTES_MAX;
use s3up_core::wire::UploadResponse;
use tokio_util::io::StreamReader;

use self::fields::{FieldName, Fields, body_error, form_refusal, text_of};
use self::temp_file::{TempFile, write_temp_file};
use crate::clients::{Client, Right, Slot};
use crate::gateway::Gateway;
use crate::openapi::{UploadForm, UploadRefusals};
use crate::refusal::Refusal;
use crate::request::{body, headers, query};
use crate::uploads::admission::AnnouncedLength;
use crate::uploads::metadata::content_type;
use crate::uploads::stage::{IncomingFile, StageResult};

/// Maximum length of the boundaries, headers and text fields around the file.
const FORM_OVERHEAD_BYTES: u64 = 64 << 10;

/// Stores the field `file` of a form
#[utoipa::path(
    post, path = "/upload",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The file is safe in S3", body = UploadResponse),
        UploadRefusals,
    ),
    security(("client_key" = []))
)]
pub(crate) async fn post_form(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<UploadResponse>, Refusal> {
    let CheckedHeaders { client, boundary, bytes_max, form_bytes } =
        check_headers(&gateway, request.version(), request.headers())?;
    if query::parameter(request.uri().query(), "path")?.is_some() {
        let what = "expected `path` as a field of the form, found it in the query";
        return Err(Refusal::new(Code::BadRequest, what));
    }
    let mut parts = Multipart::new(body::stream(request.into_body()), boundary);
    let form = Form { gateway, client, bytes_max, form_bytes };
    form.store(&mut parts).await.map(Json)
}

/// The facts in the headers of a form that was accepted so far.
struct CheckedHeaders {
    client: Arc<Client>,
    boundary: String,
    /// The size limit of the client.
    bytes_max: u64,
    /// The length of the whole form, if it is announced.
    form_bytes: Option<u64>,
}

fn check_headers(
    gateway: &Gateway,
    version: Version,
    fields: &HeaderMap,
) -> Result<CheckedHeaders, Refusal> {
    let client = gateway.authenticate(fields)?;
    client.require(Right::Upload)?;
    let limit = client.policy.file_bytes_max.unwrap_or(OBJECT_BYTES_MAX);
    headers::check_body(version, fields)?;
    let announced = headers::content_length(fields)?;
    if announced.is_some_and(|bytes| bytes > limit.saturating_add(FORM_OVERHEAD_BYTES)) {
        return Err(Refusal::too_large(limit));
    }
    let content_type = headers::content_type(fields)?.unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| {
        Refusal::new(Code::BadRequest, "expected Content-Type: multipart/form-data with a boundary")
    })?;
    Ok(CheckedHeaders { client, boundary, bytes_max: limit, form_bytes: announced })
}

struct Form {
    gateway: Gateway,
    client: Arc<Client>,
    /// The size limit of the client.
    bytes_max: u64,
    /// The length of the whole form, if it is announced.
    form_bytes: Option<u64>,
}

/// The state of the file of the form.
enum FileState {
    Missing,
    /// The path was known, so the file went into S3.
    Streamed(StageResult),
    /// The path was not known yet, so the file went into a temporary file.
    InTempFile {
        file: TempFile,
        content_type: Option<String>,
        /// Limits the number of temporary files.
        slot: Slot,
    },
}

impl Form {
    async fn store(&self, form: &mut Multipart<'static>) -> Result<UploadResponse, Refusal> {
        let mut fields = Fields::default();
        let mut file = FileState::Missing;
        while let Some(field) = form.next_field().await.map_err(|err| form_refusal(&err))? {
            let name = fields.add(field.name().unwrap_or_default())?;
            if name == FieldName::File {
                file = self.receive_file(&fields, field).await?;
                continue;
            }
            let text = text_of(name, field).await?;
            let before = fields.metadata.clone();
            fields.set(name, &text)?;
            if matches!(file, FileState::Streamed(_)) && fields.user_metadata_changed(&before) {
                let what = format!(
                    "form field `{name}`: expected before `file` if `path` is before it, found after `file`"
                );
                return Err(Refusal::new(Code::BadRequest, what));
            }
        }
        let staged = match file {
            FileState::Missing => {
                return Err(Refusal::new(
                    Code::BadRequest,
                    "expected a form field `file`, found none",
                ));
            }
            FileState::Streamed(staged) => staged,
            FileState::InTempFile { file, content_type, slot } => {
                let announced = AnnouncedLength::Exactly(file.len);
                let incoming =
                    self.admit(&fields, announced, content_type.as_deref(), Some(slot))?;
                self.gateway.uploads().stage(incoming, file.file).await?
            }
        };
        commit(staged, &fields).await
    }

    async fn receive_file(
        &self,
        fields: &Fields,
        field: Field<'static>,
    ) -> Result<FileState, Refusal> {
        headers::check_part(field.headers())?;
        let content_type = headers::content_type(field.headers())?.map(str::to_owned);
        let mut body =
            StreamReader::new(field.map_err(|err| std::io::Error::from(body_error(&err))));
        if fields.path.is_some() {
            let announced =
                self.form_bytes.map_or(AnnouncedLength::Unknown, AnnouncedLength::AtMost);
            let incoming = self.admit(fields, announced, content_type.as_deref(), None)?;
            let staged = self.gateway.uploads().stage(incoming, &mut body).await?;
            return Ok(FileState::Streamed(staged));
        }
        let slot = self.client.upload_slot().await?;
        let file =
            write_temp_file(self.gateway.temporary_files(), &mut body, self.bytes_max).await?;
        Ok(FileState::InTempFile { file, content_type, slot })
    }

    fn admit(
        &self,
        fields: &Fields,
        announced: AnnouncedLength,
        announced_type: Option<&str>,
        slot: Option<Slot>,
    ) -> Result<IncomingFile, Refusal> {
        let missing = || Refusal::new(Code::BadRequest, "expected a form field `path`, found none");
        let path = fields.path.as_ref().ok_or_else(missing)?;
        let (key, admission) = self.gateway.admit(&self.client, path, announced)?;
        Ok(IncomingFile {
            client: self.client.clone(),
            key,
            admission,
            metadata: fields.metadata.clone(),
            content_type: content_type(announced_type, path),
            slot,
        })
    }
}

/// Commits the file, unless its SHA-256 was announced after it and differs.
async fn commit(staged: StageResult, fields: &Fields) -> Result<UploadResponse, Refusal> {
    let staged = match staged {
        StageResult::Unchanged(response) => return Ok(response),
        StageResult::Staged(staged) => staged,
    };
    let found = staged.sha256();
    match fields.metadata.sha256 {
        Some(announced) if announced != found => {
            staged.abort().await;
            Err(Refusal::digest_mismatch(announced, found))
        }
        Some(_) | None => staged.commit().await,
    }
}
