//! The address of a client is the one of its peer, or was written by a trusted proxy: what comes before the last address
//! that no trusted proxy has changes nothing.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;

// Only these modules: the whole gateway would depend on the AWS SDK.
#[path = "../../crates/gateway/src/server/client_address.rs"]
#[allow(unreachable_pub, reason = "it is public in the gateway")]
mod client_address;
#[path = "../../crates/gateway/src/network.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public in the gateway, which uses all of it")]
mod network;

use client_address::client_address;
use network::Network;

fuzz_target!(|input: ([u8; 4], Vec<&str>, &str)| {
    let (peer, fields, forged) = input;
    let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).expect("a network"));
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = IpAddr::from(peer);
    let found = client_address(peer, fields.iter().copied(), &trusted);
    if !is_trusted(peer) {
        assert_eq!(found, peer);
    }
    let entries = || fields.iter().flat_map(|field| field.split(',')).map(str::trim);
    let is_written = |entry: &str| entry.parse().is_ok_and(|it: IpAddr| it.to_canonical() == found);
    assert!(found == peer || entries().any(is_written));
    if !is_trusted(found) {
        let with_forged = [forged].into_iter().chain(fields.iter().copied());
        assert_eq!(client_address(peer, with_forged, &trusted), found);
    }
});
