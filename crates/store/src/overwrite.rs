//! The condition under which an upload may replace an object.

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Allowed,
    /// Fails if the key exists (`If-None-Match: *`).
    Never,
    /// Fails unless the existing object has this ETag (`If-Match`).
    Only {
        etag: String,
    },
}
