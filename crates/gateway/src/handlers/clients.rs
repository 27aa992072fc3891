//! `GET /clients`, `GET /clients/{name}` and `GET /reports`: the fleet, for an admin key.

use axum::Json;
use axum::extract::{Request, State};
use jiff::civil::Date;
use s3up_core::wire::{ClientList, ClientStatus, ReportList};
use s3up_core::{ClientName, Code};

use crate::database::DatabaseError;
use crate::database::client_facts::ClientFacts;
use crate::fleet::incidents::by_subject;
use crate::fleet::overview::{overview, status, watches_now};
use crate::gateway::Gateway;
use crate::openapi::AdminRefusals;
use crate::refusal::Refusal;
use crate::request::query;

/// Lists all clients with their states, the worst first
#[utoipa::path(
    get, path = "/clients",
    responses((status = 200, description = "All clients", body = ClientList), AdminRefusals),
    security(("admin_key" = []))
)]
pub(crate) async fn clients(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ClientList>, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let facts = gateway.database().client_facts().await.map_err(|err| unanswered(&err))?;
    let open = gateway.database().open_incidents().await.map_err(|err| unanswered(&err))?;
    let (open, now) = (by_subject(open), gateway.database().now());
    Ok(Json(overview(gateway.live().clients.policies(), facts, &open, now)))
}

/// Shows the state of one client
#[utoipa::path(
    get, path = "/clients/{name}",
    params(("name" = String, Path, description = "The name of a client")),
    responses(
        (status = 200, description = "The client", body = ClientStatus),
        AdminRefusals
    ),
    security(("admin_key" = []))
)]
pub(crate) async fn client(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ClientStatus>, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    // No name of a client has characters that a URL encodes.
    let name = request.uri().path().strip_prefix("/clients/").unwrap_or_default();
    Ok(Json(find_client(&gateway, name).await?))
}

/// Returns the state of a client of the configuration.
pub(crate) async fn find_client(gateway: &Gateway, name: &str) -> Result<ClientStatus, Refusal> {
    let live = gateway.live();
    let policy = live.clients.policies().find(|policy| policy.name.as_str() == name);
    let policy = policy.ok_or_else(|| unknown(name))?;
    let database = gateway.database();
    let (facts, open, watches) = tokio::try_join!(
        database.facts_of(&policy.name),
        database.open_incidents(),
        database.watches_of(&policy.name),
    )
    .map_err(|err| unanswered(&err))?;
    let (open, now) = (by_subject(open), database.now());
    let facts = facts.unwrap_or_else(|| ClientFacts::unknown(&policy.name, now));
    let watches = watches.map(|(at, watches)| watches_now(watches, at, now));
    Ok(ClientStatus { watches, ..status(policy, facts, &open, now) })
}

pub(crate) fn unknown(name: &str) -> Refusal {
    Refusal::new(Code::NotFound, format!("expected the name of a client, found {name:?}"))
}

/// Lists daily reports, the newest day first
#[utoipa::path(
    get, path = "/reports",
    params(
        ("day" = Option<String>, Query, description = "A day in UTC, like 2026-01-31"),
        ("client" = Option<String>, Query, description = "The name of a client"),
    ),
    responses((status = 200, description = "At most 1,000 reports", body = ReportList), AdminRefusals),
    security(("admin_key" = []))
)]
pub(crate) async fn reports(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<ReportList>, Refusal> {
    gateway.authenticate_admin(request.headers())?;
    let query = request.uri().query();
    let day = query::parameter(query, "day")?;
    let day = day.as_deref().map(parse_day).transpose()?;
    let client = query::parameter(query, "client")?;
    let client = client.as_deref().map(ClientName::parse).transpose();
    let client =
        client.map_err(|err| Refusal::new(Code::BadRequest, format!("`client`: {err}")))?;
    let reports = gateway.database().reports(day.as_deref(), client.as_ref());
    let reports = reports.await.map_err(|err| unanswered(&err))?;
    Ok(Json(ReportList { reports }))
}

fn parse_day(text: &str) -> Result<String, Refusal> {
    let day: Result<Date, _> = text.parse();
    let day = day.map_err(|_| {
        let what = format!("`day`: expected a day like 2026-01-31, found {text:?}");
        Refusal::new(Code::BadRequest, what)
    })?;
    Ok(day.to_string())
}

/// The database is the only source of these answers, so without it there is none.
pub(crate) fn unanswered(err: &DatabaseError) -> Refusal {
    let what = "the database of the gateway does not answer; try again later";
    Refusal::new(Code::DatabaseUnavailable, what).caused_by(err)
}
