//! `GET /`: all clients, the worst first.

use axum::extract::{Request, State};
use axum::response::Response;
use maud::{Markup, html};
use s3up_core::Size;
use s3up_core::wire::{ClientState, ClientStatus, FileTotals, SubvolumeReport};

use super::fleet_facts::{ExtraFacts, FleetFacts, StoredTotal, read};
use super::fleet_table::{Filter, StateFilter, headline};
use super::layout::{Frame, Section};
use super::subvolume_table::subvolumes;
use super::text::{clipped, count, percent};
use super::visit::{NotShown, visit};
use super::widgets::{
    CELL_CHARS, Column, bar, bytes, header, lasting, none, not_known, note, sparkline, state,
    time_of, verdict,
};
use crate::clock::Millis;
use crate::gateway::Gateway;
use crate::handlers::clients::unanswered;

/// Shows all clients that the filter of the URL leaves.
pub(super) async fn fleet(
    State(gateway): State<Gateway>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let filter = Filter::parse(request.uri().query())?;
    let facts = read(&gateway).await.map_err(|err| unanswered(&err))?;
    let troubled =
        facts.list.clients.iter().filter(|it| StateFilter::Attention.matches(it)).count();
    let title = match troubled {
        0 => "Fleet".to_owned(),
        troubled => format!("({troubled}) Fleet"),
    };
    let frame =
        Frame { visit: &visit, section: Section::Fleet, title, now: facts.now, is_live: true };
    Ok(frame.page(content(&facts, &filter)))
}

fn content(facts: &FleetFacts, filter: &Filter) -> Markup {
    let FleetFacts { list, extra, now } = facts;
    let all: Vec<_> = list.clients.iter().filter(|client| filter.matches(client)).collect();
    let shown = all.iter().skip(filter.skip).take(CLIENTS_SHOWN);
    let clients: Vec<_> = shown.copied().collect();
    let worst = list.clients.first().map_or(ClientState::Ok, |client| client.state);
    html! {
        h1 class={ "headline worst-" (worst.as_str()) } { (headline(&list.clients, *now)) }
        (filters(&list.clients, filter))
        @if clients.is_empty() {
            p.empty { "No client matches the filter. " a href="/" { "Show all" } }
        } @else {
            (table(&clients, extra, *now))
            (other_pages(all.len(), filter))
            (subvolumes(&clients, *now))
        }
    }
}

/// Returns links to the clients that are on other pages.
fn other_pages(total: usize, filter: &Filter) -> Markup {
    let end = filter.skip.saturating_add(CLIENTS_SHOWN);
    let link = |skip: usize, text: &str| html! { " · " a href=(page_url(filter, skip)) { (text) } };
    html! {
        @if total > CLIENTS_SHOWN {
            p.sub {
                "Clients " (count(filter.skip as u64 + 1)) " to " (count(end.min(total) as u64)) " of "
                (count(total as u64)) ", the worst first"
                @if filter.skip > 0 { (link(filter.skip.saturating_sub(CLIENTS_SHOWN), "Worse ones")) }
                @if end < total { (link(end, "Next ones")) }
            }
        }
    }
}

fn page_url(filter: &Filter, skip: usize) -> String {
    let url = url(filter.states, &filter.name);
    match (skip, url.contains('?')) {
        (0, _) => url,
        (skip, true) => format!("{url}&skip={skip}"),
        (skip, false) => format!("{url}?skip={skip}"),
    }
}

fn filters(all: &[ClientStatus], filter: &Filter) -> Markup {
    let named: Vec<_> = all.iter().filter(|client| filter.has_name(client)).collect();
    let of = |states: StateFilter| named.iter().filter(|client| states.matches(client)).count();
    html! {
        div.filters {
            nav.chips aria-label="Filter by state" {
                @for states in StateFilter::all() {
                    @let found = of(states);
                    @if found > 0 || states == filter.states || states == StateFilter::All {
                        a.chip href=(url(states, &filter.name))
                            aria-current=[(states == filter.states).then_some("true")] {
                            (states.label()) " " span.number { (found) }
                        }
                    }
                }
            }
            form.search method="get" action="/" role="search" {
                @if filter.states != StateFilter::All {
                    input type="hidden" name="state" value=(filter.states.as_str());
                }
                label.hidden for="name" { "Name of a client, host or subvolume" }
                input #name type="search" name="name" value=(filter.name) placeholder="Name"
                    maxlength="200" autocapitalize="none" spellcheck="false";
                button type="submit" { "Filter" }
            }
        }
    }
}

