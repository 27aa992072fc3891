//! The agent with real files, real inotify, real SQLite, and a real gateway on an
//! embedded S3 server.

mod account;
mod agent_page;
mod baseline;
mod commands;
mod database;
mod disk_full;
mod drill;
mod files;
mod filesystems;
mod fixture;
mod get;
mod help;
mod hot_files;
mod listing;
mod lost_database;
mod lying;
mod metadata;
mod mounts;
mod outages;
mod outputs;
mod process;
mod proxy;
mod refusals;
mod reload;
mod reports;
mod restore;
mod scanning;
mod shell_files;
mod status;
mod storm;
mod tls;
mod transport;
mod verify;
mod versions;
mod watching;
