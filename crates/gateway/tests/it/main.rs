//! The gateway from outside: real HTTP, real S3 protocol, real TLS.

mod bad_input;
mod concurrency;
mod downloads;
mod fixture;
mod paths;
mod process;
mod uploads;
