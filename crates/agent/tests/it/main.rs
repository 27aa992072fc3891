//! The agent with real files, real inotify, real SQLite, and a real gateway on an
//! embedded S3 server.

mod account;
mod baseline;
mod commands;
mod database;
mod disk_full;
mod files;
mod fixture;
mod help;
mod lost_database;
mod outages;
mod outputs;
mod process;
mod proxy;
mod refusals;
mod reload;
mod reports;
mod status;
mod storm;
mod transport;
mod watching;
