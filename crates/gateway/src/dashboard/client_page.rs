//! `GET /dashboard/clients/{name}`: one client. `POST` below it freezes and releases the client.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use s3up_core::{ClientName, Code};

use super::client_facts::{policy_of, read};
use super::client_view;
use super::layout::{Frame, Section};
use super::visit::{NotShown, action, redirect, visit};
use crate::freeze::parse_reason;
use crate::gateway::Gateway;
use crate::handlers::clients::unanswered;
use crate::refusal::Refusal;

pub(super) async fn client(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let facts = read(&gateway, &name).await?;
    let (title, now) = (facts.status.name.clone(), facts.now);
    let frame = Frame { visit: &visit, section: Section::Other, title, now, is_live: true };
    Ok(frame.page(client_view::content(&facts, &visit)))
}

pub(super) async fn freeze(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    let (_, form) = action(&gateway, request).await?;
    let client = policy_of(&gateway, &name)?.name;
    let reason = parse_reason(&form.text("reason")?);
    let reason =
        reason.map_err(|what| Refusal::new(Code::BadRequest, format!("Reason: {what}")))?;
    let frozen = gateway.database().freeze(&client, reason.clone()).await;
    frozen.map_err(|err| unanswered(&err))?;
    tracing::warn!(event = "client_frozen", %client, reason, "its uploads are refused");
    Ok(redirect(&page_of(&client)))
}

pub(super) async fn release(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    action(&gateway, request).await?;
    let client = policy_of(&gateway, &name)?.name;
    let released = gateway.database().release(&client).await.map_err(|err| unanswered(&err))?;
    if released {
        tracing::info!(event = "client_released", %client, "it may upload again");
    }
    Ok(redirect(&page_of(&client)))
}

fn page_of(client: &ClientName) -> String {
    format!("/dashboard/clients/{client}")
}
