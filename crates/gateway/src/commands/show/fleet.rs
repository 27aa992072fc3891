//! The table of `s3up-server fleet`.

use std::time::Duration;

use jiff::Timestamp;
use s3up_cli::{one_line, table};
use s3up_core::wire::{ClientList, ClientStatus, Drill, SubvolumeReport};
use s3up_core::{Size, age_text};

use crate::fleet::overview::headline;

/// Formats a row for each client and for each subvolume, a line for each reason and incident, and the
/// headline.
pub(crate) fn to_text(list: &ClientList) -> String {
    let header = ["CLIENT", "STATE", "FOR", "PROTECTED", "PENDING", "PROBLEMS", "STORED", "DRILL"];
    let now = list.at.parse().unwrap_or_default();
    let mut text = table(header, list.clients.iter().map(|client| row(client, now)));
    text.push_str(&subvolumes(list, now));
    for client in &list.clients {
        if let Some(reason) = &client.reason {
            text.push_str(&format!("{}: {}\n", client.name, one_line(reason)));
        }
        for incident in &client.incidents {
            text.push_str(&format!("{}: {}\n", client.name, one_line(&incident.reason)));
        }
    }
    text.push_str(&format!("{}\n", headline(list)));
    text
}

/// Formats a table of the subvolumes of all btrfs hosts; nothing if there are none.
fn subvolumes(list: &ClientList, now: Timestamp) -> String {
    let header =
        ["CLIENT", "SUBVOLUME", "NEWEST BACKUP", "AGE", "CHAIN", "RESTORABLE", "GOOD DRILL"];
    let rows: Vec<_> = list
        .clients
        .iter()
        .flat_map(|client| client.subvolumes.iter().map(|it| subvolume_row(client, it, now)))
        .collect();
    if rows.is_empty() { String::new() } else { format!("\n{}\n", table(header, rows.into_iter())) }
}

fn subvolume_row(
    client: &ClientStatus,
    subvolume: &SubvolumeReport,
    now: Timestamp,
) -> [String; 7] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let age = subvolume.newest_backup_age_seconds;
    let drill = subvolume.last_drill.as_ref().and_then(|drill| drill.last_good_at.as_deref());
    let restorable = match subvolume.restorable {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "-",
    };
    [
        client.name.clone(),
        subvolume.name.clone(),
        or_none(subvolume.newest_backup_at.clone()),
        or_none(age.map(|age| age_text(Duration::from_secs(age)))),
        or_none(subvolume.chain_length.map(|length| length.to_string())),
        restorable.to_owned(),
        or_none(drill.and_then(|at| age_of(at, now))),
    ]
}

fn row(client: &ClientStatus, now: Timestamp) -> [String; 8] {
    let count =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let files = client.files.as_ref();
    [
        client.name.clone(),
        client.state.as_str().to_owned(),
        age_of(&client.since, now).unwrap_or_else(|| client.since.clone()),
        count(files.map(|files| files.protected.files)),
        count(files.map(|files| files.pending.files)),
        count(files.map(|files| files.problems.files)),
        Size(client.stored.bytes).to_string(),
        drill_age(client.last_drill.as_ref(), now),
    ]
}

/// Returns how long ago the last drill succeeded.
fn drill_age(drill: Option<&Drill>, now: Timestamp) -> String {
    let Some(drill) = drill else { return "-".to_owned() };
    let age = drill.last_good_at.as_ref().and_then(|at| age_of(at, now));
    age.unwrap_or_else(|| "never".to_owned())
}

/// Returns the age of a time, which may lie after `now`.
fn age_of(at: &str, now: Timestamp) -> Option<String> {
    let at: Timestamp = at.parse().ok()?;
    Some(age_text(Duration::try_from(now.duration_since(at)).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_the_last_good_drill_is_shown() {
        let drill = |last_good_at: Option<&str>| Drill {
            last_good_at: last_good_at.map(str::to_owned),
            ..Drill::default()
        };
        #[rustfmt::skip]
        let cases = [
            (None,                                      "-"),
            (Some(drill(None)),                         "never"),
            (Some(drill(Some("2026-03-07T12:00:00Z"))), "3 d"),
            (Some(drill(Some("2026-03-11T12:00:00Z"))), "0 s"),
        ];
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        for (last_drill, want) in cases {
            assert_eq!(drill_age(last_drill.as_ref(), now), want);
        }
    }
}
