//! `GET /exists?path=`: returns whether a file is stored, and its facts.

use axum::Json;
use axum::extract::{Request, State};
use jiff::Timestamp;
use s3up_core::wire::{ExistsResponse, StoredFile};
use s3up_store::ObjectFacts;

use crate::clients::Right;
use crate::gateway::Gateway;
use crate::openapi::{ExistsAnswer, FileRefusals, PathText};
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;
use crate::uploads::metadata::stored_mtime_ns;

const MD5_HEX_LEN: usize = 32;

/// Returns whether a file is stored
#[utoipa::path(
    get, path = "/exists",
    params(("path" = inline(PathText), Query)),
    responses((status = 200, description = "The facts of the file", body = inline(ExistsAnswer)), FileRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn exists_one(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ExistsResponse>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Exists)?;
    let _slot = client.request_slot().await?;
    let path = query::path_parameter(request.uri().query())?;
    let key = gateway.key(&client, &path)?;
    let found = gateway.answering_store()?.head(&key, None, RETRY_FOR).await?;
    let mut file = found.as_ref().map(stored_file);
    if let (Some(found), Some(file)) = (&found, &mut file)
        && file.sha256.is_none()
    {
        let entries = gateway.database().entries(&client.policy.name, std::slice::from_ref(&path));
        let entry = entries.await.remove(&path);
        file.sha256 = entry.filter(|entry| entry.describes(found)).and_then(|entry| entry.sha256);
        file.md5 = md5(found).filter(|_| file.sha256.is_none());
    }
    Ok(Json(ExistsResponse { exists: file.is_some(), file }))
}

fn stored_file(found: &ObjectFacts) -> StoredFile {
    let uploaded_at = Timestamp::try_from(found.modified_at).unwrap_or_default();
    StoredFile {
        size: found.size,
        sha256: found.sha256,
        md5: None,
        mtime_ns: stored_mtime_ns(&found.metadata),
        uploaded_at: uploaded_at.to_string(),
        version_id: found.version_id.clone(),
    }
}

/// Returns the MD5 of an object whose ETag is one: it was stored in one piece, and not with a key of KMS
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html>).
fn md5(found: &ObjectFacts) -> Option<String> {
    let has_md5 = matches!(found.sse.as_deref(), None | Some("AES256"));
    let etag = found.etag.trim_matches('"');
    let is_md5 = etag.len() == MD5_HEX_LEN && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    (has_md5 && is_md5).then(|| etag.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::SystemTime;

    use super::*;

    const MD5: &str = "9a0364b9e99bb480dd25e1f0284c8555";

    #[test]
    fn only_some_etags_are_an_md5() {
        let multipart = format!("\"{MD5}-2\"");
        let quoted = format!("\"{MD5}\"");
        #[rustfmt::skip]
        let cases = [
            (quoted.as_str(),                  None,               true),
            (quoted.as_str(),                  Some("AES256"),     true),
            (MD5,                              None,               true),
            (&quoted.to_ascii_uppercase(),     None,               true),
            (quoted.as_str(),                  Some("aws:kms"),    false),
            (multipart.as_str(),               None,               false),
            ("\"opaque\"",                     None,               false),
            ("",                               None,               false),
        ];
        for (etag, sse, want) in cases {
            let found = ObjectFacts {
                size: 1,
                etag: etag.to_owned(),
                version_id: None,
                content_type: None,
                modified_at: SystemTime::UNIX_EPOCH,
                metadata: BTreeMap::new(),
                sha256: None,
                crc64nvme: None,
                storage_class: None,
                sse: sse.map(str::to_owned),
            };
            assert_eq!(md5(&found), want.then(|| MD5.to_owned()), "{etag} {sse:?}");
        }
    }
}
