//! The page of one client, from its facts. Pure.

use maud::{Markup, html};
use s3up_core::Size;
use s3up_core::age_text;
use s3up_core::wire::{ClientStatus, FileTotals, Total};

use super::chart::segments;
use super::client_facts::ClientPageFacts;
use super::client_tables::{keys, problems, uploads, watches};
use super::fleet_facts::StoredTotal;
use super::layout::csrf;
use super::subvolume_table::subvolumes;
use super::text::{self, clipped, count, percent, shell_word};
use super::visit::Visit;
use super::widgets::{
    CELL_CHARS, bytes, command, lasting, none, not_known, note, stacked, state, time_of, verdict,
};
use crate::clients::ClientPolicy;
use crate::clock::Millis;

pub(super) fn content(facts: &ClientPageFacts, visit: &Visit) -> Markup {
    let ClientPageFacts { status, policy, now, .. } = facts;
    html! {
        p.crumbs { a href="/" { "Fleet" } " / " (status.name) }
        div.title {
            h1 { (status.name) }
            (state(status.state)) span.sub { (lasting(&status.since, *now)) }
        }
        @if let Some(reason) = &status.reason { p.reason.lead { (note(reason)) } }
        @for incident in &status.incidents {
            p.reason.incident { (note(&incident.reason)) " (" (time_of(Some(&incident.since), *now)) ")" }
        }
        (freeze(status, visit, *now))
        @if status.files.is_some() || status.subvolumes.is_empty() { (files(status, *now)) }
        (subvolumes(&[status], *now))
        div.columns {
            section aria-labelledby="host" { h2 #host { "Host" } (host(facts)) }
            section aria-labelledby="limits" { h2 #limits { "Limits and thresholds" } (limits(policy)) }
        }
        (watches(status, *now))
        (problems(status, facts.newest_report.as_ref(), *now))
        (stored_files(facts))
        (uploads(&facts.uploads, *now))
        (keys(&facts.keys, *now))
        p.after { a href={ "/dashboard/reports?client=" (status.name) } { "Reports of " (status.name) } " · "
            a href={ "/dashboard/alerts?subject=" (status.name) } { "Alerts about " (status.name) } }
    }
}

fn freeze(status: &ClientStatus, visit: &Visit, now: Millis) -> Markup {
    let call = |action: &str| format!("/dashboard/clients/{}/{action}", status.name);
    match &status.frozen {
        Some(frozen) => html! {
            section.frozen aria-label="Freeze" {
                p { strong { "Uploads are frozen" } " since " (time_of(Some(&frozen.since), now))
                    @if !frozen.reason.is_empty() { ": " (note(&frozen.reason)) } "." }
                form method="post" action=(call("release")) {
                    (csrf(visit))
                    button.primary type="submit" { "Release " (status.name) }
                }
            }
        },
        None => html! {
            details.freeze {
                summary { "Freeze uploads…" }
                form method="post" action=(call("freeze")) {
                    (csrf(visit))
                    label for="reason" { "Reason, for the client and for other operators" }
                    input #reason name="reason" maxlength="500";
                    button.danger type="submit" { "Freeze " (status.name) }
                }
                p.hint { "Its uploads are refused, also those in progress. Its agent loses nothing and tries again later. "
                    "Downloads, heartbeats and reports continue." }
            }
        },
    }
}

/// The five states of a file, with their meaning.
const STATES: [(&str, &str, &str); 5] = [
    ("Protected", "part-protected", "the gateway stored exactly this version"),
    ("Pending", "part-pending", "it still has to be uploaded"),
    (
        "Baseline",
        "part-baseline",
        "it was there before the first scan; it is not protected until it changes",
    ),
    ("Excluded", "part-excluded", "a pattern, its type or its size rules it out"),
    ("Problems", "part-problems", "it cannot be uploaded, for the reasons below"),
];

fn totals(files: &FileTotals) -> [Total; 5] {
    [files.protected, files.pending, files.baseline, files.excluded, files.problems]
}

fn files(status: &ClientStatus, now: Millis) -> Markup {
    let Some(files) = &status.files else {
        return html! { h2 { "Files on the host" } p { (not_known()) ": no agent has sent a heartbeat." } };
    };
    let all = totals(files);
    let parts = segments(all.map(|total| total.files));
    let parts: Vec<_> = STATES.iter().zip(parts).map(|((_, class, _), it)| (*class, it)).collect();
    let sum = all.iter().fold(Total::default(), |sum, total| Total {
        files: sum.files.saturating_add(total.files),
        bytes: sum.bytes.saturating_add(total.bytes),
    });
    html! {
        h2 { "Files on the host" }
        div.big-bar { (stacked(&parts)) }
        div.scroll {
            table {
                caption.hidden { "Files on the host by state" }
                thead { tr {
                    th scope="col" { "State" } th.right scope="col" { "Files" } th.right scope="col" { "Bytes" }
                    th.optional scope="col" { "Meaning" }
                } }
                tbody {
                    @for ((word, class, meaning), total) in STATES.iter().zip(all) {
                        tr {
                            th scope="row" { (key(class)) (word) }
                            td.right { (count(total.files)) }
                            td.right { (bytes(total.bytes)) }
                            td.optional.sub { (meaning) }
                        }
                    }
                    tr {
                        th scope="row" { "All files" }
                        td.right { (count(sum.files)) }
                        td.right { (bytes(sum.bytes)) }
                        td.optional.sub { "as of the heartbeat " (time_of(status.last_heartbeat_at.as_deref(), now)) }
                    }
                }
            }
        }
    }
}

/// Returns a sample of a colour of the bar.
fn key(class: &str) -> Markup {
    html! { svg.key viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" {
        rect class=(class) width="10" height="10" rx="2" {}
    } }
}

fn fact(term: &str, value: Markup) -> Markup {
    html! { dt { (term) } dd { (value) } }
}

fn host(facts: &ClientPageFacts) -> Markup {
    let ClientPageFacts { status, now, .. } = facts;
    let (agent, program) = (status.agent.as_ref(), status.backup_program.as_ref());
    let time = |text: &Option<String>| time_of(text.as_deref(), *now);
    html! {
        dl.facts {
            @if let Some(agent) = agent {
                (fact("Host", note(&agent.host)))
                (fact("Agent", html! { "s3up " (clipped(&agent.version, 30)) ", started " (time_of(Some(&agent.started_at), *now)) }))
            }
            @if let Some(program) = program {
                (fact("Backups", html! { "btrfs-to-s3 " (clipped(&program.version, 30)) " on " (note(&program.host)) }))
                (fact("Last backup report", time(&status.last_backup_report_at)))
            }
            @if agent.is_none() && program.is_none() { (fact("Host", not_known())) }
            (fact("Last request", time(&status.last_seen_at)))
            @if agent.is_some() || program.is_none() {
                (fact("Last heartbeat", time(&status.last_heartbeat_at)))
                (fact("Last complete scan", time(&status.last_scan_at)))
                (fact("Watches", scans(facts)))
                (fact("Watcher", watcher(status)))
                (fact("Oldest pending file", pending(status)))
                (fact("Last drill", drill(status, *now)))
                (fact("Last report", html! {
                    @match &status.last_report_day { Some(day) => (clipped(day, 20)), None => (not_known()) }
                }))
            }
            (fact("Last stored upload", match &status.last_stored_at {
                Some(at) => time_of(Some(at), *now),
                None => none("none was recorded"),
            }))
        }
    }
}

/// Returns whether all watches could be scanned.
fn scans(facts: &ClientPageFacts) -> Markup {
    let error = facts.status.reason.as_deref();
    let error = error.and_then(|reason| reason.strip_prefix("a watch cannot be scanned: "));
    match (error, facts.status.agent.is_some()) {
        (Some(error), _) => {
            html! { (verdict(false, "cannot be scanned")) div.reason { (note(error)) } }
        }
        (None, true) => verdict(true, "all can be scanned"),
        (None, false) => not_known(),
    }
}

fn watcher(status: &ClientStatus) -> Markup {
    let Some(watcher) = &status.watcher else { return not_known() };
    let is_good = matches!(watcher.state.as_str(), "ok" | "off");
    html! {
        (verdict(is_good, &clipped(&watcher.state, 30)))
        @if let Some(detail) = &watcher.detail { div.reason { (note(detail)) } }
    }
}

fn pending(status: &ClientStatus) -> Markup {
    match (status.oldest_pending_seconds, status.agent.is_some()) {
        (Some(seconds), _) => {
            html! { "waits for " (age_text(std::time::Duration::from_secs(seconds))) }
        }
        (None, true) => none("no file is pending"),
        (None, false) => not_known(),
    }
}

fn drill(status: &ClientStatus, now: Millis) -> Markup {
    let Some(drill) = &status.last_drill else {
        return if status.agent.is_some() { none("no drill was reported") } else { not_known() };
    };
    let files = html! { (text::files(drill.files)) ", " (bytes(drill.bytes)) };
    html! {
        @if drill.failed == 0 { (verdict(true, "good")) } @else { (verdict(false, "failed")) }
        ", " (time_of(Some(&drill.at), now)) " (" (files) ")"
        @if drill.failed > 0 {
            div.reason { (count(drill.failed)) " could not be restored; last good drill: "
                @match &drill.last_good_at { Some(at) => (time_of(Some(at), now)), None => "never" } }
        }
    }
}

fn limits(policy: &ClientPolicy) -> Markup {
    let rights: Vec<_> = policy.rights.iter().map(ToString::to_string).collect();
    let rights =
        if rights.is_empty() { "none: reports only".to_owned() } else { rights.join(", ") };
    let size = |limit: Option<u64>| limit.map_or_else(|| html! { "no limit" }, bytes);
    let number =
        |limit: Option<u32>| limit.map_or_else(|| "no limit".to_owned(), |it| count(it.into()));
    let extensions = policy.extensions.as_ref().map_or("any".to_owned(), |them| them.join(", "));
    html! {
        dl.facts {
            (fact("Silent after", html! { (age_text(policy.silent_after)) }))
            (fact("Late after a lag of", html! { (age_text(policy.lag_after)) }))
            (fact("Backup is late after", match policy.backup_late_after {
                Some(age) => html! { (age_text(age)) },
                None => html! { "one day past the schedule of the host" },
            }))
            (fact("Drill is due after", html! { (age_text(policy.drill_after)) }))
            (fact("Suspicious changes", match policy.changed_percent {
                0 => html! { "not watched" },
                percent => html! { (percent) " % of the files within an hour, at least " (count(policy.changed_files_min)) },
            }))
            (fact("Rights", html! { (rights) }))
            (fact("Overwriting", html! { (policy.overwrite) }))
            (fact("Largest file", size(policy.file_bytes_max)))
            (fact("Quota", size(policy.quota_bytes)))
            (fact("Uploads at once", html! { (count(policy.uploads_max as u64)) }))
            (fact("Requests per second", html! { (number(policy.requests_per_second_max)) }))
            (fact("Extensions", html! { (clipped(&extensions, CELL_CHARS)) }))
        }
    }
}

fn stored_files(facts: &ClientPageFacts) -> Markup {
    let (name, quota) = (&facts.status.name, facts.policy.quota_bytes);
    let total = |total: &Total| html! { (text::files(total.files)) ", " (bytes(total.bytes)) };
    let restore = format!("s3up restore --target {}", shell_word(&format!("/tmp/restore-{name}")));
    let url = format!("/dashboard/clients/{name}/files");
    html! {
        h2 { "Stored files" }
        p {
            @match &facts.stored {
                StoredTotal::NotKnown => { (not_known()) ": the catalogue does not have the files of this client" },
                StoredTotal::AtLeast(it) => { "At least " (total(it)) "; the catalogue may lack files until " code { "s3up-server rebuild" } },
                StoredTotal::All(it) => (total(it)),
            }
            @if let Some(quota) = quota { ", " (percent(facts.status.stored.bytes, quota)) " of the quota of " (Size(quota)) }
            ". " a href=(url) { "Browse and download" } "."
        }
        form.search.wide method="get" action=(url) role="search" {
            label.hidden for="find" { "Part of a path" }
            input #find type="search" name="find" placeholder="Part of a path" maxlength="200"
                autocapitalize="none" spellcheck="false";
            button type="submit" { "Search" }
        }
        p.hint { "To restore all of them, run on the host:" }
        (command(&restore))
    }
}
