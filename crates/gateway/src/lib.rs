//! The gateway: receives files from clients over HTTP and stores them in S3.
//!
//! [`serve`] accepts connections and routes each request to one of `handlers`,
//! one file per call of the API. A handler authenticates the client
//! (`clients`), parses the request (`request`) and asks
//! `uploads::admission`, a pure decision, whether an upload may begin.
//! `uploads::stage` then streams the body into S3 while it checks rate, length
//! and SHA-256. Every error becomes a `refusal`: a stable code and a sentence
//! for the client, the cause for the log. No call deletes anything.
//!
//! Not here: the transfer of bytes to S3 (the store), the rules for paths
//! (core).

mod clients;
pub mod config;
mod database;
mod doctor;
mod gateway;
mod handlers;
pub mod keygen;
mod online;
mod openapi;
mod readiness;
mod refusal;
mod request;
mod server;
mod stopwatch;
mod sweep;
mod tls;
mod uploads;

pub use config::Config;
pub use database::{DatabaseError, DatabaseSettings, Location};
pub use doctor::doctor;
pub use gateway::{Gateway, StartError};
pub use online::{Online, check_online};
pub use server::{SHUTDOWN_GRACE, ServeOptions, Timeouts, serve, serve_with};
pub use sweep::Sweeper;
pub use tls::{TlsError, TlsFiles};
