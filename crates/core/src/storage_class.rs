//! The storage classes of S3, and what follows from each.
//!
//! The only table of them: which names a configuration may hold, which objects are archived, how
//! long a thaw takes, and for how many days S3 charges at least. A class that is not in it (another
//! server's) is kept as text; it counts as readable and as free to delete.
//!
//! Not here: the class that a server reports for an object, which may differ from the requested one.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>

/// One storage class of S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageClass {
    pub name: &'static str,
    /// `None` if objects of the class can be read at once.
    pub thaw: Option<ThawTimes>,
    /// Number of days for which S3 charges for an object even if it is deleted earlier:
    /// <https://aws.amazon.com/s3/pricing/> ("minimum storage duration").
    pub min_age_days: u32,
}

/// The time that a thaw takes, for each tier:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThawTimes {
    /// True if S3 offers the tier Expedited, which takes minutes.
    pub has_expedited: bool,
    pub standard: HourRange,
    pub bulk: HourRange,
}

/// The shortest and the longest time that a thaw takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourRange {
    pub from: u32,
    pub to: u32,
}

const GLACIER: ThawTimes =
    ThawTimes { has_expedited: true, standard: hours(3, 5), bulk: hours(5, 12) };
const DEEP_ARCHIVE: ThawTimes =
    ThawTimes { has_expedited: false, standard: hours(12, 12), bulk: hours(48, 48) };

pub const STORAGE_CLASSES: [StorageClass; 9] = [
    class("STANDARD", None, 0),
    class("STANDARD_IA", None, 30),
    class("ONEZONE_IA", None, 30),
    class("INTELLIGENT_TIERING", None, 0),
    class("GLACIER_IR", None, 90),
    class("GLACIER", Some(GLACIER), 90),
    class("DEEP_ARCHIVE", Some(DEEP_ARCHIVE), 180),
    class("REDUCED_REDUNDANCY", None, 0),
    class("EXPRESS_ONEZONE", None, 0),
];

const fn class(name: &'static str, thaw: Option<ThawTimes>, min_age_days: u32) -> StorageClass {
    StorageClass { name, thaw, min_age_days }
}

const fn hours(from: u32, to: u32) -> HourRange {
    HourRange { from, to }
}

impl StorageClass {
    pub fn find(name: &str) -> Option<&'static StorageClass> {
        STORAGE_CLASSES.iter().find(|class| class.name == name)
    }

    /// Returns true if S3 refuses to return an object of this class that was not thawed.
    pub fn is_archive(&self) -> bool {
        self.thaw.is_some()
    }
}

impl ThawTimes {
    /// Returns the times if the class does not tell them: objects of INTELLIGENT_TIERING lie in
    /// archives of both kinds.
    pub fn of_any_archive() -> ThawTimes {
        ThawTimes {
            has_expedited: true,
            standard: hours(GLACIER.standard.from, DEEP_ARCHIVE.standard.to),
            bulk: hours(GLACIER.bulk.from, DEEP_ARCHIVE.bulk.to),
        }
    }
}

/// Returns true if S3 refuses to return an object of this class that was not thawed. `None` means STANDARD.
pub fn is_archive_class(class: Option<&str>) -> bool {
    class.and_then(StorageClass::find).is_some_and(StorageClass::is_archive)
}

/// Returns the names that `is_accepted` accepts, for a message: `STANDARD, STANDARD_IA`.
pub fn storage_class_names(is_accepted: impl Fn(&StorageClass) -> bool) -> String {
    let names: Vec<&str> =
        STORAGE_CLASSES.iter().filter(|class| is_accepted(class)).map(|class| class.name).collect();
    names.join(", ")
}

impl std::fmt::Display for HourRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HourRange { from, to } if from == to => write!(f, "{to} h"),
            HourRange { from, to } => write!(f, "{from}-{to} h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_archives_refuse_a_read() {
        let archives = storage_class_names(StorageClass::is_archive);
        assert_eq!(archives, "GLACIER, DEEP_ARCHIVE");
        for (class, expected) in [
            (None, false),
            (Some("STANDARD"), false),
            (Some("GLACIER_IR"), false),
            (Some("GLACIER"), true),
            (Some("DEEP_ARCHIVE"), true),
            (Some("deep_archive"), false),
            (Some("COLD_OF_ANOTHER_SERVER"), false),
        ] {
            assert_eq!(is_archive_class(class), expected, "{class:?}");
        }
    }

    #[test]
    fn an_unknown_archive_takes_as_long_as_the_slowest() {
        let times = ThawTimes::of_any_archive();
        assert_eq!(times.standard.to_string(), "3-12 h");
        assert_eq!(times.bulk.to_string(), "5-48 h");
        assert_eq!(DEEP_ARCHIVE.bulk.to_string(), "48 h");
    }
}
