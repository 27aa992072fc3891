//! Tests of the embedded S3 server with the AWS SDK as the client.

mod access;
mod archive;
mod checksums;
mod conditions;
mod control;
mod copies;
mod faults;
mod help;
mod holds;
mod keys;
mod lifecycle;
mod like;
mod listings;
mod multipart;
mod network;
mod objects;
mod program;
mod reads;
mod restart;
mod signed;
mod support;
mod versions;
