//! Whether a request names its host as HTTP demands (RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{Request, Version};

/// Whether the request has the host fields that its version demands, and each is valid.
pub(crate) fn is_valid<B>(request: &Request<B>) -> bool {
    let mut fields = request.headers().get_all(HOST).iter();
    let (host, second) = (fields.next(), fields.next());
    if second.is_some() || host.is_some_and(|host| !is_host(host.as_bytes())) {
        return false;
    }
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    match request.version() {
        Version::HTTP_2 | Version::HTTP_3 => match (authority, host) {
            // Both must name the same entity.
            (Some(authority), Some(host)) => {
                is_host(authority.as_bytes()) && host.as_bytes().eq_ignore_ascii_case(authority.as_bytes())
            }
            (Some(authority), None) => is_host(authority.as_bytes()),
            (None, host) => host.is_some(),
        },
        // An absolute target overrides Host, but the field is still required.
        Version::HTTP_11 => host.is_some(),
        _ => true,
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2, RFC 3986 section 3.2.2). The host may be empty, because a registered name
/// may be.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let port = |rest: &str| {
        rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
    };
    if let Some(literal) = text.strip_prefix('[') {
        let Some((address, rest)) = literal.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && port(rest);
    }
    let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
    is_registered_name(name.as_bytes()) && port(rest)
}

/// `reg-name`: unreserved characters, sub-delimiters and percent-encoded bytes.
fn is_registered_name(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        let legal = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|digit| digit.is_some_and(u8::is_ascii_hexdigit)),
            other => other.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(other),
        };
        if !legal {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn head(version: Version, target: &str, hosts: &[&[u8]]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, HeaderValue::from_bytes(host).unwrap());
        }
        request.body(()).unwrap()
    }

    #[test]
    fn http_1_1_needs_exactly_one_valid_host_field() {
        let valid = |hosts: &[&[u8]]| is_valid(&head(Version::HTTP_11, "/", hosts));
        for good in [
            &b"example.com"[..],
            b"example.com:8443",
            b"EXAMPLE.com:",
            b"127.0.0.1:1",
            b"[::1]",
            b"[2001:db8::1]:443",
            b"a_b-c.example",
            b"caf%C3%A9.example",
            b"",
        ] {
            assert!(valid(&[good]), "{good:?}");
        }
        assert!(!valid(&[]) && !valid(&[b"a", b"b"]) && !valid(&[b"a", b"a"]));
        for bad in [
            &b"exa mple"[..],
            b"a/b",
            b"user@example.com",
            b"example.com:80a",
            b"example.com:80:80",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[example.com]",
            b"a,b",
            b"a%2",
            b"a%zz",
            b"a?b",
            b"a#b",
            b"\xff",
            b"<script>",
        ] {
            // A comma is a sub-delimiter and legal in a registered name.
            assert_eq!(valid(&[bad]), bad == b"a,b", "{bad:?}");
        }
        assert!(is_valid(&head(Version::HTTP_11, "https://one.example/", &[b"two.example"])));
        assert!(!is_valid(&head(Version::HTTP_11, "https://one.example/", &[])));
    }

    #[test]
    fn http_1_0_may_lack_the_host_field_but_not_repeat_it() {
        assert!(is_valid(&head(Version::HTTP_10, "/", &[])));
        assert!(is_valid(&head(Version::HTTP_10, "/", &[b"example.com"])));
        assert!(!is_valid(&head(Version::HTTP_10, "/", &[b"a", b"b"])));
        assert!(!is_valid(&head(Version::HTTP_10, "/", &[b"a b"])));
    }

    #[test]
    fn http_2_needs_an_authority_or_a_host_and_both_must_agree() {
        let valid = |target: &str, hosts: &[&[u8]]| is_valid(&head(Version::HTTP_2, target, hosts));
        assert!(valid("https://example.com/", &[]));
        assert!(valid("https://example.com:8443/", &[b"Example.com:8443"]));
        assert!(valid("/", &[b"example.com"]));
        assert!(!valid("/", &[]));
        assert!(!valid("https://example.com/", &[b"other.example"]));
        assert!(!valid("https://example.com/", &[b"example.com", b"example.com"]));
        assert!(!valid("https://user@example.com/", &[]), "RFC 9113: no userinfo");
    }
}
