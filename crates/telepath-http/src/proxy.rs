//! The client's address and protocol behind a reverse proxy. Forwarding headers are used only if the peer is a trusted
//! proxy, because any other client can send whatever it likes in them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use telepath_core::address::{NetworkList, canonical};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client's address, and whether its connection was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ForwardedProto {
    /// HTTPS from the client on, or a loopback address.
    Https(IpAddr),
    /// A trusted proxy received the request over plain HTTP, or does not report the protocol.
    Http(IpAddr),
}

/// Determines the client's address and protocol.
pub(crate) fn client_of(peer: IpAddr, headers: &HeaderMap, trusted: &NetworkList) -> ForwardedProto {
    let peer = canonical(peer);
    if !trusted.contains(peer) {
        return ForwardedProto::Https(peer);
    }
    let caller = rightmost_untrusted(headers, trusted).unwrap_or(peer);
    if is_https(headers) { ForwardedProto::Https(caller) } else { ForwardedProto::Http(caller) }
}

/// The last address that is not a trusted proxy. The client could have sent everything left of it.
fn rightmost_untrusted(headers: &HeaderMap, trusted: &NetworkList) -> Option<IpAddr> {
    let mut leftmost = None;
    for value in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in value.to_str().ok()?.rsplit(',') {
            // An entry that is not an address ends the chain; nothing left of it can be trusted.
            let Some(address) = parse_address(entry.trim()) else { return leftmost };
            leftmost = Some(address);
            if !trusted.contains(address) {
                return leftmost;
            }
        }
    }
    leftmost
}

/// An address, with or without a port, IPv6 with or without brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok().or_else(|| {
        text.parse::<std::net::SocketAddr>().map(|socket| socket.ip()).ok().or_else(|| {
            text.strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .and_then(|inner| inner.parse().ok())
        })
    })?;
    Some(canonical(address))
}

/// Every proxy adds its own value; all of them must be `https`.
fn is_https(headers: &HeaderMap) -> bool {
    let mut any = false;
    for value in headers.get_all(FORWARDED_PROTO) {
        let Ok(text) = value.to_str() else { return false };
        if !text.split(',').all(|proto| proto.trim().eq_ignore_ascii_case("https")) {
            return false;
        }
        any = true;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_headers(peer: &str, forwarded: &[&str], proto: &[&str]) -> ForwardedProto {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        for value in proto {
            headers.append(FORWARDED_PROTO, value.parse().unwrap());
        }
        client_of(peer.parse().unwrap(), &headers, &"10.0.0.0/8,2001:db8::/64".parse().unwrap())
    }

    fn https(address: &str) -> ForwardedProto {
        ForwardedProto::Https(address.parse().unwrap())
    }

    #[test]
    fn forwarding_headers_from_untrusted_peers_are_ignored() {
        assert_eq!(with_headers("192.0.2.1", &["203.0.113.9"], &["http"]), https("192.0.2.1"));
    }

    #[test]
    fn the_rightmost_untrusted_address_is_the_client() {
        let proto: &[&str] = &["https"];
        assert_eq!(with_headers("10.0.0.1", &["198.51.100.1, 203.0.113.9"], proto), https("203.0.113.9"));
        assert_eq!(with_headers("10.0.0.1", &["203.0.113.9, 10.1.1.1"], proto), https("203.0.113.9"));
        assert_eq!(
            with_headers("10.0.0.1", &["198.51.100.1", "203.0.113.9:4711"], proto),
            https("203.0.113.9")
        );
        assert_eq!(with_headers("::ffff:10.0.0.1", &["[2001:db9::1]"], proto), https("2001:db9::1"));
        assert_eq!(with_headers("10.0.0.1", &["203.0.113.9, nonsense"], proto), https("10.0.0.1"));
        assert_eq!(with_headers("10.0.0.1", &[], proto), https("10.0.0.1"));
    }

    #[test]
    fn a_trusted_proxy_must_send_x_forwarded_proto_https() {
        let clear = ForwardedProto::Http("203.0.113.9".parse().unwrap());
        for proto in [&[][..], &["http"], &["https, http"], &["https", "http"], &["wss"]] {
            assert_eq!(with_headers("10.0.0.1", &["203.0.113.9"], proto), clear, "{proto:?}");
        }
        assert_eq!(with_headers("10.0.0.1", &["203.0.113.9"], &["HTTPS"]), https("203.0.113.9"));
    }
}
