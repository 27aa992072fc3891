//! The daily report to the operator: one line for each client, the worst first, and what changed since the
//! last report. It comes also when all is well, so that its absence tells something. Pure.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::civil::{Date, Time};
use s3up_cli::one_line;
use s3up_core::Size;
use s3up_core::wire::{ClientList, ClientStatus};

use super::incidents::{IncidentKey, OpenIncident};
use super::judge::datetime_of;
use super::overview::headline;
use crate::clock::{Millis, time_text};
use crate::database::incidents::ReportedClient;

/// The last report: its day, and the clients that it showed.
pub(crate) type LastReport = (String, BTreeMap<String, ReportedClient>);

/// Returns the day of the report that is due: one each day at `at`, UTC. One that was missed because no
/// gateway ran is made up for, but not more than one.
pub(crate) fn due(last: Option<&LastReport>, at: Time, now: Millis) -> Option<Date> {
    let now = datetime_of(now);
    let is_time = now.time() >= at;
    let Some((last, _)) = last else { return is_time.then(|| now.date()) };
    let day = if is_time { now.date() } else { now.date().yesterday().ok()? };
    // Days in this form are in the order of their texts.
    (last.as_str() < day.to_string().as_str()).then_some(day)
}

/// Returns the text of a report. Its first line tells whether all is well.
pub(crate) fn text(
    list: &ClientList,
    open: &BTreeMap<IncidentKey, OpenIncident>,
    last: Option<&LastReport>,
) -> String {
    let mut text = format!("{}\n\n", one_line(&headline(list)));
    let before = |name: &str| last.and_then(|(_, clients)| clients.get(name));
    for client in &list.clients {
        text.push_str(&line(client, before(&client.name), last.is_some()));
        text.push('\n');
        for incident in &client.incidents {
            writeln!(text, "    {}, since {}", one_line(&incident.reason), incident.since).ok();
        }
    }
    for ((topic, subject), incident) in open {
        if !topic.is_of_client() {
            let (reason, since) = (one_line(&incident.reason), time_text(incident.since));
            writeln!(text, "{subject}: {reason}, since {since}").ok();
        }
    }
    if let Some((day, clients)) = last {
        let names = || list.clients.iter().map(|client| client.name.as_str());
        for name in clients.keys().filter(|name| !names().any(|known| known == name.as_str())) {
            writeln!(text, "{name}: no longer in the configuration").ok();
        }
        writeln!(text, "\nChanges are those since the report of {day}.").ok();
    }
    text
}

fn line(client: &ClientStatus, before: Option<&ReportedClient>, has_last: bool) -> String {
    let (state, stored) = (client.state.as_str(), client.stored);
    let was = match before {
        Some(before) if before.state != state => format!(" (was {})", before.state),
        None if has_last => " (new)".to_owned(),
        Some(_) | None => String::new(),
    };
    let reason = client.reason.as_deref().map(|reason| format!("; {}", one_line(reason)));
    let files = |before: &ReportedClient| {
        let files = signed_difference(stored.files, before.files, |count| count.to_string());
        let bytes = signed_difference(stored.bytes, before.bytes, |bytes| Size(bytes).to_string());
        format!(" ({files}, {bytes})")
    };
    let (count, size) = (stored.files, Size(stored.bytes));
    let changed = before.map(files).unwrap_or_default();
    let noun = if count == 1 { "file" } else { "files" };
    let reason = reason.unwrap_or_default();
    format!("{}: {state}{was}; {count} {noun}, {size}{changed}{reason}", client.name)
}

fn signed_difference(now: u64, before: u64, text: impl Fn(u64) -> String) -> String {
    match now.checked_sub(before) {
        Some(more) => format!("+{}", text(more)),
        None => format!("-{}", text(before - now)),
    }
}

/// Returns the clients of a report as the next one compares them, by name.
pub(crate) fn reported(list: &ClientList) -> Vec<ReportedClient> {
    let of = |client: &ClientStatus| ReportedClient {
        client: client.name.clone(),
        state: client.state.as_str().to_owned(),
        files: client.stored.files,
        bytes: client.stored.bytes,
    };
    let mut clients: Vec<_> = list.clients.iter().map(of).collect();
    clients.sort_by(|a, b| a.client.cmp(&b.client));
    clients
}

