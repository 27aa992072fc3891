//! Keys: any text that a remote path may be, and the limit of their length.

use aws_sdk_s3::types::EncodingType;
use percent_encoding::percent_decode_str;

use super::parts::{NAME, Upload};
use super::server::{BODY, Server};
use super::verdict::{Held, Verdict, is, refused};

/// In the order of their bytes.
const ODD: [&str; 13] = [
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

pub async fn odd_keys_come_back_as_they_are(server: &Server) -> Verdict {
    for name in ODD {
        server.stored(name, name.as_bytes()).await?;
    }

    for name in ODD {
        server.has(name, name.as_bytes()).await?;
    }
    is("names", server.names("").await?, ODD.map(str::to_owned).to_vec())?;
    Ok(Held)
}

pub async fn odd_keys_are_uploaded_in_parts(server: &Server) -> Verdict {
    for name in ODD {
        let server = server.below(name);
        Upload::ready(&server).await?.complete().send().await?;
        server.has(NAME, Upload::READY).await?;
    }
    Ok(Held)
}

/// XML has no way to write some characters, so a client asks for them encoded.
pub async fn control_characters_are_listed_encoded(server: &Server) -> Verdict {
    let name = "\u{1}\t\n\u{1f}";
    server.stored(name, BODY).await?;

    let listed = server.list("").encoding_type(EncodingType::Url).send().await?;

    let keys = listed.contents().iter().filter_map(|object| object.key());
    let keys = keys.map(|key| percent_decode_str(key).decode_utf8_lossy().into_owned());
    is("keys", keys.collect(), vec![server.key(name)])?;
    Ok(Held)
}

pub async fn a_key_of_1024_bytes_is_taken(server: &Server) -> Verdict {
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

/// The rest of a key of so many bytes.
fn name_of(server: &Server, bytes: usize) -> String {
    "x".repeat(bytes - server.prefix.len())
}
