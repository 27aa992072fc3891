//! `GET /dashboard/clients/{name}/files`: the stored files of a client, one directory or one search at a time;
//! the versions of one file; and a download.
//!
//! A directory is listed in S3, which is the truth. A search reads the catalogue, because S3 finds no part of
//! a name.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use maud::Markup;
use s3up_core::{Code, Key, RemotePath, file_path};

use super::client_facts::policy_of;
use super::files_view::{Directory, Entry, directory_view, search_view, versions_view};
use super::layout::{Frame, Section};
use super::visit::{NotShown, Visit, visit};
use crate::clients::ClientPolicy;
use crate::gateway::Gateway;
use crate::handlers::clients::unanswered;
use crate::handlers::download::{StoredVersion, send};
use crate::handlers::list::directory;
use crate::refusal::Refusal;
use crate::request::query;
use crate::uploads::RETRY_FOR;

/// Entries of one page of a directory.
const ENTRIES_SHOWN: usize = 200;
/// Maximum number of characters of a search.
const SEARCH_CHARS_MAX: usize = 200;

/// Shows a directory, or what a search finds.
pub(super) async fn files(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let policy = policy_of(&gateway, &name)?;
    let query = request.uri().query();
    let find = query::parameter(query, "find")?.unwrap_or_default();
    // No path has a control character.
    let find = find.chars().filter(|c| !c.is_control());
    let find: String = find.take(SEARCH_CHARS_MAX).collect();
    let content = match find.is_empty() {
        true => list(&gateway, &policy, query).await?,
        false => search(&gateway, &policy, &find, query).await?,
    };
    Ok(page(&gateway, &visit, format!("Files of {name}"), content))
}

fn page(gateway: &Gateway, visit: &Visit, title: String, content: Markup) -> Response {
    let now = gateway.database().now();
    Frame { visit, section: Section::Other, title, now, is_live: false }.page(content)
}

async fn list(
    gateway: &Gateway,
    policy: &ClientPolicy,
    query: Option<&str>,
) -> Result<Markup, Refusal> {
    let prefix = query::parameter(query, "prefix")?.unwrap_or_default();
    let token = query::parameter(query, "token")?.filter(|token| !token.is_empty());
    let root = format!("{}{}/", gateway.prefix(), policy.name);
    let below = match directory(&prefix)? {
        Some(path) => format!("{}/", Key::of_file(gateway.prefix(), &policy.name, &path)?),
        None => root.clone(),
    };
    let store = gateway.answering_store()?;
    let page = store.list_directory(&below, token.as_deref(), ENTRIES_SHOWN, RETRY_FOR);
    let page = page.await?;
    let directories = page.directories.iter().filter_map(|key| key.strip_prefix(&root));
    let directories = directories.map(|path| Entry::Directory(path.to_owned()));
    // A gateway writes no key that is not one of a file.
    let files = page.objects.into_iter().filter_map(|object| {
        let path = file_path(&object.key, gateway.prefix(), &policy.name)?;
        let class = object.storage_class.filter(|class| class != "STANDARD");
        Some(Entry::File { path, size: object.size, at: object.modified_at, class })
    });
    let directory = Directory {
        prefix: below.strip_prefix(&root).unwrap_or_default().to_owned(),
        entries: directories.chain(files).collect(),
        next: page.next,
    };
    Ok(directory_view(policy, &directory, gateway.database().now()))
}

async fn search(
    gateway: &Gateway,
    policy: &ClientPolicy,
    find: &str,
    query: Option<&str>,
) -> Result<Markup, Refusal> {
    let after = query::parameter(query, "after")?.filter(|after| !after.is_empty());
    let after = after.map(|after| RemotePath::parse(&after)).transpose()?;
    let after = after.as_ref().map_or("", RemotePath::as_str);
    let database = gateway.database();
    let found = database.search_files(&policy.name, find, after).await;
    let found = found.map_err(|err| unanswered(&err))?;
    let is_complete = database.is_complete(&policy.name).await.map_err(|err| unanswered(&err))?;
    Ok(search_view(policy, find, &found, is_complete))
}

/// Shows the versions of one file.
pub(super) async fn versions(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    let visit = visit(&gateway, &request)?;
    let policy = policy_of(&gateway, &name)?;
    let path = query::path_parameter(request.uri().query())?;
    let key = key_of(&gateway, &policy, &path)?;
    let store = gateway.answering_store()?;
    let versions = store.versions(&key, RETRY_FOR).await.map_err(Refusal::from)?;
    if versions.is_empty() {
        return Err(Refusal::new(Code::NotFound, format!("{path}: no such file")).into());
    }
    let (may_download, now) = (gateway.live().dashboard_downloads, gateway.database().now());
    let content = versions_view(&policy, &path, &versions, may_download, now);
    Ok(page(&gateway, &visit, path.file_name().to_owned(), content))
}

/// Sends a version of a file. The configuration has to allow it, because an admin key reads no file
/// otherwise.
pub(super) async fn download(
    State(gateway): State<Gateway>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, NotShown> {
    visit(&gateway, &request)?;
    let policy = policy_of(&gateway, &name)?;
    let live = gateway.live();
    if !live.dashboard_downloads {
        let what = "downloads are off in the dashboard; set `dashboard.downloads: true` in server.yaml, or \
                    use a client key with the right `download`";
        return Err(Refusal::new(Code::Forbidden, what).into());
    }
    let query = request.uri().query();
    let path = query::path_parameter(query)?;
    let version_id = query::parameter(query, "version_id")?.filter(|id| !id.is_empty());
    let share = live.clients.buffer_share_of(&policy.name);
    let share = share.ok_or_else(|| crate::handlers::clients::unknown(&name))?;
    tracing::info!(event = "dashboard_download", client = %policy.name, %path, version_id);
    let client = policy.name;
    let file = StoredVersion { client, path, version_id, share, is_activity: false };
    Ok(send(&gateway, request.method(), request.headers(), file).await?)
}

fn key_of(gateway: &Gateway, policy: &ClientPolicy, path: &RemotePath) -> Result<Key, Refusal> {
    Ok(Key::of_file(gateway.prefix(), &policy.name, path)?)
}