fn url(states: StateFilter, name: &str) -> String {
    let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    match (states, name.to_string().as_str()) {
        (StateFilter::All, "") => "/".to_owned(),
        (states, "") => format!("/?state={}", states.as_str()),
        (states, name) => format!("/?state={}&name={name}", states.as_str()),
    }
}

/// Number of clients on a page.
const CLIENTS_SHOWN: usize = 200;

const COLUMNS: [Column; 11] = [
    ("Client", false),
    ("State", false),
    ("Heartbeat", true),
    ("Full scan", true),
    ("Upload", true),
    ("Lag", true),
    ("Protected", false),
    ("Stored", true),
    ("Last 7 days", false),
    ("Drill", false),
    ("Agent", false),
];

fn table(
    clients: &[&ClientStatus],
    extra: &std::collections::BTreeMap<String, ExtraFacts>,
    now: Millis,
) -> Markup {
    let nothing = ExtraFacts::default();
    html! {
        div.scroll {
            table.cards.fleet role="table" {
                caption.hidden { "Clients, the worst first" }
                (header(&COLUMNS))
                tbody role="rowgroup" {
                    @for client in clients {
                        (row(client, extra.get(&client.name).unwrap_or(&nothing), now))
                    }
                }
            }
        }
    }
}

fn row(client: &ClientStatus, extra: &ExtraFacts, now: Millis) -> Markup {
    let has_agent = client.agent.is_some();
    let only_backups = !has_agent && client.last_backup_report_at.is_some();
    let heard = client.last_heartbeat_at.as_ref().or(client.last_backup_report_at.as_ref());
    let of_agent = |fact: Markup| match (only_backups, has_agent) {
        (true, _) => none("this host sends backup reports only"),
        (false, false) => not_known(),
        (false, true) => fact,
    };
    html! {
        tr role="row" data-client=(client.name) {
            th role="rowheader" scope="row" {
                a href={ "/dashboard/clients/" (client.name) } { (client.name) }
                @if let Some(host) = host(client) { div.sub { (note(host)) } }
            }
            td role="cell" data-label="State" {
                (state(client.state)) " " span.sub { (lasting(&client.since, now)) }
                @if let Some(reason) = &client.reason { div.reason { (note(reason)) } }
                @for incident in &client.incidents { div.reason.incident { (note(&incident.reason)) } }
            }
            td.right role="cell" data-label="Heartbeat" { (time_of(heard.map(String::as_str), now)) }
            td.right role="cell" data-label="Full scan" {
                (of_agent(time_of(client.last_scan_at.as_deref(), now)))
            }
            td.right role="cell" data-label="Upload" {
                @match (&client.last_stored_at, only_backups) {
                    (Some(at), _) => (time_of(Some(at), now)),
                    (None, true) => (none("this host sends backup reports only")),
                    (None, false) => (none("none was recorded")),
                }
            }
            td.right role="cell" data-label="Lag" { (of_agent(lag(client.oldest_pending_seconds))) }
            td.protected role="cell" data-label="Protected" { (of_agent(protected(client.files.as_ref()))) }
            td.right role="cell" data-label="Stored" { (stored(client, extra.stored)) }
            td.days role="cell" data-label="Last 7 days" { (days(extra)) }
            td role="cell" data-label="Drill" { (drill(client, now)) }
            td role="cell" data-label="Agent" { (agent(client)) }
        }
    }
}

/// Returns the name of the host, if the client has another one.
fn host(client: &ClientStatus) -> Option<&str> {
    let agent = client.agent.as_ref().map(|agent| agent.host.as_str());
    let program = client.backup_program.as_ref().map(|program| program.host.as_str());
    agent.or(program).filter(|host| *host != client.name)
}

fn lag(oldest_pending_seconds: Option<u64>) -> Markup {
    let text = oldest_pending_seconds
        .map(|seconds| s3up_core::age_text(std::time::Duration::from_secs(seconds)));
    text.map_or_else(|| none("no file is pending"), |text| html! { (text) })
}

