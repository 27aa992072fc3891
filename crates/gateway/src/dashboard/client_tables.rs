//! The tables of the page of one client: problems, uploads and keys. Pure.

use maud::{Markup, html};
use s3up_core::wire::{ClientStatus, FileTotals, Report, ReportedProblem, WatchFacts, Watches};

use super::client_facts::ShownKey;
use super::fix::{Fix, fix};
use super::text::{clipped, count, files};
use super::widgets::{bytes, command, known_time, name, not_known, note, time, time_of, verdict};
use crate::clients::KeyRights;
use crate::clock::{Millis, before};
use crate::database::pages::client::EndedUpload;

/// Number of problems that the page shows; a report has up to 1,000.
const PROBLEMS_SHOWN: usize = 100;
/// Hex digits that tell one key from another.
const KEY_CHARS: usize = 12;

pub(super) fn problems(
    status: &ClientStatus,
    report: Option<&(Millis, Report)>,
    now: Millis,
) -> Markup {
    let counted = status.files.map(|files| files.problems.files);
    let list = report.map(|(_, report)| report.problems.as_slice()).unwrap_or_default();
    if list.is_empty() && counted.unwrap_or_default() == 0 {
        return html! {};
    }
    html! {
        h2 { "Problems" }
        @if list.is_empty() {
            p { (files(counted.unwrap_or_default())) " cannot be uploaded. The next daily report names them; "
                "until then, on the host:" }
            (command("s3up status"))
        } @else {
            p.sub { "From the report of " (known_time(report.map(|(at, _)| *at), now)) "."
                @if let Some(counted) = counted { " The last heartbeat counts " (count(counted)) "." } }
            (problem_table(list, now))
            @if list.len() > PROBLEMS_SHOWN {
                p.sub { "The first " (PROBLEMS_SHOWN) " of " (count(list.len() as u64)) "; "
                    code { "s3up status" } " on the host lists all." }
            }
        }
    }
}

