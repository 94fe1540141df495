//! Which addresses and names may never be dialled, and which only where private networks are allowed.
//!
//! Everything that is not plainly public is refused: an allow-list of global unicast space would be shorter, but the
//! reasons are what operators read. Embedded IPv4 addresses are judged too, so no transition mechanism hides one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::wire_enum;

wire_enum! {
    #[schema(as = AddressRefusal)]
    pub enum Reason {
        /// A cloud metadata service. Refused even where private networks are allowed.
        Metadata = "metadata_address",
        Unspecified = "unspecified_address",
        Loopback = "loopback_address",
        Private = "private_address",
        LinkLocal = "link_local_address",
        /// Carrier-grade NAT.
        Shared = "shared_address",
        Multicast = "multicast_address",
        Broadcast = "broadcast_address",
        /// Set aside: documentation, benchmarks, protocol assignments, future use.
        Reserved = "reserved_address",
        /// An IPv4 address travels inside (NAT64, 6to4, Teredo, ISATAP, IPv4-compatible).
        Transition = "transition_address",
        LocalName = "local_name",
    }
}

impl Reason {
    /// Whether `allow_private_networks` lifts it.
    pub fn liftable(self) -> bool {
        match self {
            Self::Metadata | Self::Unspecified | Self::Multicast | Self::Broadcast => false,
            Self::Loopback
            | Self::Private
            | Self::LinkLocal
            | Self::Shared
            | Self::Reserved
            | Self::Transition
            | Self::LocalName => true,
        }
    }
}

/// Why this address may not be dialled; `None` for public addresses.
pub fn forbidden(ip: IpAddr) -> Option<Reason> {
    match ip {
        IpAddr::V4(ip) => v4(ip),
        IpAddr::V6(ip) => v6(ip),
    }
}

/// [`forbidden`] under a destination's setting. The one question that the sender asks of each address it dials.
pub fn refused(ip: IpAddr, allow_private_networks: bool) -> Option<Reason> {
    forbidden(ip).filter(|reason| !(allow_private_networks && reason.liftable()))
}

/// Why this host name may not be resolved; `None` for ordinary names. Case and a trailing dot do not matter.
pub fn forbidden_name(name: &str) -> Option<Reason> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    const METADATA: [&str; 5] =
        ["metadata.google.internal", "metadata.goog", "metadata", "instance-data", "instance-data.ec2.internal"];
    if METADATA.contains(&name.as_str()) || name.ends_with(".metadata.google.internal") {
        return Some(Reason::Metadata);
    }
    if name == "localhost" || name.ends_with(".localhost") {
        return Some(Reason::Loopback);
    }
    const LOCAL: [&str; 4] = [".local", ".internal", ".localdomain", ".home.arpa"];
    // A name without a dot can only be found by a search domain or a hosts file.
    (LOCAL.iter().any(|suffix| name.ends_with(suffix)) || !name.contains('.')).then_some(Reason::LocalName)
}

fn v4(ip: Ipv4Addr) -> Option<Reason> {
    let o = ip.octets();
    const METADATA: [[u8; 4]; 6] = [
        [169, 254, 169, 254],
        [169, 254, 170, 2],
        [169, 254, 170, 23],
        [100, 100, 100, 200],
        [192, 0, 0, 192],
        // A public address, but only ever the platform's own service.
        [168, 63, 129, 16],
    ];
    if METADATA.contains(&o) {
        return Some(Reason::Metadata);
    }
    match o {
        [0, 0, 0, 0] => Some(Reason::Unspecified),
        [255, 255, 255, 255] => Some(Reason::Broadcast),
        [0, ..] => Some(Reason::Reserved),
        [127, ..] => Some(Reason::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(Reason::Private),
        [169, 254, ..] => Some(Reason::LinkLocal),
        [100, 64..=127, ..] => Some(Reason::Shared),
        [224..=239, ..] => Some(Reason::Multicast),
        [240..=255, ..] => Some(Reason::Reserved),
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Some(Reason::Reserved)
        }
        _ => None,
    }
}

