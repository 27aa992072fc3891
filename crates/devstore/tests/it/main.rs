//! The embedded S3 server, seen by a client that we did not write.

mod access;
mod checksums;
mod conditions;
mod faults;
mod holds;
mod listings;
mod multipart;
mod objects;
mod program;
mod restart;
mod support;
mod versions;
