//! The agent with real files, real inotify, real SQLite, and a real gateway on an
//! embedded S3 server.

mod baseline;
mod commands;
mod database;
mod files;
mod filesystems;
mod fixture;
mod get;
mod help;
mod hot_files;
mod mounts;
mod outages;
mod outputs;
mod process;
mod scanning;
mod tls;
mod transport;
mod versions;
mod watching;
