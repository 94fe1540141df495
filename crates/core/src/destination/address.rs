//! Which addresses and names may never be dialled, and which only where private networks are allowed.
//!
//! Everything that is not plainly public is refused: an allow-list of global unicast space would be shorter, but the
//! reasons are what operators read. Embedded IPv4 addresses are judged too, so no transition mechanism hides one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::wire_enum;

wire_enum! {
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
