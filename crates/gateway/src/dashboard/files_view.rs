//! The pages of stored files, from what S3 or the catalogue lists. Pure.

use std::time::SystemTime;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use s3up_core::RemotePath;
use s3up_store::ObjectVersion;

use super::text::{clipped, count, last_segment, shell_word};
use super::widgets::{bytes, command, name, time};
use crate::clients::ClientPolicy;
use crate::clock::{Millis, millis};
use crate::database::pages::client::FoundFiles;

/// Versions of a file that its page shows, the newest first.
const VERSIONS_SHOWN: usize = 200;

/// One page of a directory.
pub(super) struct Directory {
    /// Empty, or ends with a slash.
    pub prefix: String,
    pub entries: Vec<Entry>,
    pub next: Option<String>,
}

pub(super) enum Entry {
    /// A path that ends with a slash.
    Directory(String),
    File {
        path: RemotePath,
        size: u64,
        at: SystemTime,
        /// `None` for STANDARD.
        class: Option<String>,
    },
}

/// Returns a URL below a client with one parameter for each pair.
fn url(policy: &ClientPolicy, page: &str, query: &[(&str, &str)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let query: Vec<_> =
        query.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("/dashboard/clients/{}/{page}{mark}{}", policy.name, query.join("&"))
}

/// Returns the way from the fleet to a directory: each directory above it with its prefix. Pure.
fn way(prefix: &str) -> Vec<(&str, &str)> {
    let ends = prefix.match_indices('/').map(|(at, _)| at + 1);
    ends.map(|end| (last_segment(&prefix[..end]), &prefix[..end])).collect()
}

fn crumbs(policy: &ClientPolicy, prefix: &str) -> Markup {
    let client = format!("/dashboard/clients/{}", policy.name);
    html! {
        nav.crumbs aria-label="Directory" {
            a href="/" { "Fleet" } " / " a href=(client) { (policy.name) } " / "
            a href=(url(policy, "files", &[])) { "files" } " / "
            @for (segment, prefix) in way(prefix) {
                a href=(url(policy, "files", &[("prefix", prefix)])) { (name(segment)) } " "
            }
        }
    }
}

fn search_form(policy: &ClientPolicy, find: &str) -> Markup {
    html! {
        form.search.wide method="get" action=(url(policy, "files", &[])) role="search" {
            label.hidden for="find" { "Part of a path" }
            input #find type="search" name="find" value=(find) placeholder="Part of a path" maxlength="200"
                autocapitalize="none" spellcheck="false";
            button type="submit" { "Search" }
        }
    }
}

pub(super) fn directory_view(policy: &ClientPolicy, directory: &Directory, now: Millis) -> Markup {
    let Directory { prefix, entries, next } = directory;
    let target = shell_word(&format!("/tmp/restore-{}", policy.name));
    let restore = match prefix.strip_suffix('/') {
        None => format!("s3up restore --target {target}"),
        Some(directory) => format!("s3up restore --target {target} {}", operand(directory)),
    };
    html! {
        (crumbs(policy, prefix))
        h1 { "Files of " (policy.name) }
        (search_form(policy, ""))
        p.hint { "To restore this directory, run on the host:" }
        (command(&restore))
        @if entries.is_empty() {
            p.empty { "No file is stored here." }
        } @else {
            (entry_table(policy, entries, now))
        }
        @if let Some(token) = next {
            p { a href=(url(policy, "files", &[("prefix", prefix), ("token", token)])) { "Next page" } }
        }
    }
}

fn entry_table(policy: &ClientPolicy, entries: &[Entry], now: Millis) -> Markup {
    html! {
        div.scroll {
            table {
                caption.hidden { "Entries of this directory" }
                thead { tr {
                    th scope="col" { "Name" } th.right scope="col" { "Size" } th.right scope="col" { "Stored" }
                    th.optional scope="col" { "Class" }
                } }
                tbody {
                    @for entry in entries {
                        tr {
                            @match entry {
                                Entry::Directory(path) => {
                                    th.path scope="row" { a href=(url(policy, "files", &[("prefix", path)])) { (name(last_segment(path))) } }
                                    td.right { "directory" } td.right {} td.optional {}
                                },
                                Entry::File { path, size, at, class } => {
                                    th.path scope="row" { a href=(url(policy, "versions", &[("path", path.as_str())])) { (name(path.file_name())) } }
                                    td.right { (bytes(*size)) }
                                    td.right { (time(millis(*at), now)) }
                                    td.optional { (class.as_deref().unwrap_or("STANDARD")) }
                                },
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn search_view(
    policy: &ClientPolicy,
    find: &str,
    found: &FoundFiles,
    is_complete: bool,
) -> Markup {
    html! {
        (crumbs(policy, ""))
        h1 { "Files of " (policy.name) " with “" (name(find)) "”" }
        (search_form(policy, find))
        @if !is_complete {
            p.note { "The catalogue may lack files of this client, so the search may, too. "
                code { "s3up-server rebuild" } " completes it." }
        }
        @if found.files.is_empty() {
            p.empty { @if found.next.is_some() { "None yet; the search has not read all paths." } @else { "No stored file has it in its path." } }
        } @else {
            div.scroll {
                table {
                    caption.hidden { "Files that were found" }
                    thead { tr { th scope="col" { "Path" } th.right scope="col" { "Size" } } }
                    tbody {
                        @for file in &found.files {
                            tr {
                                th.path scope="row" { a href=(url(policy, "versions", &[("path", &file.path)])) { (name(&file.path)) } }
                                td.right { (bytes(file.size)) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(after) = &found.next {
            p { a href=(url(policy, "files", &[("find", find), ("after", after)])) { "Search on" } }
        }
    }
}

pub(super) fn versions_view(
    policy: &ClientPolicy,
    path: &RemotePath,
    versions: &[ObjectVersion],
    may_download: bool,
    now: Millis,
) -> Markup {
    let directory =
        path.as_str().rsplit_once('/').map_or("", |(above, _)| &path.as_str()[..=above.len()]);
    html! {
        (crumbs(policy, directory))
        h1 { (name(path.file_name())) }
        p.hint { "To get the newest version, run on the host:" }
        (command(&format!("s3up get {}", operand(path.as_str()))))
        @if !may_download {
            p.note { "Downloads are off here. " code { "dashboard.downloads: true" } " in server.yaml allows them to every admin key." }
        }
        p.sub { (count(versions.len() as u64)) @if versions.len() == 1 { " version" } @else { " versions" }
            @if versions.len() > VERSIONS_SHOWN { ", of which the newest " (VERSIONS_SHOWN) " are shown" } }
        div.scroll {
            table.cards role="table" {
                caption.hidden { "Versions, the newest first" }
                thead role="rowgroup" { tr role="row" {
                    th role="columnheader" scope="col" { "Stored" }
                    th.right role="columnheader" scope="col" { "Size" }
                    th role="columnheader" scope="col" { "Class" }
                    th role="columnheader" scope="col" { "Command" }
                    @if may_download { th role="columnheader" scope="col" { "Download" } }
                } }
                tbody role="rowgroup" {
                    @for version in versions.iter().take(VERSIONS_SHOWN) { (version_row(policy, path, version, may_download, now)) }
                }
            }
        }
    }
}

fn version_row(
    policy: &ClientPolicy,
    path: &RemotePath,
    version: &ObjectVersion,
    may_download: bool,
    now: Millis,
) -> Markup {
    let id = version.version_id.as_str();
    let link = url(policy, "download", &[("path", path.as_str()), ("version_id", id)]);
    let get = format!("s3up get --version {} {}", shell_word(id), operand(path.as_str()));
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                (time(millis(version.modified_at), now))
                @if version.is_latest { div.sub { "newest" } }
                @if version.is_deleted { div.sub.bad { "deleted then, not by the gateway" } }
            }
            td.right role="cell" data-label="Size" { @if version.is_deleted { "–" } @else { (bytes(version.size)) } }
            td role="cell" data-label="Class" { (clipped(version.storage_class.as_deref().unwrap_or("STANDARD"), 40)) }
            td.wide role="cell" data-label="Command" { @if version.is_deleted { "–" } @else { (command(&get)) } }
            @if may_download {
                td role="cell" data-label="Download" {
                    @if version.is_deleted { "–" } @else { a href=(link) download { "Download" } }
                }
            }
        }
    }
}

/// Returns a path as the last argument of `s3up`, which would take a leading `-` for an option.
fn operand(path: &str) -> String {
    if path.starts_with('-') { format!("-- {}", shell_word(path)) } else { shell_word(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_directory_names_each_directory_above_it() {
        #[rustfmt::skip]
        let cases: [(&str, &[(&str, &str)]); 3] = [
            ("",       &[]),
            ("a/",     &[("a/", "a/")]),
            ("a/b c/", &[("a/", "a/"), ("b c/", "a/b c/")]),
        ];
        for (prefix, want) in cases {
            assert_eq!(way(prefix), want);
        }
    }

    #[test]
    fn a_path_is_an_operand() {
        assert_eq!(operand("a b"), "'a b'");
        assert_eq!(operand("-o"), "-- '-o'");
    }
}
