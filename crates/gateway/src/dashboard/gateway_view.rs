//! The page of the gateway, from its facts. Pure.

use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};
use s3up_core::age_text;
use s3up_core::wire::{Part, Readiness};
use s3up_core::{Severity, Size, Throughput};
use s3up_store::{CallTotal, CallTotals, Finding, Subject};

use super::bucket_watch::{BucketFacts, FoundUploads, oldest};
use super::rates::Rates;
use super::text::{clipped, count, percent};
use super::widgets::{
    CELL_CHARS, bar, bytes, command, known_time, not_known, note, severity, time, verdict,
};
use crate::alert::Topic;
use crate::clock::Millis;
use crate::database::RecordCounts;
use crate::fleet::incidents;
use crate::posture::abort_rule;

/// Clients that the table of rates shows.
const CLIENTS_SHOWN: usize = 50;
/// Rest of the validity of a certificate below which the page asks to renew it.
const CERTIFICATE_REST_MIN: Millis = incidents::CERTIFICATE_REST_MIN.as_millis() as Millis;

/// All that the page shows.
pub(super) struct GatewayPageFacts {
    pub now: Millis,
    pub host: Option<String>,
    /// `None`: S3 has not answered yet.
    pub readiness: Option<Readiness>,
    /// The reason why the last configuration was refused.
    pub config_refused: Option<String>,
    pub config_accepted_at: Millis,
    pub certificate_ends_at: Option<Millis>,
    pub serves_tls: bool,
    pub requests: u64,
    /// Part buffers in use, and their budget.
    pub buffers: (u64, u64),
    pub records: RecordCounts,
    pub failed_keys: u64,
    pub since_start: CallTotals,
    /// `None`: the gateway has just started.
    pub rates: Option<Rates>,
    pub bucket_name: String,
    pub findings: Vec<Finding>,
    /// `None`: the bucket was not examined yet.
    pub bucket: Option<Arc<BucketFacts>>,
    pub database_place: String,
    pub database_bytes: Option<u64>,
    /// Topic, subject, begin and reason; `None`: the database does not answer.
    pub incidents: Option<Vec<(Topic, String, Millis, String)>>,
    pub clients: usize,
}

