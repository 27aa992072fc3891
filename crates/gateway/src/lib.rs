//! The gateway: receives files from clients over HTTP and stores them in S3.
//!
//! [`serve`] accepts connections and routes each request to one of `handlers`,
//! one file per call of the API. A handler authenticates the client
//! (`clients`), parses the request (`request`) and asks
//! `uploads::admission`, a pure decision, whether an upload may begin.
//! `uploads::stage` then streams the body into S3 while it checks rate, length
//! and SHA-256. Every error becomes a `refusal`: a stable code and a sentence
//! for the client, the cause for the log. No call deletes anything. The `dashboard` shows an
//! operator what the gateway knows.
//!
//! Not here: the transfer of bytes to S3 (the store), the rules for paths
//! (core).

mod alert;
mod api_document;
mod buffer_wait;
mod clients;
mod clock;
pub mod commands;
pub mod config;
mod counters;
mod dashboard;
mod database;
mod failed_keys;
mod fleet;
mod freeze;
mod gateway;
mod handlers;
mod live;
mod mail;
mod network;
mod openapi;
mod outage;
mod posture;
mod readiness;
mod rebuild;
mod refusal;
mod reload;
mod renewal;
mod request;
mod s3_outage;
mod server;
mod start;
mod sweep;
mod temporary_files;
mod tls;
mod uploads;
mod webhook;

pub use config::Config;
pub use database::{DatabaseError, DatabaseSettings, Location};
pub use gateway::Gateway;
pub use server::{SHUTDOWN_GRACE, ServeOptions, Timeouts, serve, serve_with};
pub use start::error::StartError;
pub use tls::{TlsError, TlsFiles};
