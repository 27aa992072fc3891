//! The table of the backups of btrfs hosts. Pure.

use maud::{Markup, html};
use s3up_core::wire::{BackupCheck, ClientStatus, SubvolumeReport};

use super::text::count;
use super::widgets::{Column, header, none, not_known, note, time_of, verdict};
use crate::clock::Millis;

const SUBVOLUME_COLUMNS: [Column; 8] = [
    ("Host", false),
    ("Subvolume", false),
    ("Newest backup", true),
    ("Chain", true),
    ("Restorable", false),
    ("Last run", false),
    ("Drill", false),
    ("Verify", false),
];

/// Returns the backups of all btrfs hosts, if there are any.
pub(super) fn subvolumes(clients: &[&ClientStatus], now: Millis) -> Markup {
    if clients.iter().all(|client| client.subvolumes.is_empty()) {
        return html! {};
    }
    html! {
        h2 { "Backups of subvolumes" }
        div.scroll {
            table.cards role="table" {
                caption.hidden { "The backups of each subvolume of a btrfs host" }
                (header(&SUBVOLUME_COLUMNS))
                tbody role="rowgroup" {
                    @for client in clients {
                        @for subvolume in &client.subvolumes { (subvolume_row(client, subvolume, now)) }
                    }
                }
            }
        }
    }
}

fn subvolume_row(client: &ClientStatus, subvolume: &SubvolumeReport, now: Millis) -> Markup {
    let age = subvolume.newest_backup_age_seconds;
    let newest = age.map(|seconds| now.saturating_sub_unsigned(seconds.saturating_mul(1000)));
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { a href={ "/dashboard/clients/" (client.name) } { (client.name) } }
            td role="cell" data-label="Subvolume" {
                (note(&subvolume.name))
                @if let Some(problem) = subvolume.problem.as_ref().or(subvolume.unreadable.as_ref()) {
                    div.reason { (note(problem)) }
                }
            }
            td.right role="cell" data-label="Newest backup" {
                @match (newest, &subvolume.observed_at) {
                    (Some(at), _) => (super::widgets::time(at, now)),
                    (None, Some(_)) => span.bad { "none yet" },
                    (None, None) => (not_known()),
                }
            }
            td.right role="cell" data-label="Chain" {
                @match subvolume.chain_length {
                    Some(length) => (count(length)),
                    None => (not_known()),
                }
            }
            td role="cell" data-label="Restorable" {
                @match subvolume.restorable {
                    Some(true) => (verdict(true, "yes")),
                    Some(false) => (verdict(false, "no")),
                    None => (not_known()),
                }
            }
            td role="cell" data-label="Last run" {
                @match &subvolume.last_run {
                    Some(run) => {
                        (run.outcome.as_str().replace('_', " ")) " " span.sub { (time_of(Some(&run.at), now)) }
                        @if let Some(error) = &run.error { div.reason { (note(error)) } }
                    },
                    None => (not_known()),
                }
            }
            td role="cell" data-label="Drill" { (check(subvolume.last_drill.as_ref(), now)) }
            td role="cell" data-label="Verify" { (check(subvolume.last_verify.as_ref(), now)) }
        }
    }
}

fn check(check: Option<&BackupCheck>, now: Millis) -> Markup {
    let Some(check) = check else { return none("none was reported") };
    match &check.error {
        None => html! { (verdict(true, "good")) " " span.sub { (time_of(Some(&check.at), now)) } },
        Some(error) => html! {
            (verdict(false, "failed")) " " span.sub { (time_of(Some(&check.at), now)) }
            div.reason { (note(error)) }
        },
    }
}
