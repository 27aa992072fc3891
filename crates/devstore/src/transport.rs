//! HTTP connections and the bodies on them.

pub(crate) mod connection;
mod faulty_body;
mod flush;
mod request_body;
