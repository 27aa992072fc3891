//! Keys: any text that a remote path may contain, and the limit of their length.

use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

use super::parts::{NAME, Upload};
use super::server::{BODY, Server};
use super::verdict::{Held, Verdict, is, refused};

/// Sorted by bytes.
const UNUSUAL: [&str; 13] = [
    " leading space",
    "a b",
    "a%20b",
    "a%b",
    "a&b=c;d,e",
    "a+b",
    "a?b#c",
    "quote\"'<>&amp;",
    "tilde~!*()",
    "trailing space ",
    "{}|^[]`$@:",
    "ä/日本",
    "\u{1f5c4}\u{fe0f}/\u{1f4e6}",
];
const KEY_BYTES_MAX: usize = 1024;

pub async fn unusual_keys_are_stored_unchanged(server: &Server) -> Verdict {
    for name in UNUSUAL {
        server.stored(name, name.as_bytes()).await?;
    }

    for name in UNUSUAL {
        server.has(name, name.as_bytes()).await?;
    }
    is("names", server.names("").await?, UNUSUAL.map(str::to_owned).to_vec())?;
    Ok(Held)
}

pub async fn unusual_keys_work_in_multipart_uploads(server: &Server) -> Verdict {
    for name in UNUSUAL {
        let server = server.below(name);
        Upload::ready(&server).await?.complete().send().await?;
        server.has(NAME, Upload::READY).await?;
    }
    Ok(Held)
}

/// XML cannot represent some characters, so a client requests them encoded.
pub async fn control_characters_are_listed_encoded(server: &Server) -> Verdict {
    let name = "\u{1}\t\n\u{1f}";
    server.stored(name, BODY).await?;

    let listed = server.list("").encoding_type(EncodingType::Url).send().await?;

    let keys = listed.contents().iter().filter_map(|object| object.key());
    let keys = keys.map(|key| percent_decode_str(key).decode_utf8_lossy().into_owned());
    is("keys", keys.collect(), vec![server.key(name)])?;
    Ok(Held)
}

pub async fn a_key_of_1024_bytes_is_accepted(server: &Server) -> Verdict {
    let name = name_of(server, KEY_BYTES_MAX);

    server.stored(&name, BODY).await?;

    server.has(&name, BODY).await?;
    is("names", server.names("").await?, vec![name])?;
    Ok(Held)
}

pub async fn a_key_of_1025_bytes_is_refused(server: &Server) -> Verdict {
    let name = name_of(server, KEY_BYTES_MAX + 1);

    refused(server.put(&name, BODY).send().await, &["KeyTooLongError"])?;
    Ok(Held)
}

/// Returns a name so that the key has `bytes` bytes.
fn name_of(server: &Server, bytes: usize) -> String {
    "x".repeat(bytes - server.prefix.len())
}
