//! `POST /clients/{name}/freeze` and `POST /clients/{name}/release`: an operator stops the uploads of a
//! client, and releases it.

use axum::Json;
use axum::extract::{Request, State};
use s3up_core::wire::ClientStatus;
use s3up_core::{ClientName, Code};

use super::clients::{find_client, unanswered};
use crate::freeze::parse_reason;
use crate::gateway::Gateway;
use crate::openapi::{AdminRefusals, ReasonText};
use crate::refusal::Refusal;
use crate::request::query;

/// Stops the uploads of a client
#[utoipa::path(
    post, path = "/clients/{name}/freeze",
    params(
        ("name" = String, Path, description = "The name of a client"),
        ("reason" = inline(Option<ReasonText>), Query, description = "Reason, shown to the client and to operators"),
    ),
    responses(
        (status = 200, description = "The client is frozen", body = ClientStatus),
        AdminRefusals
    ),
    security(("admin_key" = []))
)]
pub(crate) async fn freeze(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ClientStatus>, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let name = client_of(&gateway, &request, "/freeze")?;
    let reason = query::parameter(request.uri().query(), "reason")?.unwrap_or_default();
    let reason = parse_reason(&reason)
        .map_err(|what| Refusal::new(Code::BadRequest, format!("`reason`: {what}")))?;
    let frozen = gateway.database().freeze(&name, reason.clone()).await;
    frozen.map_err(|err| unanswered(&err))?;
    tracing::warn!(event = "client_frozen", client = %name, reason, "the uploads of this client are refused");
    Ok(Json(find_client(&gateway, name.as_str()).await?))
}

/// Lets a client upload again
#[utoipa::path(
    post, path = "/clients/{name}/release",
    params(("name" = String, Path, description = "The name of a client")),
    responses(
        (status = 200, description = "The client is not frozen", body = ClientStatus),
        AdminRefusals
    ),
    security(("admin_key" = []))
)]
pub(crate) async fn release(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ClientStatus>, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let name = client_of(&gateway, &request, "/release")?;
    let released = gateway.database().release(&name).await.map_err(|err| unanswered(&err))?;
    if released {
        tracing::info!(event = "client_released", client = %name, "this client may upload again");
    }
    Ok(Json(find_client(&gateway, name.as_str()).await?))
}

/// Returns the client of the configuration that a URL names.
fn client_of(gateway: &Gateway, request: &Request, call: &str) -> Result<ClientName, Refusal> {
    // No name of a client has characters that a URL encodes.
    let name = request.uri().path().strip_prefix("/clients/");
    let name = name.and_then(|rest| rest.strip_suffix(call)).unwrap_or_default();
    let live = gateway.live();
    let policy = live.clients.policies().find(|policy| policy.name.as_str() == name);
    policy.map(|policy| policy.name.clone()).ok_or_else(|| super::clients::unknown(name))
}
