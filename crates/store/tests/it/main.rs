//! What the engine promises, checked over HTTP on the embedded S3.

mod chunks;
mod connect;
mod download;
mod dropped;
mod every_call;
mod fixture;
mod objects;
mod upload;
