//! The promises of the store, checked over HTTP on the embedded S3 server.

mod answers;
mod buffers;
mod capabilities;
mod chunks;
mod conditions;
mod connect;
mod contract;
mod credentials;
mod delete;
mod download;
mod download_sequence;
mod dropped;
mod every_call;
mod fixture;
mod lifecycle;
mod memory;
mod network;
mod objects;
mod proxy;
mod request_form;
mod resume;
mod servers;
mod thaw;
mod upload;
