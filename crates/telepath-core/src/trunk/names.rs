//! Validated texts of a trunk. Each type can only be constructed from text that follows its rule.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::authority::host_and_port;
use crate::entropy::{Entropy, EntropyError, random_text};
use crate::named::named_enum;
use crate::secret::SecretText;

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, &'static str> {
                let fits: fn(&str) -> bool = $check;
                if fits(&text) { Ok(Self(text)) } else { Err($rule) }
            }
        }

        impl From<$name> for String {
            fn from(checked: $name) -> String {
                checked.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text! {
    /// The user part of a trunk's SIP URI. Unique on a server without regard to case.
    SipUsername,
    |text| (3..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
    "must have 3 to 30 letters, digits or hyphens"
}

checked_text! {
    /// A telephone number in the international form of ITU-T E.164: `+` and up to 15 digits.
    E164,
    |text| text.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
    }),
    "must be a number in E.164 form, such as +15550100123"
}

checked_text! {
    /// The name of an HTTP header (RFC 9110 section 5.6.2), other than those that the WebSocket handshake sets itself.
    HeaderName,
    |text| {
        const TAKEN: [&str; 5] = ["host", "connection", "upgrade", "content-length", "transfer-encoding"];
        let lower = text.to_ascii_lowercase();
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
            && !TAKEN.contains(&lower.as_str())
            && !lower.starts_with("sec-websocket-")
    },
    "must be a header name that the WebSocket handshake does not set itself"
}

checked_text! {
    /// Where an agent listens: `wss://`, or `ws://` on a loopback host.
    AgentUrl,
    is_agent_url,
    "must be a wss:// URL without user info or fragment (ws:// only for a loopback host)"
}

/// What decides to whom the trunk's secrets are sent: scheme, host and port of an agent's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOrigin {
    /// Whether the scheme is `wss`.
    pub secure: bool,
    /// The host in lower case, an IPv6 address without brackets.
    pub host: String,
    /// The port; 443 or 80 if the URL has none.
    pub port: u16,
}

impl AgentUrl {
    /// A URL that a test has checked.
    pub(super) fn of_provider(url: &'static str) -> Self {
        Self(url.to_owned())
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> AgentOrigin {
        let secure = self.0.starts_with("wss:");
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let (host, port) = host_and_port(authority).unwrap_or_default();
        let default = if secure { 443 } else { 80 };
        AgentOrigin { secure, host: host.to_ascii_lowercase(), port: port.unwrap_or(default) }
    }
}

fn is_agent_url(text: &str) -> bool {
    let (secure, rest) = match (text.strip_prefix("wss://"), text.strip_prefix("ws://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return false,
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let printable =
        text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic()) && !text.contains(['#', '\\']);
    let Some((host, _)) = host_and_port(authority) else { return false };
    printable && (secure || is_loopback(host))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

named_enum! {
    /// An audio codec of the carrier side. The name is the encoding name of RFC 3551 section 6.
    pub enum Codec {
        /// G.711 µ-law.
        Pcmu = "PCMU",
        /// G.711 A-law.
        Pcma = "PCMA",
        /// G.722 at 64 kbit/s: wideband.
        G722 = "G722",
    }
}

impl Codec {
    /// The codec with this encoding name; case does not matter (RFC 4855 section 3).
    pub fn from_encoding_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }
}

/// The password of a trunk's SIP user: 8 to 128 printable characters.
#[derive(Debug, Clone)]
pub struct SipPassword(SecretText);

impl SipPassword {
    /// Checks a chosen password.
    pub fn new(text: SecretText) -> Result<Self, &'static str> {
        let fits = (8..=128).contains(&text.expose().chars().count())
            && !text.expose().chars().any(char::is_control);
        if fits { Ok(Self(text)) } else { Err("must have 8 to 128 characters without control characters") }
    }

    /// A new password of 24 letters and digits, about 142 bits.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        random_text(entropy, crate::base62::ALPHABET, 24).map(|text| Self(SecretText::new(text)))
    }

    /// The password itself.
    pub fn secret(&self) -> &SecretText {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agent_urls_are_secure_or_loopback() {
        let fits = |text: &str| AgentUrl::try_from(text.to_owned()).is_ok();
        for good in [
            "wss://agent.example/voice?x=1",
            "wss://agent.example:8443",
            "ws://127.0.0.1:9000/a",
            "ws://localhost",
            "ws://[::1]:9000/",
            "wss://[2001:db8::1]/",
        ] {
            assert!(fits(good), "{good}");
        }
        for bad in [
            "ws://agent.example/",
            "https://agent.example/",
            "wss://",
            "wss://user:pw@agent.example/",
            "wss://agent.example:0/",
            "wss://agent.example:+443/",
            "wss://agent.example:99999/",
            "wss://agent.example/#f",
            "wss://agent .example/",
            "ws://localhost.example/",
            "wss://[::1",
        ] {
            assert!(!fits(bad), "{bad}");
        }
    }

    #[test]
    fn the_origin_of_an_agent_url_is_scheme_host_and_port() {
        let origin = |text: &str| AgentUrl::try_from(text.to_owned()).unwrap().origin();
        assert_eq!(origin("wss://Agent.Example/voice"), origin("wss://agent.example:443/other?x=1"));
        assert_eq!(origin("ws://localhost/a"), origin("ws://LOCALHOST:80"));
        let v6 = origin("wss://[2001:db8::1]:8443/");
        assert_eq!((v6.host.as_str(), v6.port, v6.secure), ("2001:db8::1", 8443, true));
        for (one, other) in [
            ("wss://agent.example/", "wss://agent.example:8443/"),
            ("wss://agent.example/", "wss://agent.example.attacker.example/"),
            ("wss://agent.example/", "wss://agent.example./"),
            ("wss://localhost:80/", "ws://localhost:80/"),
        ] {
            assert_ne!(origin(one), origin(other), "{one} {other}");
        }
    }

    #[test]
    fn usernames_numbers_and_headers_follow_their_rules() {
        let username = |text: &str| SipUsername::try_from(text.to_owned()).is_ok();
        assert!(username("support-01") && username("abc"));
        assert!(!username("ab") && !username("a_b_c") && !username(&"a".repeat(31)));
        let number = |text: &str| E164::try_from(text.to_owned()).is_ok();
        assert!(
            number("+15550100123")
                && !number("15550100123")
                && !number("+0155501")
                && !number("+1555010012345678")
        );
        let header = |text: &str| HeaderName::try_from(text.to_owned()).is_ok();
        assert!(header("Authorization") && !header("Sec-WebSocket-Key") && !header("Host") && !header("a b"));
    }
}
