//! `GET /dashboard/reports` and `GET /dashboard/alerts`: the daily reports of agents, and the alerts.

use axum::extract::{Request, State};
use axum::response::Response;
use jiff::civil::Date;
use s3up_core::{ClientName, Code};

use super::history_view::{AlertQuery, ReportQuery, alerts_view, reports_view};
use super::layout::{Frame, Section};
use super::visit::{NotShown, visit};
use crate::clock::Millis;
use crate::database::pages::history::AlertCursor;
use crate::gateway::Gateway;
use crate::handlers::clients::unanswered;
use crate::refusal::Refusal;
use crate::request::query;

/// The last day that a date can have.
const LAST_DAY: &str = "9999-12-31";
/// Reports that a browser can skip. Older ones are found by their day.
const SKIP_MAX: u32 = 100_000;
/// Maximum number of characters of the subject of an alert.
const SUBJECT_CHARS_MAX: usize = 300;

pub(super) async fn reports(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let wanted = report_query(request.uri().query())?;
    let day = wanted.day.map_or_else(|| LAST_DAY.to_owned(), |day| day.to_string());
    let reports = gateway.database().past_reports(&day, wanted.client.as_ref(), wanted.skip).await;
    let reports = reports.map_err(|err| unanswered(&err))?;
    let (title, now) = ("Reports".to_owned(), gateway.database().now());
    let frame = Frame { visit: &visit, section: Section::Reports, title, now, is_live: false };
    Ok(frame.page(reports_view(&reports, &wanted, now)))
}

fn report_query(text: Option<&str>) -> Result<ReportQuery, Refusal> {
    let wrong = |what: String| Refusal::new(Code::BadRequest, what);
    let parameter = |name| -> Result<Option<String>, Refusal> {
        Ok(query::parameter(text, name)?.filter(|value| !value.is_empty()))
    };
    let day = parameter("day")?.map(|day| {
        let parsed: Result<Date, _> = day.parse();
        parsed.map_err(|_| wrong(format!("`day`: expected a day like 2026-01-31, found {day:?}")))
    });
    let client = parameter("client")?;
    let client = client.map(|name| ClientName::parse(&name)).transpose();
    let skip = parameter("skip")?.map(|skip| {
        let number = skip.parse().ok().filter(|skip| *skip <= SKIP_MAX);
        number.ok_or_else(|| wrong(format!("`skip`: expected 0 to {SKIP_MAX}, found {skip:?}")))
    });
    Ok(ReportQuery {
        day: day.transpose()?,
        client: client.map_err(|err| wrong(format!("`client`: {err}")))?,
        skip: skip.transpose()?.unwrap_or_default(),
    })
}

pub(super) async fn alerts(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let wanted = alert_query(request.uri().query())?;
    let database = gateway.database();
    let alerts = database.past_alerts(wanted.after.as_ref(), wanted.subject.as_deref()).await;
    let alerts = alerts.map_err(|err| unanswered(&err))?;
    let live = gateway.live();
    let has_receiver = live.alerts.webhook_url.is_some() || live.alerts.mail.is_some();
    let (title, now) = ("Alerts".to_owned(), gateway.database().now());
    let frame = Frame { visit: &visit, section: Section::Alerts, title, now, is_live: false };
    Ok(frame.page(alerts_view(&alerts, &wanted, has_receiver, now)))
}

fn alert_query(text: Option<&str>) -> Result<AlertQuery, Refusal> {
    // No alert has a control character there, and PostgreSQL takes none.
    let parameter = |name| -> Result<String, Refusal> {
        let value = query::parameter(text, name)?.unwrap_or_default();
        Ok(value.chars().filter(|c| !c.is_control()).collect())
    };
    let subject = parameter("subject")?;
    let subject: String = subject.trim().chars().take(SUBJECT_CHARS_MAX).collect();
    let subject = Some(subject).filter(|subject| !subject.is_empty());
    let at = query::parameter(text, "before")?.map(|before| {
        before.parse::<Millis>().map_err(|_| {
            let what = format!("`before`: expected a time in milliseconds, found {before:?}");
            Refusal::new(Code::BadRequest, what)
        })
    });
    let id = parameter("after")?;
    Ok(AlertQuery { subject, after: at.transpose()?.map(|at| AlertCursor { at, id }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_history_is_checked() {
        #[rustfmt::skip]
        let cases = [
            ("",                                      Ok((None, None, 0))),
            ("day=&client=&skip=",                    Ok((None, None, 0))),
            ("day=2026-01-31&client=web-07&skip=50",  Ok((Some("2026-01-31"), Some("web-07"), 50))),
            ("day=today",                             Err(())),
            ("client=%3Cb%3E",                        Err(())),
            ("skip=-1",                               Err(())),
            ("skip=100001",                           Err(())),
        ];
        for (text, want) in cases {
            let found = report_query(Some(text)).map_err(drop).map(|it| {
                (it.day.map(|day| day.to_string()), it.client.map(|name| name.to_string()), it.skip)
            });
            let want = want.map(|(day, client, skip): (Option<&str>, Option<&str>, u32)| {
                (day.map(str::to_owned), client.map(str::to_owned), skip)
            });
            assert_eq!(found, want, "{text}");
        }
        let found = alert_query(Some("subject=+web-07+&before=5&after=a%20b")).unwrap();
        let after = AlertCursor { at: 5, id: "a b".to_owned() };
        assert_eq!((found.subject.as_deref(), found.after), (Some("web-07"), Some(after)));
        assert_eq!(alert_query(Some("before=x")).unwrap_err().code, Code::BadRequest);
        assert_eq!(alert_query(Some("subject=+")).unwrap().subject, None);
        let found = alert_query(Some("subject=a%00b&before=5&after=%00")).unwrap();
        let after = AlertCursor { at: 5, id: String::new() };
        assert_eq!((found.subject.as_deref(), found.after), (Some("ab"), Some(after)));
    }
}
