//! The agent: watches folders and uploads settled files through the gateway.
//!
//! ```text
//! inotify --> settle wheel --> queue --> upload --> gateway
//! scan   --^      (due times)   (lanes)     `-----> files table (batched)
//! ```
//!
//! [`inotify`] tells what changed and [`scan`] finds what it missed; both name
//! files of a [`watch`]. A file waits on the [`settle`] wheel until it rests,
//! then in the [`queue`]; [`upload`] opens it [`beneath`] the watch, hashes it
//! and sends it through the [`client`]; [`record`] commits what is safe to the
//! [`db`]. The [`daemon`] wires them, one task that owns every decision.
//!
//! What could lose data is decided by pure functions of plain values, each with
//! its table of cases: [`decide`] (in which state a file is), [`settle`] (when
//! it rests), [`retry`] (when to try again), [`queue`] (whose turn it is),
//! [`config`].
//!
//! Not here: S3. The agent holds no credentials but its key for the gateway,
//! and cannot even be linked with an S3 client.

pub mod agent;
pub mod beneath;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod db;
pub mod decide;
pub mod get;
pub mod identity;
pub mod inotify;
pub mod problem;
pub mod queue;
pub mod record;
pub mod retry;
pub mod scan;
pub mod settle;
pub mod status;
pub mod tally;
pub mod upload;
pub mod walk;
pub mod watch;
