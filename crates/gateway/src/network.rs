//! A range of addresses, as `server.trusted_proxies` names it.

use std::fmt;
use std::net::IpAddr;

/// An address, or all addresses with the same leading bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    /// Parses `ADDRESS` or `ADDRESS/BITS`.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = bits_of(address);
        let bits = bits.map_or(Some(bits_max), |bits| bits.parse().ok())?;
        (bits <= bits_max).then_some(Network { address, bits })
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let shift = bits_of(self.address) - self.bits;
        let prefix = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()).checked_shr(shift).unwrap_or(0),
            IpAddr::V6(address) => address.to_bits().checked_shr(shift).unwrap_or(0),
        };
        self.address.is_ipv4() == address.is_ipv4() && prefix(self.address) == prefix(address)
    }
}

/// Number of leading bits of an IPv6 address that name the network of one host (RFC 6177).
const HOST_BITS_V6: u32 = 64;

/// Returns the address by which a host is counted. A host with IPv6 has a whole network of addresses.
pub(crate) fn host_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let host_part = u128::MAX >> HOST_BITS_V6;
            IpAddr::V6((address.to_bits() & !host_part).into())
        }
    }
}

fn bits_of(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_ipv6_has_one_network_of_addresses() {
        #[rustfmt::skip]
        let cases = [
            // address                  counted as
            ("192.0.2.1",               "192.0.2.1"),
            ("::ffff:192.0.2.1",        "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6",    "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::",     "2001:db8:1:2::"),
            ("2001:db8:1:3::1",         "2001:db8:1:3::"),
        ];
        for (address, want) in cases {
            let found = host_of(address.parse().unwrap());
            assert_eq!(found, want.parse::<IpAddr>().unwrap(), "{address}");
        }
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_leading_bits() {
        #[rustfmt::skip]
        let cases = [
            // network        address          contained
            ("127.0.0.1",     "127.0.0.1",     true),
            ("127.0.0.1",     "127.0.0.2",     false),
            ("10.0.0.0/8",    "10.255.1.2",    true),
            ("10.0.0.0/8",    "11.0.0.0",      false),
            ("10.1.2.3/0",    "192.0.2.1",     true),
            ("0.0.0.0/0",     "::1",           false),
            ("fd00::/8",      "fdff::1",       true),
            ("fd00::/8",      "fe00::1",       false),
            ("::/0",          "2001:db8::1",   true),
            ("::1",           "::1",           true),
        ];
        for (network, address, want) in cases {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), want, "{network} {address}");
        }
        for text in ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "::/129", "localhost", "10.0.0.0/-1"]
        {
            assert_eq!(Network::parse(text), None, "{text:?}");
        }
    }
}
