//! Where RTP may be sent. An authenticated caller chooses the address in its SDP, and must not be able to direct audio
//! to the server's own network: to loopback services, to a cloud's metadata service, or to hosts behind a firewall.
//!
//! Public addresses and the address that the SIP messages come from are allowed. A peer that is itself in a private
//! network, or on this machine, may name private addresses, or also loopback ones, because it reaches them anyway. This
//! does not apply to an INVITE that came through a proxy (more than one Via, RFC 3261 section 16.6), because the proxy's
//! address says nothing about the caller. Everything else needs an entry in `media.allow`. Multicast, broadcast and
//! unspecified addresses are never allowed.
//!
//! An address that is not allowed is ignored, not refused: behind NAT a private address in SDP is normal. Audio is then
//! sent to where the peer's packets come from.

use std::net::IpAddr;

use telepath_core::address::{NetworkList, canonical};
use telepath_egress::Forbidden;
use telepath_egress::address::check_public;
use telepath_media::sdp::{Negotiated, RtcpTransport};

/// The policy of one call.
#[derive(Debug, Clone)]
pub(crate) struct MediaPolicy {
    peer: IpAddr,
    proxied: bool,
    allowed: NetworkList,
}

impl MediaPolicy {
    /// `peer` is the source address of the INVITE, `proxied` whether it came through a proxy, and `allowed` the networks
    /// in `media.allow`.
    pub(crate) fn new(peer: IpAddr, proxied: bool, allowed: NetworkList) -> Self {
        Self { peer: canonical(peer), proxied, allowed }
    }

    /// Whether RTP may be sent to this address.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        let address = canonical(address);
        if !is_unicast(address) {
            return false;
        }
        if address == self.peer || self.allowed.contains(address) {
            return true;
        }
        let peer = if self.proxied { Ok(()) } else { check_public(self.peer) };
        match check_public(address) {
            Ok(()) => true,
            Err(Forbidden::Loopback) => peer == Err(Forbidden::Loopback),
            Err(Forbidden::Private) => matches!(peer, Err(Forbidden::Loopback | Forbidden::Private)),
            Err(Forbidden::LinkLocal | Forbidden::Multicast | Forbidden::Special) => false,
        }
    }

    /// Removes addresses that are not allowed from negotiated media.
    pub(crate) fn apply(&self, media: Negotiated) -> Negotiated {
        let remote = media.remote.filter(|remote| self.permits(remote.ip()));
        let rtcp = match media.rtcp {
            RtcpTransport::Muxed => RtcpTransport::Muxed,
            RtcpTransport::Separate(to) => RtcpTransport::Separate(to.filter(|to| self.permits(to.ip()))),
        };
        if remote != media.remote {
            tracing::info!(
                peer = %self.peer,
                "the caller's SDP names an address to which RTP is not sent; waiting for its packets (see media.allow)"
            );
        }
        Negotiated { remote, rtcp, ..media }
    }
}

/// Whether an address is one host's.
fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast() || v4.octets()[0] == 0);
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(peer: &str, proxied: bool, allowed: &str, address: &str) -> bool {
        let policy = MediaPolicy::new(peer.parse().unwrap(), proxied, allowed.parse().unwrap());
        policy.permits(address.parse().unwrap())
    }

    const NEVER: [&str; 7] =
        ["0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.1.1.1", "::", "ff02::1"];
    const INTERNAL: [&str; 14] = [
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "10.0.0.7",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "fd00:ec2::254",
        "240.0.0.1",
    ];

    #[test]
    fn sdp_of_a_public_peer_cannot_direct_rtp_to_internal_addresses() {
        for address in NEVER.iter().chain(&INTERNAL) {
            assert!(!permits("8.8.8.8", false, "", address), "{address}");
        }
        for address in ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"] {
            assert!(permits("8.8.8.8", false, "", address), "{address}");
        }
    }

    #[test]
    fn a_private_peer_may_name_private_addresses_and_a_loopback_peer_also_loopback_ones() {
        assert!(permits("10.0.0.5", false, "", "10.0.0.7") && permits("10.0.0.5", false, "", "192.168.1.1"));
        assert!(permits("127.0.0.1", false, "", "127.0.0.2") && permits("::1", false, "", "127.0.0.1"));
        assert!(permits("127.0.0.1", false, "", "10.0.0.7"));
        for peer in ["10.0.0.5", "127.0.0.1"] {
            for address in ["169.254.169.254", "fe80::1", "240.0.0.1"].iter().chain(&NEVER) {
                assert!(!permits(peer, false, "", address), "{peer}: {address}");
            }
        }
        assert!(!permits("10.0.0.5", false, "", "127.0.0.1"));
    }

    #[test]
    fn a_proxy_gives_its_caller_no_access_to_its_network() {
        for peer in ["127.0.0.1", "10.0.0.5"] {
            for address in INTERNAL.iter().filter(|address| !address.ends_with(peer)) {
                assert!(!permits(peer, true, "", address), "{peer}: {address}");
            }
            assert!(permits(peer, true, "", "8.8.8.8"));
            assert!(permits(peer, true, "", peer), "a media proxy on the same host");
        }
    }

    #[test]
    fn media_allow_opens_networks_and_the_address_of_the_sip_peer_is_always_allowed() {
        assert!(permits("8.8.8.8", false, "10.20.0.0/16", "10.20.1.2"));
        assert!(permits("8.8.8.8", true, "127.0.0.0/8", "127.0.0.1"));
        assert!(!permits("8.8.8.8", false, "10.20.0.0/16", "10.21.1.2"));
        assert!(permits("203.0.113.9", false, "", "203.0.113.9"));
        for address in NEVER {
            assert!(!permits(address, false, "0.0.0.0/0,::/0", address), "{address}");
        }
    }
}
