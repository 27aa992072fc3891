//! Decides whether an upload may begin, before any byte of its body is read. A
//! pure function of the client's policy and of what the request announces.

use s3up_core::{Code, RemotePath, part};
use s3up_store::Length;

use crate::clients::{ClientPolicy, Right};
use crate::refusal::Refusal;

/// A long upload holds one buffer while it fills the next.
pub(crate) const BUFFERS_PER_UPLOAD_MIN: u64 = 2;

/// The length of a file as its request announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnnouncedLength {
    Exactly(u64),
    /// The length of the form that contains the file.
    AtMost(u64),
    Unknown,
}

/// Length and part length of an admitted file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    pub length: Length,
    pub part_bytes: u64,
}

/// Admits or refuses an upload of `path`. `part_bytes` is the configured part
/// length, `part_bytes_max` the longest one that the buffers allow.
pub(crate) fn admit(
    policy: &ClientPolicy,
    path: &RemotePath,
    announced: AnnouncedLength,
    part_bytes: u64,
    part_bytes_max: u64,
) -> Result<Admission, Refusal> {
    policy.require(Right::Upload)?;
    check_extension(policy, path)?;
    let bytes_max = policy.file_bytes_max.unwrap_or(part::OBJECT_BYTES_MAX);
    let length = match announced {
        AnnouncedLength::Exactly(bytes) if bytes > bytes_max => {
            return Err(Refusal::too_large(bytes_max));
        }
        AnnouncedLength::Exactly(bytes) => Length::Exactly(bytes),
        AnnouncedLength::AtMost(bytes) => Length::AtMost(bytes.min(bytes_max)),
        // The part length is fixed when an upload begins, so it limits the length.
        AnnouncedLength::Unknown => {
            Length::AtMost(bytes_max.min(part::object_bytes_max(part_bytes)))
        }
    };
    let needed = part::part_bytes(part_bytes, length.max())
        .map_err(|err| Refusal::new(Code::TooLarge, err))?;
    if needed > part_bytes_max {
        return Err(Refusal::too_large(part::object_bytes_max(part_bytes_max)));
    }
    Ok(Admission { length, part_bytes: needed })
}

fn check_extension(policy: &ClientPolicy, path: &RemotePath) -> Result<(), Refusal> {
    let Some(allowed) = &policy.extensions else { return Ok(()) };
    let extension = path.extension().map(str::to_lowercase);
    if extension.is_some_and(|extension| allowed.contains(&extension)) {
        return Ok(());
    }
    let allowed = allowed.join(", ");
    let what = format!("{path}: this client may upload only files with an extension of {allowed}");
    Err(Refusal::new(Code::Forbidden, what))
}

#[cfg(test)]
mod tests {
    use s3up_core::ClientName;
    use s3up_core::part::MIB;

    use super::*;
    use crate::clients::Overwrite;

    const PART: u64 = 8 * MIB;
    const PART_MAX: u64 = 96 * MIB;

    #[test]
    fn an_upload_is_admitted_by_right_extension_and_length() {
        use AnnouncedLength::*;
        let admitted = |length, part_bytes| Ok(Admission { length, part_bytes });
        let unlimited = || ClientPolicy { file_bytes_max: None, ..policy() };
        let reader = || ClientPolicy { rights: vec![Right::Download], ..policy() };
        let jpg = || ClientPolicy { extensions: Some(vec!["jpg".to_owned()]), ..policy() };
        let limit = 100 * MIB;
        #[rustfmt::skip]
        let cases = [
            // client       path     announced            decision
            (policy(),      "a",     Exactly(0),           admitted(Length::Exactly(0), PART)),
            (policy(),      "a",     Exactly(limit),       admitted(Length::Exactly(limit), PART)),
            (policy(),      "a",     Exactly(limit + 1),   Err(Code::TooLarge)),
            (policy(),      "a",     AtMost(50),           admitted(Length::AtMost(50), PART)),
            (policy(),      "a",     AtMost(limit + 9),    admitted(Length::AtMost(limit), PART)),
            (policy(),      "a",     Unknown,              admitted(Length::AtMost(limit), PART)),
            (unlimited(),   "a",     Unknown,              admitted(Length::AtMost(10_000 * PART), PART)),
            (unlimited(),   "a",     Exactly(200 << 30),   admitted(Length::Exactly(200 << 30), 21 * MIB)),
            (unlimited(),   "a",     Exactly(960_001*MIB), Err(Code::TooLarge)),
            (unlimited(),   "a",     Exactly(u64::MAX),    Err(Code::TooLarge)),
            (reader(),      "a",     Exactly(1),           Err(Code::Forbidden)),
            (jpg(),         "a.jpg", Exactly(1),           admitted(Length::Exactly(1), PART)),
            (jpg(),         "a.JPG", Exactly(1),           admitted(Length::Exactly(1), PART)),
            (jpg(),         "a.php", Exactly(1),           Err(Code::Forbidden)),
            (jpg(),         "jpg",   Exactly(1),           Err(Code::Forbidden)),
        ];
        for (policy, path, announced, want) in cases {
            let path = RemotePath::parse(path).unwrap();
            let got = admit(&policy, &path, announced, PART, PART_MAX).map_err(|r| r.code);
            assert_eq!(got, want, "{path} {announced:?}");
        }
    }

    fn policy() -> ClientPolicy {
        ClientPolicy {
            name: ClientName::parse("web").unwrap(),
            file_bytes_max: Some(100 * MIB),
            rights: vec![Right::Upload],
            overwrite: Overwrite::Versioned,
            extensions: None,
            uploads_max: 1,
        }
    }
}
