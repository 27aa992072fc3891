//! `POST /backup-report`: the state of the backups of a btrfs host. Any key of the client but a restore key may
//! send it.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::Code;
use s3up_core::wire::{Accepted, BACKUP_REPORT_BYTES_MAX, BackupReport};

use crate::gateway::Gateway;
use crate::openapi::JsonRefusals;
use crate::refusal::Refusal;
use crate::request::json;

/// Records the backups of a btrfs host
#[utoipa::path(
    post, path = "/backup-report",
    request_body = BackupReport,
    responses((status = 200, description = "It is recorded", body = Accepted), JsonRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn backup_report(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Accepted>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require_own_key()?;
    let _one_at_a_time = client.report_permit()?;
    let (report, _memory): (BackupReport, _) =
        json::read(&gateway, &client, request, BACKUP_REPORT_BYTES_MAX).await?;
    report.check().map_err(|err| Refusal::new(Code::BadRequest, err))?;
    // Fields that this gateway does not know are not stored.
    let body = serde_json::to_string(&report).map_err(|err| Refusal::new(Code::Internal, err))?;
    gateway.database().record_backup_report(&client.policy.name, body).await?;
    Ok(Json(Accepted { success: true }))
}
