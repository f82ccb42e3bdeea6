//! The Warning header (RFC 3261 section 20.43): what is wrong with a session description, or why a request was rejected.

use super::lex::quote;
use super::uri::HostPort;

/// A Warning that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What kind of problem it is.
    pub code: WarningCode,
    /// The problem, for people.
    pub text: &'static str,
}

/// The codes that this stack sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarningCode {
    /// 301: the address format of the session description is not available.
    IncompatibleNetworkAddressFormat,
    /// 302: the transport protocol of the media is not available.
    IncompatibleTransportProtocol,
    /// 304: the media type is not available.
    MediaTypeNotAvailable,
    /// 305: the media format is not available.
    IncompatibleMediaFormat,
    /// 330: multicast is not available.
    MulticastNotAvailable,
    /// 399: anything else.
    Miscellaneous,
}

impl WarningCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::IncompatibleNetworkAddressFormat => 301,
            Self::IncompatibleTransportProtocol => 302,
            Self::MediaTypeNotAvailable => 304,
            Self::IncompatibleMediaFormat => 305,
            Self::MulticastNotAvailable => 330,
            Self::Miscellaneous => 399,
        }
    }
}

impl Warning {
    /// A warning that no other code describes.
    pub fn miscellaneous(text: &'static str) -> Self {
        Self { code: WarningCode::Miscellaneous, text }
    }

    /// The value of the header; `agent` is the host that warns.
    pub(crate) fn to_value(self, agent: &HostPort) -> String {
        format!("{} {agent} {}", self.code.code(), quote(self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_has_code_agent_and_quoted_text() {
        let agent = HostPort::parse("[2001:db8::1]:5060").unwrap();
        let warning = Warning { code: WarningCode::IncompatibleMediaFormat, text: "no_common_codec" };
        assert_eq!(warning.to_value(&agent), "305 [2001:db8::1]:5060 \"no_common_codec\"");
    }
}