fn problem_table(list: &[ReportedProblem], now: Millis) -> Markup {
    html! {
        div.scroll {
            table.cards role="table" {
                caption.hidden { "Files that cannot be uploaded" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "File" }
                    th role="columnheader" scope="col" { "Reason" }
                    th role="columnheader" scope="col" { "What to do" }
                } }
                tbody role="rowgroup" {
                    @for problem in list.iter().take(PROBLEMS_SHOWN) {
                        @let Fix { step, command: line } = fix(problem);
                        tr role="row" {
                            th.path role="rowheader" scope="row" { (name(&problem.path)) }
                            td.wide role="cell" data-label="Reason" {
                                (note(&problem.reason))
                                @if let Some(since) = &problem.since { div.sub { (time_of(Some(since), now)) } }
                            }
                            td.wide role="cell" data-label="What to do" { (step) ":" (command(&line)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns the watches of the last heartbeat. An older agent sends none.
pub(super) fn watches(status: &ClientStatus, now: Millis) -> Markup {
    let Some(Watches { total, list }) = &status.watches else { return html! {} };
    html! {
        h2 { "Watches" }
        @if list.is_empty() {
            p { "The agent has none." }
        } @else {
            div.scroll {
                table.cards role="table" {
                    caption.hidden { "Watched directories" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "Directory" }
                        th role="columnheader" scope="col" { "Stored below" }
                        th role="columnheader" scope="col" { "Changes found by" }
                        th.right role="columnheader" scope="col" { "Protected" }
                        th.right role="columnheader" scope="col" { "Pending" }
                        th.right role="columnheader" scope="col" { "Problems" }
                        th.right role="columnheader" scope="col" { "Last complete scan" }
                    } }
                    tbody role="rowgroup" {
                        @for watch in list { (watch_row(watch, now)) }
                    }
                }
            }
            @if *total > list.len() as u64 {
                p.sub { "The first " (list.len()) " of " (count(*total)) "; " code { "s3up status" }
                    " on the host lists all." }
            }
        }
    }
}

fn watch_row(watch: &WatchFacts, now: Millis) -> Markup {
    let FileTotals { protected, pending, baseline, excluded: _, problems } = &watch.files;
    let to_protect = [pending, baseline, problems]
        .iter()
        .fold(protected.files, |sum, it| sum.saturating_add(it.files));
    let scanned_at = watch.last_scan_age_seconds.map(|age| before(now, age));
    let prefix = if watch.prefix.is_empty() { "/" } else { &watch.prefix };
    html! {
        tr role="row" {
            th.path role="rowheader" scope="row" {
                (name(&watch.path))
                @if let Some(error) = &watch.error { div.reason { (verdict(false, "cannot be scanned")) " " (note(error)) } }
            }
            td.wide role="cell" data-label="Stored below" {
                (name(prefix))
                @if !watch.recursive { div.sub { "without its subdirectories" } }
            }
            td role="cell" data-label="Changes found by" { (clipped(&watch.mode, 30)) }
            td.right role="cell" data-label="Protected" { (count(protected.files)) " of " (count(to_protect)) }
            td.right role="cell" data-label="Pending" { (count(pending.files)) }
            td.right role="cell" data-label="Problems" { span.bad[problems.files > 0] { (count(problems.files)) } }
            td.right role="cell" data-label="Last complete scan" {
                @match scanned_at { Some(at) => (time(at, now)), None => "never" }
            }
        }
    }
}

pub(super) fn uploads(uploads: &[EndedUpload], now: Millis) -> Markup {
    html! {
        h2 { "Recent uploads" }
        @if uploads.is_empty() {
            p { "None was recorded." }
        } @else {
            div.scroll {
                table.cards role="table" {
                    caption.hidden { "The last uploads, the newest first" }
                    thead role="rowgroup" { tr role="row" {
                        th role="columnheader" scope="col" { "Path" }
                        th role="columnheader" scope="col" { "Result" }
                        th.right role="columnheader" scope="col" { "Size" }
                        th.right role="columnheader" scope="col" { "Duration" }
                        th.right role="columnheader" scope="col" { "Began" }
                    } }
                    tbody role="rowgroup" {
                        @for upload in uploads { (upload_row(upload, now)) }
                    }
                }
            }
        }
    }
}

fn upload_row(upload: &EndedUpload, now: Millis) -> Markup {
    let is_good = matches!(upload.result.as_str(), "stored" | "unchanged");
    let elapsed = std::time::Duration::from_millis(u64::try_from(upload.elapsed_ms).unwrap_or(0));
    html! {
        tr role="row" {
            th.path role="rowheader" scope="row" { (name(&upload.path)) }
            td role="cell" data-label="Result" {
                span.bad[!is_good] { (clipped(&upload.result, 40).replace('_', " ")) }
            }
            td.right role="cell" data-label="Size" {
                @match upload.size { Some(size) => (bytes(size)), None => (not_known()) }
            }
            td.right role="cell" data-label="Duration" { (s3up_core::Elapsed(elapsed)) }
            td.right role="cell" data-label="Began" { (time(upload.started_at, now)) }
        }
    }
}

pub(super) fn keys(keys: &[ShownKey], now: Millis) -> Markup {
    html! {
        h2 { "Keys" }
        div.scroll {
            table {
                caption.hidden { "Keys of this client" }
                thead { tr {
                    th scope="col" { "SHA-256" } th scope="col" { "Kind" }
                    th.right scope="col" { "Since" } th.right scope="col" { "Last used" }
                } }
                tbody {
                    @for ShownKey { key, rights } in keys {
                        tr {
                            th scope="row" { code { (clipped(&key.sha256, KEY_CHARS)) } }
                            td { (kind(*rights)) }
                            td.right { (time(key.created_at, now)) }
                            td.right {
                                @match key.last_used_at { Some(at) => (known_time(Some(at), now)), None => "never" }
                            }
                        }
                    }
                    @if keys.is_empty() { tr { td colspan="4" { (not_known()) } } }
                }
            }
        }
    }
}

fn kind(rights: Option<KeyRights>) -> &'static str {
    match rights {
        Some(KeyRights::OfClient) => "client key",
        Some(KeyRights::Restore) => "restore key: reads only",
        None => "removed from the configuration",
    }
}
