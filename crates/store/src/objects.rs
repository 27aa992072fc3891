//! Calls on whole objects that move no content: describe, list, delete, copy. And one that returns a short
//! object with its facts.

pub(crate) mod delete;
pub(crate) mod directory;
pub(crate) mod etag;
pub(crate) mod facts;
pub(crate) mod head;
pub(crate) mod listing;
pub(crate) mod proof;
pub(crate) mod replace_metadata;
pub(crate) mod short_object;
pub(crate) mod versions;
