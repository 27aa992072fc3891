//! The pages of reports and alerts. Pure.

use jiff::civil::Date;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::ClientName;
use s3up_core::age_text;
use s3up_core::wire::{ClientState, Report};

use super::text::{clipped, count, percent, shown};
use super::widgets::{bytes, none, not_known, note, state, time, verdict};
use crate::clock::Millis;
use crate::database::pages::history::{
    ALERTS_SHOWN, AlertCursor, DeliveryAttempts, PastAlert, PastReport, REPORTS_SHOWN,
};

/// The reports that a page shows.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportQuery {
    /// The newest day; `None`: all.
    pub day: Option<Date>,
    pub client: Option<ClientName>,
    /// Reports of the pages before.
    pub skip: u32,
}

/// The alerts that a page shows.
#[derive(Clone, Debug, Default)]
pub(super) struct AlertQuery {
    pub subject: Option<String>,
    /// The last alert of the page before.
    pub after: Option<AlertCursor>,
}

pub(super) fn reports_view(reports: &[PastReport], wanted: &ReportQuery, now: Millis) -> Markup {
    let day = wanted.day.map(|day| day.to_string()).unwrap_or_default();
    let client = wanted.client.as_ref().map_or("", ClientName::as_str);
    let more = wanted.skip.saturating_add(u32::try_from(REPORTS_SHOWN).unwrap_or(u32::MAX));
    html! {
        h1 { "Daily reports" }
        form.filters.fields method="get" action="/dashboard/reports" {
            label for="client" { "Client" } input #client name="client" value=(client) autocapitalize="none" spellcheck="false";
            label for="day" { "Up to" } input #day type="date" name="day" value=(day);
            button type="submit" { "Show" }
            @if !day.is_empty() || !client.is_empty() { a href="/dashboard/reports" { "Show all" } }
        }
        @if reports.is_empty() {
            p.empty { "No report matches. An agent sends one each day; "
                "a btrfs host sends its state after each run, which the page of the client shows." }
        } @else {
            (report_table(reports, now))
        }
        @if reports.len() == REPORTS_SHOWN {
            p { a href={ "/dashboard/reports?client=" (client) "&day=" (day) "&skip=" (more) } { "Older reports" } }
        }
    }
}

fn report_table(reports: &[PastReport], now: Millis) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" {
                caption.hidden { "Reports, the newest day first" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Day" }
                    th role="columnheader" scope="col" { "Client" }
                    th.right role="columnheader" scope="col" { "Uploaded" }
                    th.right role="columnheader" scope="col" { "Protected" }
                    th.right role="columnheader" scope="col" { "Pending" }
                    th.right role="columnheader" scope="col" { "Problems" }
                    th role="columnheader" scope="col" { "Watcher" }
                    th.right role="columnheader" scope="col" { "Received" }
                } }
                tbody role="rowgroup" {
                    @for report in reports { (report_row(report, now)) }
                }
            }
        }
    }
}

fn report_row(past: &PastReport, now: Millis) -> Markup {
    html! {
        tr role="row" {
            th.number role="rowheader" scope="row" { (past.day) }
            td role="cell" data-label="Client" { a href={ "/dashboard/clients/" (past.client) } { (past.client) } }
            @match &past.report {
                Some(report) => (report_cells(report)),
                None => td.wide role="cell" data-label="Report" colspan="5" { (not_known()) ": of another version of the format" },
            }
            td.right role="cell" data-label="Received" { (time(past.received_at, now)) }
        }
    }
}

fn report_cells(report: &Report) -> Markup {
    let files = &report.files;
    let all = [files.protected, files.pending, files.baseline, files.problems];
    let whole = all.iter().map(|total| total.files).fold(0, u64::saturating_add);
    let lag = report.oldest_pending_seconds.map(std::time::Duration::from_secs);
    let is_good = matches!(report.watcher.state.as_str(), "ok" | "off");
    html! {
        td.right role="cell" data-label="Uploaded" {
            (count(report.uploaded.files)) div.sub { (bytes(report.uploaded.bytes)) }
        }
        td.right role="cell" data-label="Protected" {
            (count(files.protected.files)) div.sub { (percent(files.protected.files, whole)) }
        }
        td.right role="cell" data-label="Pending" {
            (count(files.pending.files))
            @if let Some(lag) = lag { div.sub { "for " (age_text(lag)) } }
        }
        td.right role="cell" data-label="Problems" {
            span.bad[files.problems.files > 0] { (count(files.problems.files)) }
        }
        td role="cell" data-label="Watcher" { (verdict(is_good, &clipped(&report.watcher.state, 30))) }
    }
}