fn v6(ip: Ipv6Addr) -> Option<Reason> {
    let s = ip.segments();
    if let [0, 0, 0, 0, 0, 0xffff, high, low] = s {
        return v4(joined(high, low));
    }
    // The metadata services of two clouds.
    if [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]].contains(&s) {
        return Some(Reason::Metadata);
    }
    match s {
        [0, 0, 0, 0, 0, 0, 0, 0] => return Some(Reason::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => return Some(Reason::Loopback),
        _ => {}
    }
    let embedded = embedded(s);
    if !embedded.is_empty() {
        let inner = embedded.into_iter().filter_map(v4).find(|reason| !reason.liftable());
        return Some(inner.unwrap_or(Reason::Transition));
    }
    match s[0] {
        0xfc00..=0xfdff => Some(Reason::Private),
        0xfe80..=0xfebf => Some(Reason::LinkLocal),
        0xfec0..=0xfeff => Some(Reason::Private),
        0xff00..=0xffff => Some(Reason::Multicast),
        // Protocol assignments, ORCHID, documentation.
        0x2001 if s[1] < 0x200 || s[1] == 0xdb8 => Some(Reason::Reserved),
        0x3fff if s[1] < 0x1000 => Some(Reason::Reserved),
        0x2000..=0x3fff => None,
        // Outside 2000::/3 nothing is global unicast.
        _ => Some(Reason::Reserved),
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// The IPv4 addresses inside a transition address.
fn embedded(s: [u16; 8]) -> Vec<Ipv4Addr> {
    match s {
        // IPv4-compatible, and IPv4-translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => vec![joined(high, low)],
        // NAT64: the well-known prefix and the local-use one.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => vec![joined(high, low)],
        // 6to4.
        [0x2002, high, low, ..] => vec![joined(high, low)],
        // Teredo: the server in clear, the client inverted.
        [0x2001, 0, high, low, _, _, client_high, client_low] => {
            vec![joined(high, low), joined(!client_high, !client_low)]
        }
        // ISATAP, under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => vec![joined(high, low)],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason as R, *};

    fn of(text: &str) -> Option<Reason> {
        forbidden(text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    #[test]
    fn each_range_at_both_edges() {
        for (first, last, reason) in [
            ("10.0.0.0", "10.255.255.255", R::Private),
            ("172.16.0.0", "172.31.255.255", R::Private),
            ("192.168.0.0", "192.168.255.255", R::Private),
            ("127.0.0.0", "127.255.255.255", R::Loopback),
            ("169.254.0.0", "169.254.255.255", R::LinkLocal),
            ("0.0.0.1", "0.255.255.255", R::Reserved),
            ("224.0.0.0", "239.255.255.255", R::Multicast),
            ("100.64.0.0", "100.127.255.255", R::Shared),
            ("192.0.0.0", "192.0.0.255", R::Reserved),
            ("192.0.2.0", "192.0.2.255", R::Reserved),
            ("198.18.0.0", "198.19.255.255", R::Reserved),
            ("198.51.100.0", "198.51.100.255", R::Reserved),
            ("203.0.113.0", "203.0.113.255", R::Reserved),
            ("192.88.99.0", "192.88.99.255", R::Reserved),
            ("240.0.0.0", "255.255.255.254", R::Reserved),
            ("255.255.255.255", "255.255.255.255", R::Broadcast),
            ("0.0.0.0", "0.0.0.0", R::Unspecified),
            ("::", "::", R::Unspecified),
            ("::1", "::1", R::Loopback),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", R::Private),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", R::LinkLocal),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", R::Private),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", R::Multicast),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", R::Reserved),
            ("2001:10::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", R::Reserved),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", R::Reserved),
            ("100::", "100::ffff:ffff:ffff:ffff", R::Reserved),
            ("5f00::", "5f00:ffff::", R::Reserved),
            ("64:ff9b::808:808", "64:ff9b::ffff:fffe", R::Transition),
            ("64:ff9b:1::808:808", "64:ff9b:1:ffff:ffff:ffff:808:808", R::Transition),
            ("2002:808:808::", "2002:808:808:ffff:ffff:ffff:ffff:ffff", R::Transition),
            ("2001:0:808:808::f7f7:f7f7", "2001:0:808:808:ffff:ffff:f7f7:f7f7", R::Transition),
            ("::808:808", "::7f00:1", R::Transition),
            ("::ffff:0:808:808", "::ffff:0:7f00:1", R::Transition),
            ("2600::5efe:808:808", "2600::200:5efe:808:808", R::Transition),
        ] {
            for edge in [first, last] {
                assert_eq!(of(edge), Some(reason), "{edge}");
            }
        }
    }

    #[test]
    fn public_addresses_pass() {
        for ip in [
            "8.8.8.8",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "192.88.98.255",
            "192.88.100.0",
            "2600::1",
            "2a00:1450:4001::200e",
            "2001:4860:4860::8888",
            "2001:db9::1",
            "2003::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(of(ip), None, "{ip}");
        }
    }

    #[test]
    fn metadata_is_refused_in_every_disguise_and_under_every_setting() {
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:a9fe:a9fe::1",
            "2001:0:808:808::5601:5601",
            "fe80::5efe:a9fe:a9fe",
        ] {
            assert_eq!(of(ip), Some(R::Metadata), "{ip}");
            assert_eq!(refused(ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), true), Some(R::Metadata), "{ip}");
        }
    }

    #[test]
    fn a_private_setting_lifts_private_addresses_only() {
        for (ip, allowed) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("fd12::1", true),
            ("::1", true),
            ("64:ff9b::a00:1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("2002:e000:1::", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            assert!(refused(ip, false).is_some());
            assert_eq!(refused(ip, true).is_none(), allowed, "{ip}");
        }
    }

    #[test]
    fn names() {
        for (name, reason) in [
            ("localhost", Some(R::Loopback)),
            ("LOCALHOST.", Some(R::Loopback)),
            ("a.localhost", Some(R::Loopback)),
            ("printer.local", Some(R::LocalName)),
            ("vault.internal.", Some(R::LocalName)),
            ("router.home.arpa", Some(R::LocalName)),
            ("intranet", Some(R::LocalName)),
            ("metadata.google.internal", Some(R::Metadata)),
            ("Metadata", Some(R::Metadata)),
            ("hooks.example.com", None),
            ("notlocalhost.com", None),
            ("mylocal.dev", None),
        ] {
            assert_eq!(forbidden_name(name), reason, "{name}");
        }
    }
}
