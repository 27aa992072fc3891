//! The agent with real files, real inotify, real SQLite, and a real gateway on an
//! embedded S3 server.

mod baseline;
mod commands;
mod database;
mod files;
mod fixture;
mod help;
mod outages;
mod outputs;
mod process;
mod transport;
mod watching;
