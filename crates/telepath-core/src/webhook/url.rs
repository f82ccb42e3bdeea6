//! The URL of a webhook: `https://`, parsed once.

use std::fmt;

use crate::authority::host_and_port;

/// The longest URL in bytes.
const MAX_LENGTH: usize = 2048;
/// The longest name of a host (RFC 1035 section 2.3.4).
const LONGEST_HOST: usize = 253;
const RULE: &str =
    "must be an https:// URL of at most 2048 printable characters without user info or fragment";

/// An `https://` URL without user info and fragment. Its query may hold a secret of the receiver, so logs name the
/// endpoint's id instead.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    text: String,
    host: String,
    port: u16,
    /// Where in the text the authority ends.
    path_at: usize,
}

impl WebhookUrl {
    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host: a name, an IPv4 address, or an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL without what may hold a secret of the receiver: where, and whether there is more.
    pub fn masked(&self) -> String {
        let more = if self.text.len() > self.path_at + 1 { "/…" } else { "/" };
        format!("https://{}{more}", self.authority())
    }

    /// The port; 443 when the URL does not say.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.text["https://".len()..self.path_at]
    }

    /// Whether host and port are the same; the scheme always is.
    pub fn has_same_origin(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }

    /// Path and query, never empty.
    pub fn path_and_query(&self) -> String {
        let rest = &self.text[self.path_at..];
        if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") }
    }
}

/// Shows where, never the path and the query.
impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}:{})", self.host, self.port)
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let printable = text.len() <= MAX_LENGTH && text.bytes().all(|b| b.is_ascii_graphic());
        let rest =
            text.strip_prefix("https://").filter(|_| printable && !text.contains(['#', '\\'])).ok_or(RULE)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) =
            host_and_port(authority).filter(|(host, _)| host.len() <= LONGEST_HOST).ok_or(RULE)?;
        let (host, path_at) = (host.to_ascii_lowercase(), "https://".len() + authority.len());
        Ok(Self { host, port: port.unwrap_or(443), path_at, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_urls_are_parsed() {
        for (text, host, port, authority, path) in [
            ("https://Hooks.Example", "hooks.example", 443, "Hooks.Example", "/"),
            ("https://hooks.example/a/b?c=d", "hooks.example", 443, "hooks.example", "/a/b?c=d"),
            ("https://hooks.example:8443?x=1", "hooks.example", 8443, "hooks.example:8443", "/?x=1"),
            ("https://[2001:db8::1]:444/", "2001:db8::1", 444, "[2001:db8::1]:444", "/"),
            ("https://203.0.113.7/x", "203.0.113.7", 443, "203.0.113.7", "/x"),
        ] {
            let url = WebhookUrl::try_from(text.to_owned()).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!((url.host(), url.port(), url.authority()), (host, port, authority), "{text}");
            assert_eq!(url.path_and_query(), path, "{text}");
            let more = if path == "/" { "" } else { "…" };
            assert_eq!(url.masked(), format!("https://{authority}/{more}"), "{text}");
        }
    }

    #[test]
    fn other_schemes_user_info_and_malformed_urls_are_rejected() {
        for text in [
            "http://hooks.example/",
            "HTTPS://hooks.example/",
            "https://",
            "https:///path",
            "https://user@hooks.example/",
            "https://user:pw@hooks.example/",
            "https://hooks.example/#f",
            "https://hooks.example\\@other.example/",
            "https://hooks.example:0/",
            "https://hooks.example:65536/",
            "https://hooks.example:+1/",
            "https://hooks.example:/",
            "https://hooks .example/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
            "https://h\u{f6}oks.example/",
            "https://hooks.example/\r\nx: y",
        ] {
            assert!(WebhookUrl::try_from(text.to_owned()).is_err(), "{text}");
        }
        assert!(WebhookUrl::try_from(format!("https://hooks.example/{}", "x".repeat(2048))).is_err());
    }
}
