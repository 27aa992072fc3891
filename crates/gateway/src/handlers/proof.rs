//! `POST /proof`: returns what S3 itself reports about files, for an agent that is about to delete its
//! own copies of them.
//!
//! The catalogue is not asked: it is a note of the gateway, and only S3 says what S3 has.

use axum::Json;
use axum::extract::{Request, State};
use futures::{StreamExt, TryStreamExt, stream};
use s3up_core::wire::{
    Expiry, FileProof, OldVersions, PROOF_FILES_MAX, ProofQuery, Proofs, ProvenObject,
};
use s3up_core::{Code, Key, RemotePath};
use s3up_store::ExpiryRules;

use crate::clients::{Client, Right};
use crate::gateway::Gateway;
use crate::openapi::{ProofBody, ProofRefusals};
use crate::refusal::Refusal;
use crate::request::json;
use crate::uploads::RETRY_FOR;
use crate::uploads::metadata::is_stored_hot;

/// Maximum length of the body: a thousand of the longest paths.
const BODY_BYTES_MAX: u64 = 4 << 20;
/// Number of files that one query asks S3 about at the same time.
const HEADS_IN_FLIGHT: usize = 16;

/// The error of S3 names the bucket, so it goes to the log of the gateway only.
const RULES_UNKNOWN: &str = "the gateway cannot read the lifecycle rules of the bucket; its log has the \
                             reason (lifecycle_rules_unknown)";

/// Returns what S3 reports about many files
#[utoipa::path(
    post, path = "/proof",
    request_body(content = inline(ProofBody), content_type = "application/json"),
    responses((status = 200, description = "The facts of each file", body = Proofs), ProofRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn proof(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Proofs>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require(Right::Exists)?;
    let _slot = client.request_slot().await?;
    let (query, _memory): (ProofQuery, _) =
        json::read(&gateway, &client, request, BODY_BYTES_MAX).await?;
    if query.paths.len() > PROOF_FILES_MAX {
        let found = query.paths.len();
        let what = format!("`paths`: expected at most {PROOF_FILES_MAX}, found {found}");
        return Err(Refusal::new(Code::BadRequest, what));
    }
    // All of them, before the first request to S3.
    let checked = query.paths.into_iter().map(|path| {
        let parsed = RemotePath::parse(&path)
            .map_err(|rule| Refusal::new(Code::BadPath, format!("{path:?}: {rule}")))?;
        Ok((gateway.key(&client, &parsed)?, path))
    });
    let checked = checked.collect::<Result<Vec<_>, Refusal>>()?;
    gateway.answering_store()?;
    let (versioning, rules) = tokio::join!(gateway.readiness(), expiry_rules(&gateway));
    let files =
        stream::iter(checked).map(|(key, path)| prove(&gateway, &client, &rules, key, path));
    let files = files.buffered(HEADS_IN_FLIGHT).try_collect().await?;
    Ok(Json(Proofs { versioning: versioning.versioning, files }))
}

async fn expiry_rules(gateway: &Gateway) -> ExpiryRules {
    let rules = gateway.store().expiry_rules(RETRY_FOR).await;
    if let ExpiryRules::Unknown { reason } = &rules {
        tracing::warn!(
            event = "lifecycle_rules_unknown",
            error = reason,
            "cannot read the lifecycle rules of the bucket, so agents delete no local copy of a file; \
             allow s3:GetLifecycleConfiguration"
        );
    }
    rules
}

async fn prove(
    gateway: &Gateway,
    client: &Client,
    rules: &ExpiryRules,
    key: Key,
    path: String,
) -> Result<FileProof, Refusal> {
    let _permit = client.file_query_permit().await;
    let Some(found) = gateway.answering_store()?.prove(&key, RETRY_FOR).await? else {
        return Ok(FileProof { path, stored: None });
    };
    let facts = found.facts;
    let (expiry, expiry_reason) = match (found.expiration, rules.rule_for(&key, facts.size)) {
        (Some(expiration), _) => (Expiry::ByRule, Some(expiration)),
        (None, Ok(Some(rule))) => (Expiry::ByRule, Some(format!("lifecycle rule {rule}"))),
        (None, Ok(None)) => (Expiry::Never, None),
        (None, Err(_)) => (Expiry::Unknown, Some(RULES_UNKNOWN.to_owned())),
    };
    let (old_versions, old_version_days, old_versions_reason) =
        match rules.old_version_rule_for(&key, facts.size) {
            Ok(None) => (OldVersions::Kept, None, None),
            Ok(Some(rule)) => {
                let reason = format!("lifecycle rule {}", rule.id);
                (OldVersions::DeletedByRule, Some(rule.days), Some(reason))
            }
            Err(_) => (OldVersions::Unknown, None, Some(RULES_UNKNOWN.to_owned())),
        };
    let stored = ProvenObject {
        size: facts.size,
        sha256: facts.sha256,
        crc64nvme: facts.crc64nvme.map(|crc| crc.to_string()),
        version_id: facts.version_id,
        is_hot: is_stored_hot(&facts.metadata),
        is_archived: found.is_archived,
        expiry,
        expiry_reason,
        old_versions,
        old_version_days,
        old_versions_reason,
    };
    Ok(FileProof { path, stored: Some(stored) })
}
