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

/// The limits of the parts of an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartLimits {
    /// The configured length.
    pub bytes: u64,
    /// The longest part that the buffers allow.
    pub bytes_max: u64,
    /// Maximum number of parts that the server accepts.
    pub count_max: u64,
}

/// Admits or refuses an upload of `path`.
pub(crate) fn admit(
    policy: &ClientPolicy,
    path: &RemotePath,
    announced: AnnouncedLength,
    limits: PartLimits,
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
        AnnouncedLength::Unknown => Length::AtMost(
            bytes_max.min(part::object_bytes_max_within(limits.count_max, limits.bytes)),
        ),
    };
    let needed = part::part_bytes_within(limits.count_max, limits.bytes, length.max())
        .map_err(|err| Refusal::new(Code::TooLarge, err))?;
    if needed > limits.bytes_max {
        let limit = part::object_bytes_max_within(limits.count_max, limits.bytes_max);
        return Err(Refusal::too_large(limit));
    }
    Ok(Admission { length, part_bytes: needed })
}

fn check_extension(policy: &ClientPolicy, path: &RemotePath) -> Result<(), Refusal> {
    let Some(allowed) = &policy.extensions else { return Ok(()) };
    // The rest of the name may not be empty: `.htaccess` has no extension.
    let name = path.file_name().to_lowercase();
    let has = |extension: &String| {
        let rest = name.strip_suffix(extension.as_str()).and_then(|rest| rest.strip_suffix('.'));
        rest.is_some_and(|rest| !rest.is_empty())
    };
    if allowed.iter().any(has) {
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
    use crate::clients::OverwritePolicy;

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
            (jpg(),         ".jpg",  Exactly(1),           Err(Code::Forbidden)),
            (jpg(),         "a.xjpg", Exactly(1),          Err(Code::Forbidden)),
            (jpg(),         "a.b.jpg", Exactly(1),         admitted(Length::Exactly(1), PART)),
        ];
        for (policy, path, announced, want) in cases {
            let path = RemotePath::parse(path).unwrap();
            let limits = PartLimits { bytes: PART, bytes_max: PART_MAX, count_max: 10_000 };
            let got = admit(&policy, &path, announced, limits).map_err(|r| r.code);
            assert_eq!(got, want, "{path} {announced:?}");
        }
    }

    #[test]
    fn a_server_with_fewer_parts_gets_longer_ones() {
        let limits = PartLimits { bytes: PART, bytes_max: PART_MAX, count_max: 1000 };
        let unlimited = ClientPolicy { file_bytes_max: None, ..policy() };
        let path = RemotePath::parse("a").unwrap();
        let of = |announced| admit(&unlimited, &path, announced, limits).map_err(|r| r.code);
        let (exactly, unknown) = (AnnouncedLength::Exactly, AnnouncedLength::Unknown);
        assert_eq!(of(exactly(20_000 * MIB)).unwrap().part_bytes, 20 * MIB);
        assert_eq!(of(unknown).unwrap().length, Length::AtMost(1000 * PART));
        assert_eq!(of(exactly(96_001 * MIB)), Err(Code::TooLarge));
    }

    fn policy() -> ClientPolicy {
        ClientPolicy {
            name: ClientName::parse("web").unwrap(),
            file_bytes_max: Some(100 * MIB),
            rights: vec![Right::Upload],
            overwrite: OverwritePolicy::Versioned,
            extensions: None,
            uploads_max: 1,
            ..ClientPolicy::unlimited(ClientName::parse("webapp").unwrap(), Vec::new())
        }
    }
}