pub(super) fn alerts_view(
    alerts: &[PastAlert],
    wanted: &AlertQuery,
    has_receiver: bool,
    now: Millis,
) -> Markup {
    let subject = wanted.subject.as_deref().unwrap_or_default();
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let encoded = encode(subject);
    html! {
        h1 { "Alerts" }
        @if !has_receiver {
            p.note { "No alert is delivered: neither " code { "alerts.webhook_url" } " nor " code { "alerts.mail" }
                " is set in server.yaml." }
        }
        form.filters.fields method="get" action="/dashboard/alerts" {
            label for="subject" { "Client, gateway or bucket" }
            input #subject name="subject" value=(subject) maxlength="300" autocapitalize="none" spellcheck="false";
            button type="submit" { "Show" }
            @if !subject.is_empty() { a href="/dashboard/alerts" { "Show all" } }
        }
        @if alerts.is_empty() {
            p.empty { "No alert matches." }
        } @else {
            div.scroll {
                table.cards role="table" {
                    caption.hidden { "Alerts, the newest first" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "Time" }
                        th role="columnheader" scope="col" { "About" }
                        th role="columnheader" scope="col" { "What happened" }
                        th role="columnheader" scope="col" { "Delivered" }
                    } }
                    tbody role="rowgroup" {
                        @for alert in alerts { (alert_row(alert, has_receiver, now)) }
                    }
                }
            }
        }
        @if let Some(last) = alerts.last().filter(|_| alerts.len() == ALERTS_SHOWN) {
            p { a href={ "/dashboard/alerts?subject=" (encoded) "&before=" (last.at) "&after=" (encode(&last.id)) } { "Older alerts" } }
        }
    }
}

fn alert_row(alert: &PastAlert, has_receiver: bool, now: Millis) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { (time(alert.at, now)) }
            td role="cell" data-label="About" {
                @if alert.topic == "state" { a href={ "/dashboard/clients/" (alert.subject) } { (note(&alert.subject)) } }
                @else if alert.topic == "report" { "all clients" }
                @else { (note(&alert.subject)) }
            }
            td.wide role="cell" data-label="What happened" { (happened(alert)) }
            td role="cell" data-label="Delivered" { (deliveries(&alert.deliveries, has_receiver, now)) }
        }
    }
}

fn happened(alert: &PastAlert) -> Markup {
    if alert.topic == "report" {
        let first = alert.reason.lines().next().unwrap_or_default();
        return html! {
            details { summary { "Daily report: " (clipped(first, 160)) } pre { (lines(&alert.reason)) } }
        };
    }
    let reason = html! { @if !alert.reason.is_empty() { div.reason { (note(&alert.reason)) } } };
    if alert.topic != "state" {
        let is_over = alert.state == "over";
        return html! {
            strong { (clipped(&alert.topic, 40)) } " " (if is_over { "is over" } else { "began" }) (reason)
        };
    }
    html! {
        @match ClientState::parse(&alert.state) {
            Some(known) => (state(known)),
            None => (clipped(&alert.state, 40)),
        }
        @if !alert.before.is_empty() { span.sub { " was " (clipped(&alert.before, 40)) } }
        (reason)
    }
}

/// Returns a text of several lines with its other control characters made visible.
fn lines(text: &str) -> String {
    text.lines().map(shown).collect::<Vec<_>>().join("\n")
}

fn deliveries(deliveries: &[DeliveryAttempts], has_receiver: bool, now: Millis) -> Markup {
    if deliveries.is_empty() {
        return if has_receiver {
            html! { "not yet" }
        } else {
            none("there is no receiver")
        };
    }
    html! {
        @for delivery in deliveries {
            div {
                @match delivery.delivered_at {
                    Some(at) => { (verdict(true, &clipped(&delivery.channel, 20))) " " span.sub { (time(at, now)) } },
                    None => {
                        (verdict(false, &clipped(&delivery.channel, 20)))
                        div.sub { (count(delivery.attempts)) " attempts, the last " (time(delivery.tried_at, now)) }
                    },
                }
            }
        }
    }
}
