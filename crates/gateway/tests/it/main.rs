//! Tests of the gateway from outside: real HTTP, real TLS, a real S3 protocol.

mod bad_input;
mod catalogue;
mod clients;
mod commands;
mod concurrency;
mod downloads;
mod fixture;
mod fleet;
mod help;
mod limits;
mod listing;
mod metadata;
mod outputs;
mod overwrite_never;
mod paths;
mod process;
mod proxies;
mod proxy;
mod raw_http;
mod reload;
mod running;
mod start;
mod timeouts;
mod uploads;
mod wiretap;
