//! The embedded S3 server, seen by a client that we did not write.

mod access;
mod archive;
mod checksums;
mod conditions;
mod copies;
mod faults;
mod holds;
mod lifecycle;
mod listings;
mod multipart;
mod objects;
mod program;
mod reads;
mod restart;
mod signed;
mod support;
mod versions;
