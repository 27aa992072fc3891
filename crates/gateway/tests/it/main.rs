//! Tests of the gateway from outside: real HTTP, real TLS, a real S3 protocol.

mod bad_input;
mod concurrency;
mod downloads;
mod fixture;
mod fleet;
mod help;
mod listing;
mod outputs;
mod paths;
mod process;
mod raw_http;
mod uploads;