#[cfg(test)]
mod tests {
    use s3up_core::ClientName;
    use s3up_core::wire::{ClientState, Total};

    use super::super::incidents::IncidentKey;
    use super::super::overview::overview;
    use super::*;
    use crate::alert::Topic;
    use crate::clients::ClientPolicy;
    use crate::database::client_facts::ClientFacts;
    use crate::database::record::RecordedState;

    const NOON: Millis = 1_769_860_800_000; // 2026-01-31T12:00:00Z
    const HOUR: Millis = 3_600_000;

    #[test]
    fn a_report_is_due_once_a_day_and_a_missed_one_once() {
        let last = |day: &str| Some((day.to_owned(), BTreeMap::new()));
        let (seven, fifteen) = (Time::constant(7, 0, 0, 0), Time::constant(15, 0, 0, 0));
        #[rustfmt::skip]
        let cases = [
            (None,               seven,   Some("2026-01-31")),
            (None,               fifteen, None),
            (last("2026-01-31"), seven,   None),
            (last("2026-01-30"), seven,   Some("2026-01-31")),
            (last("2026-01-30"), fifteen, None),
            (last("2026-01-29"), fifteen, Some("2026-01-30")),
            (last("2025-12-01"), seven,   Some("2026-01-31")),
            // The clock was ahead.
            (last("2026-02-01"), seven,   None),
        ];
        for (last, at, want) in cases {
            let found = due(last.as_ref(), at, NOON).map(|day| day.to_string());
            assert_eq!(found.as_deref(), want, "{last:?} {at}");
        }
    }

    #[test]
    fn the_report_has_the_worst_client_first_and_what_changed() {
        let name = |name: &str| ClientName::parse(name).unwrap();
        let policies =
            ["a", "b", "new"].map(|client| ClientPolicy::unlimited(name(client), Vec::new()));
        let facts = |client: &str, last_seen_at, files, bytes| ClientFacts {
            last_seen_at: Some(last_seen_at),
            stored: Total { files, bytes },
            recorded: Some(RecordedState { state: ClientState::Ok, since: 0 }),
            ..ClientFacts::unknown(&name(client), 0)
        };
        let facts = vec![
            facts("a", NOON, 12, 3 << 20),
            facts("b", NOON - 30 * HOUR, 1, 5),
            facts("new", NOON, 0, 0),
        ];
        let incident =
            |reason: &str| OpenIncident { since: NOON, seen_at: NOON, reason: reason.to_owned() };
        let open: BTreeMap<IncidentKey, OpenIncident> = [
            ((Topic::Quota, "a".to_owned()), incident("it has stored a lot")),
            ((Topic::Certificate, "gw1".to_owned()), incident("its certificate ends soon")),
        ]
        .into();
        let reported = |client: &str, state: &str, files, bytes| {
            let (name, state) = (client.to_owned(), state.to_owned());
            (client.to_owned(), ReportedClient { client: name, state, files, bytes })
        };
        let last = [
            reported("a", "ok", 10, 1 << 20),
            reported("b", "ok", 2, 5),
            reported("gone", "ok", 1, 1),
        ];
        let last: LastReport = ("2026-01-30".to_owned(), last.into());

        let list = overview(policies.iter(), facts, &open, NOON);

        let want = "\
2 of 3 clients are safe; b: no request for 30 h, since 2026-01-30T06:00:00Z

b: silent (was ok); 1 file, 5 B (-1, +0 B); no request for 30 h, since 2026-01-30T06:00:00Z
a: ok; 12 files, 3.0 MiB (+2, +2.0 MiB)
    it has stored a lot, since 2026-01-31T12:00:00Z
new: ok (new); 0 files, 0 B
gw1: its certificate ends soon, since 2026-01-31T12:00:00Z
gone: no longer in the configuration

Changes are those since the report of 2026-01-30.
";
        assert_eq!(text(&list, &open, Some(&last)), want);
        let first = text(&list, &open, None);
        assert!(first.contains("\na: ok; 12 files, 3.0 MiB\n"), "{first}");
        assert!(!first.contains("Changes are"), "{first}");
    }
}
