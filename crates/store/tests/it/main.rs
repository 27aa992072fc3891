//! What the engine promises, checked over HTTP on the embedded S3.

mod chunks;
mod conditions;
mod connect;
mod contract;
mod credentials;
mod delete;
mod download;
mod dropped;
mod every_call;
mod fixture;
mod memory;
mod network;
mod objects;
mod proxy;
mod replay;
mod row;
mod thaw;
mod upload;
