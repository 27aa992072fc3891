//! Decides what the page of the fleet says and shows: the sentence at its top, and which clients a filter
//! leaves. Pure.

use s3up_core::wire::{ClientState, ClientStatus};
use s3up_core::{Code, Count};

use super::text::{duration, parse_time, shown};
use crate::clock::Millis;
use crate::refusal::Refusal;
use crate::request::query;

/// Maximum number of characters of a name that a filter compares.
const NAME_CHARS_MAX: usize = 200;

/// The clients that a filter leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub states: StateFilter,
    /// A part of the name of the client, of its host or of a subvolume, in lower case.
    pub name: String,
    /// Number of clients on the pages before.
    pub skip: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StateFilter {
    #[default]
    All,
    /// Every client that is not `ok`, or has an incident.
    Attention,
    One(ClientState),
}

impl StateFilter {
    /// Returns its value in a URL.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            StateFilter::All => "",
            StateFilter::Attention => "attention",
            StateFilter::One(state) => state.as_str(),
        }
    }

    /// Returns its name on the page.
    pub(super) fn label(self) -> &'static str {
        match self {
            StateFilter::All => "All",
            StateFilter::Attention => "Need attention",
            StateFilter::One(state) => state.as_str(),
        }
    }

    pub(super) fn matches(self, client: &ClientStatus) -> bool {
        match self {
            StateFilter::All => true,
            StateFilter::Attention => {
                client.state != ClientState::Ok || !client.incidents.is_empty()
            }
            StateFilter::One(state) => client.state == state,
        }
    }

    /// Returns all of them, the worst state first.
    pub(super) fn all() -> impl Iterator<Item = StateFilter> {
        let states = ClientState::ALL.into_iter().rev().map(StateFilter::One);
        [StateFilter::All, StateFilter::Attention].into_iter().chain(states)
    }
}

impl Filter {
    /// Returns the filter of a URL.
    pub(super) fn parse(query: Option<&str>) -> Result<Filter, Refusal> {
        let text = query::parameter(query, "state")?.unwrap_or_default();
        let states =
            StateFilter::all().find(|states| states.as_str() == text).ok_or_else(|| {
                let what =
                    format!("`state`: expected attention or the name of a state, found {text:?}");
                Refusal::new(Code::BadRequest, what)
            })?;
        let name = query::parameter(query, "name")?.unwrap_or_default();
        let name = name.trim().chars().take(NAME_CHARS_MAX).collect::<String>().to_lowercase();
        let skip = query::parameter(query, "skip")?.map(|text| {
            text.parse().map_err(|_| {
                let what = format!("`skip`: expected a number of clients, found {text:?}");
                Refusal::new(Code::BadRequest, what)
            })
        });
        Ok(Filter { states, name, skip: skip.transpose()?.unwrap_or_default() })
    }

    pub(super) fn matches(&self, client: &ClientStatus) -> bool {
        self.states.matches(client) && self.has_name(client)
    }

    pub(super) fn has_name(&self, client: &ClientStatus) -> bool {
        let agent = client.agent.iter().map(|agent| agent.host.as_str());
        let program = client.backup_program.iter().map(|program| program.host.as_str());
        let subvolumes = client.subvolumes.iter().map(|subvolume| subvolume.name.as_str());
        let mut names =
            [client.name.as_str()].into_iter().chain(agent).chain(program).chain(subvolumes);
        self.name.is_empty() || names.any(|name| name.to_lowercase().contains(&self.name))
    }
}

/// Returns one sentence for the whole fleet: `41 of 42 hosts are safe; web-07 has been silent for 26 h`. The
/// clients are in order, the worst first.
pub(super) fn headline(clients: &[ClientStatus], now: Millis) -> String {
    let is_safe = |it: &&ClientStatus| matches!(it.state, ClientState::Ok | ClientState::Degraded);
    let (safe, total) = (clients.iter().filter(is_safe).count(), clients.len());
    let hosts = Count::of(total, "host");
    let are = if total == 1 { "is" } else { "are" };
    let counted = match safe {
        _ if safe == total && total == 1 => "The host is safe".to_owned(),
        _ if safe == total => format!("All {hosts} {are} safe"),
        safe => format!("{safe} of {hosts} {are} safe"),
    };
    let others = |count: usize| match count {
        0 => String::new(),
        1 => ", and 1 other needs attention".to_owned(),
        count => format!(", and {count} others need attention"),
    };
    let degraded = clients.iter().filter(|client| client.state == ClientState::Degraded).count();
    // Degraded hosts are safe, so they are not counted beside those that are not.
    let needing = if safe < total { total - safe } else { degraded };
    match clients.first().filter(|_| needing > 0) {
        Some(worst) => format!("{counted}; {}{}", trouble(worst, now), others(needing - 1)),
        None => counted,
    }
}

