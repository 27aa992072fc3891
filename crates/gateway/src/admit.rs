//! May this upload begin? A pure decision, before a byte of the body is read.

use s3up_core::{Code, RemotePath, part};
use s3up_store::Length;

use crate::client::{Client, Right};
use crate::refusal::{Refusal, too_large};

/// What the sender says of the length of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    Exactly(u64),
    /// The length of a form that the file is a part of.
    AtMost(u64),
    Nothing,
}

/// How the file will be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub length: Length,
    pub part_bytes: u64,
}

/// Judges an upload of `path` by `client`. `part_bytes` is what is configured,
/// `part_bytes_max` what the buffers allow.
pub(crate) fn admit(
    client: &Client,
    path: &RemotePath,
    announced: Announced,
    part_bytes: u64,
    part_bytes_max: u64,
) -> Result<Admitted, Refusal> {
    if !client.rights.contains(&Right::Upload) {
        return Err(Refusal::new(Code::Forbidden, "this key may not upload"));
    }
    if let Some(allowed) = &client.extensions {
        let extension = path.extension().map(str::to_lowercase);
        if !extension.is_some_and(|extension| allowed.contains(&extension)) {
            let what = format!("this client may upload only {}", allowed.join(", "));
            return Err(Refusal::new(Code::Forbidden, what));
        }
    }
    let bytes_max = client.file_bytes_max.unwrap_or(part::OBJECT_BYTES_MAX);
    let length = match announced {
        Announced::Exactly(bytes) if bytes > bytes_max => return Err(too_large(bytes_max)),
        Announced::Exactly(bytes) => Length::Exactly(bytes),
        Announced::AtMost(bytes) => Length::AtMost(bytes.min(bytes_max)),
        // The part size cannot grow under way, so it bounds the length.
        Announced::Nothing => Length::AtMost(bytes_max.min(part::object_bytes_max(part_bytes))),
    };
    let needed = part::part_bytes(part_bytes, length.max())
        .map_err(|err| Refusal::new(Code::TooLarge, err))?;
    if needed > part_bytes_max {
        return Err(too_large(part::object_bytes_max(part_bytes_max)));
    }
    Ok(Admitted { length, part_bytes: needed })
}

#[cfg(test)]
mod tests {
    use s3up_core::ClientName;
    use s3up_core::part::MIB;

    use super::*;
    use crate::client::Overwrite;

    const PART: u64 = 8 * MIB;
    const PART_MAX: u64 = 96 * MIB;

    fn client() -> Client {
        Client {
            name: ClientName::parse("web").unwrap(),
            file_bytes_max: Some(100 * MIB),
            rights: vec![Right::Upload],
            overwrite: Overwrite::Versioned,
            extensions: None,
            uploads_max: 1,
        }
    }

    #[test]
    fn decisions() {
        use Announced::*;
        let taken = |length, part_bytes| Ok(Admitted { length, part_bytes });
        let boundless = || Client { file_bytes_max: None, ..client() };
        let reader = || Client { rights: vec![Right::Download], ..client() };
        let jpg = || Client { extensions: Some(vec!["jpg".to_owned()]), ..client() };
        let limit = 100 * MIB;
        #[rustfmt::skip]
        let cases = [
            // who         path     announced            decision
            (client(),    "a",     Exactly(0),           taken(Length::Exactly(0), PART)),
            (client(),    "a",     Exactly(limit),       taken(Length::Exactly(limit), PART)),
            (client(),    "a",     Exactly(limit + 1),   Err(Code::TooLarge)),
            (client(),    "a",     AtMost(50),           taken(Length::AtMost(50), PART)),
            (client(),    "a",     AtMost(limit + 9),    taken(Length::AtMost(limit), PART)),
            (client(),    "a",     Nothing,              taken(Length::AtMost(limit), PART)),
            (boundless(), "a",     Nothing,              taken(Length::AtMost(10_000 * PART), PART)),
            (boundless(), "a",     Exactly(200 << 30),   taken(Length::Exactly(200 << 30), 21 * MIB)),
            (boundless(), "a",     Exactly(960_001*MIB), Err(Code::TooLarge)),
            (boundless(), "a",     Exactly(u64::MAX),    Err(Code::TooLarge)),
            (reader(),    "a",     Exactly(1),           Err(Code::Forbidden)),
            (jpg(),       "a.jpg", Exactly(1),           taken(Length::Exactly(1), PART)),
            (jpg(),       "a.JPG", Exactly(1),           taken(Length::Exactly(1), PART)),
            (jpg(),       "a.php", Exactly(1),           Err(Code::Forbidden)),
            (jpg(),       "jpg",   Exactly(1),           Err(Code::Forbidden)),
        ];
        for (client, path, announced, want) in cases {
            let path = RemotePath::parse(path).unwrap();
            let got = admit(&client, &path, announced, PART, PART_MAX).map_err(|r| r.code);
            assert_eq!(got, want, "{path} {announced:?}");
        }
    }
}
