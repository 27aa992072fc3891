//! The gateway: it alone holds the S3 credentials.
//!
//! A request is authenticated ([`client`]), its path checked
//! ([`s3up_core::RemotePath`]), the whole of it judged by [`admit`] (a pure
//! decision), and its body streamed into S3 by the store's one upload path,
//! with the pace and the size of it watched while it arrives ([`body`]). What
//! is refused is a [`refusal::Refusal`]: a stable code and a sentence for the
//! sender, the cause for the log. There is no call that deletes.
//!
//! Not here: how bytes get into S3 (the store), what a path may be (core).

mod admit;
mod body;
mod client;
pub mod config;
mod download;
mod exists;
mod form;
mod gateway;
mod in_flight;
mod incoming;
pub mod keygen;
mod put;
mod query;
pub mod range;
mod refusal;
mod router;
mod serve;
mod tls;
mod upload;

pub use config::Config;
pub use gateway::{Gateway, StartError};
pub use serve::{Front, GRACE, serve};
pub use tls::TlsError;