/// The files that are excluded do not count: nothing should protect them.
fn protected(files: Option<&FileTotals>) -> Markup {
    let Some(files) = files else { return not_known() };
    let all = [files.protected, files.pending, files.baseline, files.problems];
    let whole = all.iter().map(|total| total.files).fold(0, u64::saturating_add);
    let part = files.protected.files;
    html! {
        div.split {
            span.number { (count(part)) @if part != whole { " of " (count(whole)) } }
            span.number { (percent(part, whole)) }
        }
        (bar(part, whole))
        @if files.problems.files > 0 {
            div.sub.bad { (count(files.problems.files)) " with problems" }
        }
    }
}

fn stored(client: &ClientStatus, stored: StoredTotal) -> Markup {
    let shown = match stored {
        StoredTotal::NotKnown => not_known(),
        StoredTotal::AtLeast(total) => html! {
            span title="The catalogue may lack files; `s3up-server rebuild` completes it" { "≥ " (bytes(total.bytes)) }
        },
        StoredTotal::All(total) => bytes(total.bytes),
    };
    html! {
        (shown)
        @if let Some(quota) = client.quota_bytes {
            div.sub { (percent(client.stored.bytes, quota)) " of " (Size(quota)) }
        }
    }
}

fn days(extra: &ExtraFacts) -> Markup {
    let files = extra.days.map(|day| day.map(|day| day.files));
    let sizes = extra.days.map(|day| day.map(|day| day.bytes));
    let uploaded = extra.days.iter().flatten().map(|day| day.bytes).fold(0, u64::saturating_add);
    html! {
        div.sparks {
            (sparkline("Files uploaded per day", &files, count))
            (sparkline("Bytes uploaded per day", &sizes, |bytes| Size(bytes).to_string()))
        }
        @if extra.days.iter().any(Option::is_some) { div.sub.number { @if uploaded == 0 { "none" } @else { (Size(uploaded)) } } }
    }
}

fn drill(client: &ClientStatus, now: Millis) -> Markup {
    if let Some(drill) = &client.last_drill {
        return match (&drill.last_good_at, drill.failed) {
            (Some(good), 0) => {
                html! { (verdict(true, "good")) " " span.sub { (time_of(Some(good), now)) } }
            }
            (Some(good), _) => {
                html! { (verdict(false, "failed")) div.sub { "good " (time_of(Some(good), now)) } }
            }
            (None, _) => verdict(false, "never good"),
        };
    }
    let good =
        |it: &SubvolumeReport| it.last_drill.as_ref().and_then(|drill| drill.last_good_at.clone());
    let oldest = client.subvolumes.iter().filter_map(good).min();
    match (oldest, client.agent.is_some() || !client.subvolumes.is_empty()) {
        (Some(good), _) => {
            html! { (verdict(true, "good")) " " span.sub { (time_of(Some(&good), now)) } }
        }
        (None, true) => none("no drill was reported"),
        (None, false) => not_known(),
    }
}

fn agent(client: &ClientStatus) -> Markup {
    let version = client.agent.as_ref().map(|agent| &agent.version);
    let version = version.or(client.backup_program.as_ref().map(|program| &program.version));
    let Some(version) = version else { return not_known() };
    html! {
        (clipped(version, 30))
        @if let Some(watcher) = &client.watcher {
            @let is_good = matches!(watcher.state.as_str(), "ok" | "off");
            div class=(if is_good { "sub" } else { "sub bad" })
                title=[watcher.detail.as_deref().map(|detail| clipped(detail, CELL_CHARS))] {
                "watcher " (clipped(&watcher.state, 30))
            }
        } @else if client.agent.is_none() {
            div.sub { "btrfs-to-s3" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_fleet_has_several_pages() {
        let late = Filter { states: StateFilter::One(ClientState::Late), ..Filter::default() };
        #[rustfmt::skip]
        let cases: [(usize, usize, &Filter, &str, &[&str]); 5] = [
            (200, 0,   &Filter::default(), "",                          &[]),
            (201, 0,   &Filter::default(), "Clients 1 to 200 of 201",   &["/?skip=200"]),
            (450, 200, &Filter::default(), "Clients 201 to 400 of 450", &["/", "/?skip=400"]),
            (450, 400, &Filter::default(), "Clients 401 to 450 of 450", &["/?skip=200"]),
            (450, 200, &late,              "Clients 201 to 400 of 450", &["/?state=late", "/?state=late&amp;skip=400"]),
        ];
        for (total, skip, filter, text, links) in cases {
            let page = other_pages(total, &Filter { skip, ..filter.clone() }).into_string();
            assert!(page.contains(text), "{page}");
            let found: Vec<_> =
                page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert_eq!(found, links, "{page}");
        }
    }
}
