//! The table of `s3up-server fleet`.

use s3up_cli::{one_line, table};
use s3up_core::Size;
use s3up_core::wire::{ClientList, ClientStatus};

use crate::fleet::overview::headline;

/// Formats a row for each client, a line for each reason and incident, and the headline.
pub(crate) fn to_text(list: &ClientList) -> String {
    let header = ["CLIENT", "STATE", "SINCE", "PROTECTED", "PENDING", "PROBLEMS", "STORED"];
    let mut text = table(header, list.clients.iter().map(row));
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

fn row(client: &ClientStatus) -> [String; 7] {
    let count =
        |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let files = client.files.as_ref();
    [
        client.name.clone(),
        client.state.as_str().to_owned(),
        client.since.clone(),
        count(files.map(|files| files.protected.files)),
        count(files.map(|files| files.pending.files)),
        count(files.map(|files| files.problems.files)),
        Size(client.stored.bytes).to_string(),
    ]
}
