//! `POST /heartbeat` and `POST /report`: what an agent says of itself. Any key of the client but a restore
//! key may send them.

use axum::Json;
use axum::extract::{Request, State};
use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use s3up_core::Code;
use s3up_core::wire::{Accepted, HEARTBEAT_BYTES_MAX, Heartbeat, REPORT_BYTES_MAX, Report};
use serde::Serialize;

use crate::gateway::Gateway;
use crate::openapi::JsonRefusals;
use crate::refusal::Refusal;
use crate::request::json;

/// A report may be this many days old: an agent delivers it after an outage. One of tomorrow comes
/// from a host whose clock is ahead.
const REPORT_DAYS_BACK: i64 = 31;

/// Records the state of an agent
#[utoipa::path(
    post, path = "/heartbeat",
    request_body = Heartbeat,
    responses((status = 200, description = "It will be recorded", body = Accepted), JsonRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn heartbeat(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Accepted>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require_own_key()?;
    let _slot = client.request_slot().await?;
    let (mut heartbeat, _memory): (Heartbeat, _) =
        json::read(&gateway, &client, request, HEARTBEAT_BYTES_MAX).await?;
    heartbeat.check().map_err(|err| Refusal::new(Code::BadRequest, err))?;
    let watches = heartbeat.watches.take().map(|watches| to_json(&watches)).transpose()?;
    gateway.database().record_heartbeat(&client.policy.name, to_json(&heartbeat)?, watches)?;
    Ok(Json(Accepted { success: true }))
}

/// Records the day of an agent
#[utoipa::path(
    post, path = "/report",
    request_body = Report,
    responses((status = 200, description = "It is recorded", body = Accepted), JsonRefusals),
    security(("client_key" = []))
)]
pub(crate) async fn report(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Json<Accepted>, Refusal> {
    let client = gateway.authenticate(request.headers())?;
    client.require_own_key()?;
    let _one_at_a_time = client.report_permit()?;
    let (report, _memory): (Report, _) =
        json::read(&gateway, &client, request, REPORT_BYTES_MAX).await?;
    report.check().map_err(|err| Refusal::new(Code::BadRequest, err))?;
    let now = Timestamp::from_millisecond(gateway.database().now()).unwrap_or_default();
    let day = check_day(&report.day, now.to_zoned(TimeZone::UTC).date())?;
    let (client, body) = (&client.policy.name, to_json(&report)?);
    gateway.database().record_report(client, day.to_string(), body).await?;
    Ok(Json(Accepted { success: true }))
}

/// Checks the day of a report. Without a limit a client could fill the database with days.
fn check_day(text: &str, today: Date) -> Result<Date, Refusal> {
    let wrong = |what: String| {
        Refusal::new(Code::BadRequest, format!("`day`: expected {what}, found {text:?}"))
    };
    let day: Date = text.parse().map_err(|_| wrong("a day like 2026-01-31".to_owned()))?;
    let shifted = |days| today.checked_add(Span::new().days(days)).unwrap_or(today);
    let (oldest, newest) = (shifted(-REPORT_DAYS_BACK), shifted(1));
    if !(oldest..=newest).contains(&day) {
        return Err(wrong(format!("a day from {oldest} to {newest}")));
    }
    Ok(day)
}

/// Returns the checked fields in JSON. Other fields of the body are not stored.
fn to_json(value: &impl Serialize) -> Result<String, Refusal> {
    serde_json::to_string(value).map_err(|err| Refusal::new(Code::Internal, err))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_of_the_last_month_or_of_tomorrow() {
        let today: Date = "2026-03-01".parse().unwrap();
        #[rustfmt::skip]
        let cases = [
            ("2026-03-01", true),
            ("2026-03-02", true),
            ("2026-03-03", false),
            ("2026-01-29", true),
            ("2026-01-28", false),
            ("2026-02-30", false),
            ("yesterday",  false),
            ("",           false),
        ];
        for (text, want) in cases {
            assert_eq!(check_day(text, today).is_ok(), want, "{text}");
        }
        let detail = check_day("2027-01-01", today).unwrap_err().detail;
        let want = "`day`: expected a day from 2026-01-29 to 2026-03-02, found \"2027-01-01\"";
        assert_eq!(detail, want);
    }
}
