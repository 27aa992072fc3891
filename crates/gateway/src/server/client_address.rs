//! The address of a client behind proxies. Pure.
//!
//! A proxy appends the address that it sees to `X-Forwarded-For`. What a client itself wrote there is before
//! that, so only the entries that trusted proxies have appended count.

use std::net::IpAddr;

use crate::network::Network;

/// Returns the last address that no trusted proxy has: the one of `peer`, or one that a trusted proxy
/// has appended to the fields `X-Forwarded-For`.
pub fn client_address<'f>(
    peer: IpAddr,
    fields: impl Iterator<Item = &'f str>,
    trusted: &[Network],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let entries: Vec<_> = fields.flat_map(|field| field.split(',')).collect();
    let mut last = peer;
    for entry in entries.iter().rev() {
        let Ok(address) = entry.trim().parse::<IpAddr>() else { return last };
        last = address.to_canonical();
        if !is_trusted(last) {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_trusted_proxy_appended_counts() {
        let trusted =
            ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|text| Network::parse(text).unwrap());
        #[rustfmt::skip]
        let cases: [(_, &[&str], _); 9] = [
            // peer         X-Forwarded-For                          client
            ("192.0.2.1",   &[],                                     "192.0.2.1"),
            ("192.0.2.1",   &["198.51.100.7"],                       "192.0.2.1"),
            ("127.0.0.1",   &[],                                     "127.0.0.1"),
            ("127.0.0.1",   &["198.51.100.7"],                       "198.51.100.7"),
            ("127.0.0.1",   &["203.0.113.9, 198.51.100.7"],          "198.51.100.7"),
            ("127.0.0.1",   &["203.0.113.9", "198.51.100.7, 10.1.2.3"], "198.51.100.7"),
            ("127.0.0.1",   &["10.9.9.9"],                           "10.9.9.9"),
            ("127.0.0.1",   &["198.51.100.7, unknown"],              "127.0.0.1"),
            ("fd00::1",     &["::ffff:198.51.100.7"],                "198.51.100.7"),
        ];
        for (peer, fields, want) in cases {
            let found = client_address(peer.parse().unwrap(), fields.iter().copied(), &trusted);
            assert_eq!(found, want.parse::<IpAddr>().unwrap(), "{peer} {fields:?}");
        }
    }
}