pub(super) fn content(facts: &GatewayPageFacts) -> Markup {
    html! {
        div.title {
            h1 { "Gateway" @if let Some(host) = &facts.host { " " (note(host)) } }
            span.sub { (facts.clients) " clients" }
        }
        (readiness(facts))
        (incidents(facts))
        div.columns {
            section aria-labelledby="s3" { h2 #s3 { "S3" } (s3(facts)) }
            section aria-labelledby="work" { h2 #work { "Work" } (work(facts)) }
            section aria-labelledby="database" { h2 #database { "Database and certificate" } (database(facts)) }
        }
        (posture(facts))
        (rates(facts.rates.as_ref()))
    }
}

fn readiness(facts: &GatewayPageFacts) -> Markup {
    let is_ok = |part: &Part| *part == Part::Ok;
    let word = |good: bool| if good { "answers" } else { "does not answer" };
    html! {
        ul.strip {
            @match &facts.readiness {
                Some(Readiness { ready, s3, database, .. }) => {
                    li { "Ready " (verdict(*ready, if *ready { "yes" } else { "no" })) }
                    li { "S3 " (verdict(is_ok(s3), word(is_ok(s3)))) }
                    li { "Database " (verdict(is_ok(database), word(is_ok(database)))) }
                },
                None => li { "S3 has not answered yet: " (not_known()) },
            }
            li { "Configuration " @match &facts.config_refused {
                None => (verdict(true, "in force")),
                Some(_) => (verdict(false, "refused")),
            } " " span.sub { (time(facts.config_accepted_at, facts.now)) } }
        }
        @if let Some(reason) = &facts.config_refused {
            p.reason.bad { "The last reload was refused, so the configuration before it is in force: "
                (note(reason)) }
        }
    }
}

fn incidents(facts: &GatewayPageFacts) -> Markup {
    match facts.incidents.as_deref() {
        None => html! { h2 { "Incidents" } p { (not_known()) ": the database does not answer." } },
        Some([]) => html! {},
        Some(open) => html! {
            h2 { "Incidents" }
            @for (topic, subject, since, reason) in open {
                p.reason.incident { strong { (topic.as_str()) } " of " (note(subject)) ": " (note(reason))
                    " (" (time(*since, facts.now)) ")" }
            }
        },
    }
}

fn fact(term: &str, value: Markup) -> Markup {
    html! { dt { (term) } dd { (value) } }
}

/// Percent of the calls that were answered within the times that the page shows.
const PERCENTILES: [u64; 3] = [50, 95, 99];

/// Returns the calls of one result: how many, and the times within which they were answered.
fn calls(total: &CallTotal, elapsed: Option<Duration>) -> Markup {
    html! {
        span.number { (count(total.calls)) }
        @if let Some(elapsed) = elapsed.filter(|elapsed| !elapsed.is_zero()) {
            " (" (per_second(total.calls, elapsed)) ")"
        }
        @for percent in PERCENTILES {
            @if let Some(time) = total.latencies.percentile(percent) {
                span.percentile { ", p" (percent) " " span.number { (milliseconds(time)) } }
            }
        }
    }
}

fn per_second(number: u64, elapsed: Duration) -> String {
    format!("{:.1}/s", number as f64 / elapsed.as_secs_f64())
}

fn milliseconds(time: Duration) -> String {
    match time.as_millis() {
        0..10 => format!("{:.1} ms", time.as_secs_f64() * 1000.0),
        10..10_000 => format!("{} ms", time.as_millis()),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

fn s3(facts: &GatewayPageFacts) -> Markup {
    let recent = facts.rates.as_ref().and_then(|rates| Some((rates.calls?, rates.elapsed)));
    let total = facts.since_start;
    html! {
        dl.facts {
            @match recent {
                Some((recent, elapsed)) => {
                    (fact("Answered, last minute", calls(&recent.succeeded, Some(elapsed))))
                    (fact("Errors, last minute", calls(&recent.failed, Some(elapsed))))
                },
                None => (fact("Last minute", not_known())),
            }
            (fact("Answered, since the start", calls(&total.succeeded, None)))
            (fact("Errors, since the start", html! {
                (calls(&total.failed, None)) ", "
                (percent(total.failed.calls, total.failed.calls.saturating_add(total.succeeded.calls)))
            }))
            (fact("Bucket", note(&facts.bucket_name)))
        }
    }
}

fn work(facts: &GatewayPageFacts) -> Markup {
    let (used, budget) = facts.buffers;
    let records = facts.records;
    html! {
        dl.facts {
            (fact("Requests in progress", html! { (count(facts.requests)) }))
            (fact("Part buffers", html! { (bytes(used)) " of " (Size(budget)) (bar(used, budget)) }))
            (fact("Records that wait", html! { (count(records.pending)) }))
            (fact("Records lost", html! { span.bad[records.dropped > 0] { (count(records.dropped)) } " since the start" }))
            (fact("Writes that failed", html! { span.bad[records.failed_writes > 0] { (count(records.failed_writes)) } " since the start" }))
            (fact("Requests without a valid key", html! { (count(facts.failed_keys)) " since the start" }))
        }
    }
}

fn database(facts: &GatewayPageFacts) -> Markup {
    let now = facts.now;
    html! {
        dl.facts {
            (fact("Database", note(&facts.database_place)))
            (fact("Size", facts.database_bytes.map_or_else(not_known, bytes)))
            (fact("Certificate", match (facts.certificate_ends_at, facts.serves_tls) {
                (Some(at), _) if at <= now => html! { (verdict(false, "ended")) " " (time(at, now)) ": clients refuse it" },
                (Some(at), _) => html! {
                    (verdict(at - now >= CERTIFICATE_REST_MIN, "ends")) " " (time(at, now))
                    @if at - now < CERTIFICATE_REST_MIN { ": renew it" }
                },
                (None, true) => not_known(),
                (None, false) => html! { "none: this gateway serves no TLS" },
            }))
        }
    }
}

/// Returns what the bucket and the server do for the guarantees of the gateway. A capability that was never
/// needed was not examined, and is left to `doctor`.
fn posture(facts: &GatewayPageFacts) -> Markup {
    let of_server =
        |it: &&Finding| it.severity >= Severity::Warning || it.subject == Subject::Versions;
    let known: Vec<_> = facts.findings.iter().filter(of_server).collect();
    let rules = facts.bucket.iter();
    let rules = rules.flat_map(|it| [abort_rule(it.abort_rule.clone()), it.expiry.clone()]);
    html! {
        h2 { "Bucket" }
        p.sub {
            @match &facts.bucket {
                Some(bucket) => { "Examined " (time(bucket.at, facts.now)) "." },
                None => "It is being examined.",
            }
            " " code { "s3up-server doctor" } " examines all that a server may lack."
        }
        div.scroll {
            table.cards role="table" {
                caption.hidden { "What the bucket does for the guarantees" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Subject" }
                    th role="columnheader" scope="col" { "State" }
                    th role="columnheader" scope="col" { "Found" }
                    th role="columnheader" scope="col" { "Means, and how to fix it" }
                } }
                tbody role="rowgroup" {
                    @for finding in known {
                        (finding_row(finding.subject.as_str(), finding.severity, &finding.found, &finding.means, finding.fix))
                    }
                    @for rule in rules {
                        (finding_row(&rule.capability, rule.severity, &rule.found, &rule.means, rule.fix))
                    }
                    (uploads_row(facts.bucket.as_deref(), facts.now))
                }
            }
        }
    }
}

fn finding_row(
    subject: &str,
    weight: Severity,
    found: &str,
    means: &str,
    fix: Option<&str>,
) -> Markup {
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { (subject) }
            td role="cell" data-label="State" { (severity(weight)) }
            td.wide role="cell" data-label="Found" { (clipped(found, CELL_CHARS)) }
            td.wide role="cell" data-label="Means" {
                (clipped(means, CELL_CHARS))
                @if let Some(fix) = fix { div.fix { "→ " (fix) } }
            }
        }
    }
}

fn uploads_row(bucket: Option<&BucketFacts>, now: Millis) -> Markup {
    let subject = "abandoned uploads";
    match bucket.map(|bucket| &bucket.uploads) {
        None => html! {
            tr role="row" {
                th role="rowheader" scope="row" { (subject) }
                td role="cell" data-label="State" { (not_known()) }
                td role="cell" data-label="Found" {} td role="cell" data-label="Means" {}
            }
        },
        Some(Err(reason)) => finding_row(
            subject,
            Severity::Note,
            reason,
            "it is not known what killed gateways left behind",
            Some("allow s3:ListBucketMultipartUploads"),
        ),
        Some(Ok(uploads)) => html! {
            tr role="row" {
                th role="rowheader" scope="row" { (subject) }
                td role="cell" data-label="State" {
                    (severity(if uploads.abandoned > 0 { Severity::Warning } else { Severity::Ok }))
                }
                td.wide role="cell" data-label="Found" { (found_uploads(uploads, now)) }
                td.wide role="cell" data-label="Means" {
                    @if uploads.abandoned > 0 {
                        "S3 charges for the parts that a killed gateway left behind"
                        (command("s3up-server sweep"))
                    } @else { "none is older than any upload that may still run" }
                }
            }
        },
    }
}

fn found_uploads(uploads: &FoundUploads, now: Millis) -> Markup {
    html! {
        @if uploads.has_more { "at least " }
        (count(uploads.abandoned)) " abandoned, " (count(uploads.young)) " that may be running"
        @if uploads.abandoned + uploads.young > 0 { "; the oldest began " (known_time(oldest(uploads), now)) }
    }
}

fn rates(rates: Option<&Rates>) -> Markup {
    html! {
        h2 { "Uploads of the last minute" }
        @match rates {
            None => p { (not_known()) ": the gateway has just started." },
            Some(rates) if rates.clients.is_empty() => p { "No client uploaded within the last " (age_text(rates.elapsed)) "." },
            Some(rates) => {
                div.scroll { table {
                    caption.hidden { "Uploads by client" }
                    thead { tr {
                        th scope="col" { "Client" } th.right scope="col" { "Uploads" }
                        th.right scope="col" { "Stored" } th.right scope="col" { "Rate" }
                    } }
                    tbody {
                        @for (client, counts) in rates.clients.iter().take(CLIENTS_SHOWN) {
                            tr {
                                th scope="row" { a href={ "/dashboard/clients/" (client) } { (client) } }
                                td.right { (per_second(counts.uploads, rates.elapsed)) }
                                td.right { (bytes(counts.stored_bytes)) }
                                td.right { (Throughput { bytes: counts.stored_bytes, elapsed: rates.elapsed }) }
                            }
                        }
                    }
                } }
                @if rates.clients.len() > CLIENTS_SHOWN {
                    p.sub { "The first " (CLIENTS_SHOWN) " of " (rates.clients.len()) " clients that uploaded." }
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_fitting_unit_and_no_call_has_none() {
        let millis = Duration::from_millis;
        #[rustfmt::skip]
        let cases = [
            (Duration::from_micros(1234), "1.2 ms"),
            (millis(10),                  "10 ms"),
            (millis(9_999),               "9999 ms"),
            (millis(12_345),              "12.3 s"),
        ];
        for (time, want) in cases {
            assert_eq!(milliseconds(time), want);
        }
        assert_eq!(per_second(30, millis(60_000)), "0.5/s");
        let none = calls(&CallTotal::default(), None).into_string();
        assert!(!none.contains("ms"), "{none}");
    }
}
