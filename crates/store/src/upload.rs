//! Uploads: one object (`staged`), a stream of chunks (`chunks`), how either is
//! resumed, and the removal of uploads that were never completed.

mod already_stored;
pub(crate) mod attributes;
pub(crate) mod chunk;
mod chunk_stream;
mod chunks;
mod conditional;
mod duplicates;
mod form_put;
mod multipart;
mod multipart_calls;
mod part_sender;
pub(crate) mod part_splitter;
mod parts;
pub(crate) mod put;
pub(crate) mod resume_log;
mod resuming;
pub(crate) mod staged;
pub(crate) mod sweep;
