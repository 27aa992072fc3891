//! The parts of a request, parsed: headers, query, range and body.

pub(crate) mod body;
pub(crate) mod frames;
pub(crate) mod headers;
pub(crate) mod integers;
pub(crate) mod json;
pub(crate) mod json_memory;
pub(crate) mod query;
pub(crate) mod range;
