//! The agent: watches directories and uploads settled files through the gateway.
//!
//! ```text
//! watching --> settle wheel --> queue --> upload --> gateway
//! scanning --^  (due times)    (lanes)      `-----> files table (batched)
//! ```
//!
//! [`watching`] reports changes, and [`scanning`] finds what it missed. A file
//! waits on the [`settling`] wheel until it has settled, then in the queue of
//! [`uploading`]. An upload opens it confined to its watch ([`files`]), hashes it
//! and sends it through the [`gateway`] client. The [`database`] records what is
//! acknowledged. The [`daemon`] connects them: one task makes every decision.
//!
//! Decisions that could lose data are pure functions, each with a table of
//! cases: [`states`] (in which state a file is), [`settling`] (when it has
//! settled), [`uploading::retry`] (when to retry), [`uploading::queue`] (which
//! file is next), and [`config`].
//!
//! Beside them, [`reporting`] sends heartbeats and daily reports to the gateway.
//!
//! The way back needs no daemon: [`remote_files`] lists what the gateway has, [`download`] gets one
//! file, and [`restore`] all files of a directory. [`verify`] compares disk, database and gateway, and
//! [`drill`] shows that files can be restored. [`cleanup`] deletes local files that S3 has, if it is asked
//! to.
//!
//! Not here: S3. The agent has no credentials but its client key, and it is not
//! linked with an S3 client.

pub mod agent;
pub mod cleanup;
pub mod clock;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod database;
pub mod download;
pub mod drill;
pub mod files;
pub mod gateway;
pub mod open_files;
mod random;
pub mod remote_files;
pub mod reporting;
pub mod restore;
pub mod sample;
pub mod scanning;
pub mod settling;
pub mod states;
pub mod status;
pub mod uploading;
pub mod verify;
pub mod watching;
