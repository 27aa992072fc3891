//! Tests of the gateway from outside: real HTTP, real TLS, a real S3 protocol.

mod bad_input;
mod commands;
mod concurrency;
mod downloads;
mod fixture;
mod fleet;
mod help;
mod listing;
mod outputs;
mod paths;
mod process;
mod proxies;
mod proxy;
mod raw_http;
mod timeouts;
mod two_gateways;
mod uploads;
mod wiretap;
