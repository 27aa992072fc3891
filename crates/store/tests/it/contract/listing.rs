//! Listings: complete, sorted, and consistent at once.

use super::server::{BODY, Server};
use super::verdict::{Held, Verdict, holds, is, some};

/// Sorted by bytes; UTF-16 would swap the last two.
const IN_ORDER: [&str; 7] = ["A", "Z", "a", "a-b", "z", "\u{ff5e}", "\u{1f5c4}"];

pub async fn keys_are_listed_in_the_order_of_their_bytes(server: &Server) -> Verdict {
    for name in IN_ORDER.iter().rev() {
        server.stored(name, BODY).await?;
    }

    is("order", server.names("").await?, IN_ORDER.map(str::to_owned).to_vec())?;
    Ok(Held)
}

pub async fn a_listing_continues_at_its_token(server: &Server) -> Verdict {
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        server.stored(name, BODY).await?;
    }
    let (mut found, mut token) = (Vec::new(), None);
    for _page in 0..names.len() {
        let list = server.list("").max_keys(2).set_continuation_token(token);
        let page = list.send().await?;
        found.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        if page.is_truncated() != Some(true) {
            break;
        }
        token = Some(some("token", page.next_continuation_token)?);
    }

    is("names", found, names.map(|name| server.key(name)).to_vec())?;
    Ok(Held)
}

pub async fn only_keys_with_the_prefix_are_listed(server: &Server) -> Verdict {
    for name in ["ab", "abc", "ac", "b/ab"] {
        server.stored(name, BODY).await?;
    }

    is("names", server.names("ab").await?, vec!["ab".to_owned(), "abc".to_owned()])?;
    Ok(Held)
}

pub async fn a_key_and_a_directory_of_the_same_name_coexist(server: &Server) -> Verdict {
    server.stored("a", b"the file").await?;
    server.stored("a/b", b"in the directory").await?;

    server.has("a", b"the file").await?;
    server.has("a/b", b"in the directory").await?;
    is("names", server.names("").await?, vec!["a".to_owned(), "a/b".to_owned()])?;
    Ok(Held)
}

pub async fn a_new_object_is_listed_and_readable_at_once(server: &Server) -> Verdict {
    for n in 0..10 {
        let name = n.to_string();
        server.stored("same", name.as_bytes()).await?;
        server.stored(&name, BODY).await?;
        server.has("same", name.as_bytes()).await?;
        holds(server.names(&name).await?.len() == 1, "not listed yet")?;
    }
    Ok(Held)
}

pub async fn a_deleted_object_is_gone_at_once(server: &Server) -> Verdict {
    for n in 0..10 {
        let name = n.to_string();
        server.stored(&name, BODY).await?;
        let delete = server.client.delete_object().bucket(&server.bucket);
        delete.key(server.key(&name)).send().await?;
        holds(server.names(&name).await?.is_empty(), "still listed")?;
        server.has_none(&name, "still readable").await?;
    }
    Ok(Held)
}

pub async fn a_listing_reports_size_etag_and_date(server: &Server) -> Verdict {
    let etag = server.stored("key", BODY).await?;

    let listed = server.list("").send().await?;

    is("objects", listed.contents().len(), 1)?;
    let object = &listed.contents()[0];
    is("size", object.size(), Some(BODY.len() as i64))?;
    holds(object.e_tag() == Some(etag.as_str()), "another ETag than in the answer to PUT")?;
    holds(object.last_modified().is_some(), "no date")?;
    Ok(Held)
}