/// Returns one clause about the trouble of a client.
fn trouble(client: &ClientStatus, now: Millis) -> String {
    let (name, state) = (shown(&client.name), client.state.as_str());
    // Of two senders on one host, the one that was not heard for longest.
    let senders = [&client.last_heartbeat_at, &client.last_backup_report_at];
    let senders = senders.into_iter().flatten().filter_map(|at| parse_time(at));
    let seen = client.last_seen_at.as_deref().and_then(parse_time);
    let last_heard = senders.min().or(seen);
    let since = parse_time(&client.since);
    let lasting = |at: Millis| duration(at.min(now), now);
    match (client.state, last_heard, since) {
        (ClientState::Never, _, _) | (ClientState::Silent, None, _) => {
            format!("{name} has never been heard of")
        }
        (ClientState::Silent, Some(at), _) => format!("{name} has been silent {}", lasting(at)),
        (_, _, Some(at)) if lasting(at).starts_with("for ") => {
            format!("{name} has been {state} {}", lasting(at))
        }
        (_, _, _) => format!("{name} is {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_769_860_800_000; // 2026-01-31T12:00:00Z

    fn client(name: &str, state: ClientState) -> ClientStatus {
        let json = serde_json::json!({"name": name, "state": state, "since": "2026-01-31T09:00:00Z",
                                      "stored": {"files": 0, "bytes": 0}});
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_headline_is_one_sentence() {
        use ClientState::{Degraded, Failing, Late, Never, Ok, Silent};
        let silent = |name, at: Option<&str>| ClientStatus {
            last_heartbeat_at: at.map(str::to_owned),
            ..client(name, Silent)
        };
        let new = ClientStatus { since: "2026-01-31T12:00:00Z".to_owned(), ..client("a", Late) };
        let day_ago = Some("2026-01-30T10:00:00Z");
        let web = |state| client("web", state);
        #[rustfmt::skip]
        let cases = [
            (vec![web(Ok)],                                      "The host is safe"),
            (vec![web(Ok), web(Ok)],                             "All 2 hosts are safe"),
            (vec![web(Degraded), web(Ok)],                       "All 2 hosts are safe; web has been degraded for 3 h"),
            (vec![silent("web-07", day_ago), web(Ok), web(Ok)],  "2 of 3 hosts are safe; web-07 has been silent for 26 h"),
            (vec![silent("a", None)],                            "0 of 1 host is safe; a has never been heard of"),
            (vec![web(Failing), web(Late), web(Never), web(Ok)], "1 of 4 hosts are safe; web has been failing for 3 h, and 2 others need attention"),
            (vec![web(Failing), web(Degraded)],                  "1 of 2 hosts are safe; web has been failing for 3 h"),
            (vec![web(Never), web(Ok)],                          "1 of 2 hosts are safe; web has never been heard of"),
            (vec![new, web(Ok)],                                 "1 of 2 hosts are safe; a is late"),
            (vec![],                                             "All 0 hosts are safe"),
        ];
        for (clients, want) in cases {
            assert_eq!(headline(&clients, NOW), want);
        }
    }

    #[test]
    fn a_filter_leaves_states_and_names() {
        use ClientState::{Failing, Late, Ok};
        let mut host = client("a", Late);
        host.agent = serde_json::from_value(
            serde_json::json!({"version": "1", "host": "WEB9.example", "started_at": ""}),
        )
        .unwrap();
        let mut quota = client("quota", Ok);
        quota.incidents = serde_json::from_value(
            serde_json::json!([{"topic": "quota", "since": "", "reason": ""}]),
        )
        .unwrap();
        let all = [client("web-1", Failing), host, quota, client("WEB-2", Ok)];
        #[rustfmt::skip]
        let cases: [(_, &[usize]); 9] = [
            ("",                            &[0, 1, 2, 3]),
            ("state=",                      &[0, 1, 2, 3]),
            ("state=attention",             &[0, 1, 2]),
            ("state=ok",                    &[2, 3]),
            ("state=silent",                &[]),
            ("name=web",                    &[0, 1, 3]),
            ("name=+Web-+",                 &[0, 3]),
            ("state=attention&name=web9",   &[1]),
            ("name=%3Cscript%3E",           &[]),
        ];
        for (query, want) in cases {
            let filter = Filter::parse(Some(query)).unwrap();
            let found: Vec<_> = (0..all.len()).filter(|n| filter.matches(&all[*n])).collect();
            assert_eq!(found, want, "{query}");
        }
        for query in ["state=good", "state=ok&state=late"] {
            assert_eq!(Filter::parse(Some(query)).unwrap_err().code, Code::BadRequest, "{query}");
        }
    }
}
