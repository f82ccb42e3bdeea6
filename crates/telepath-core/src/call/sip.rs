//! What the SIP signalling of a call says, for its record, and the strangers that call without reaching a trunk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// The most characters kept of a text of the signalling.
pub const MAX_SIP_TEXT: usize = 256;
/// The most headers kept of an INVITE.
pub const MAX_SIP_HEADERS: usize = 16;

/// What the SIP signalling of a call says. Stored as one JSON column.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SipFacts {
    /// The Call-ID of the dialog.
    #[serde(default)]
    pub call_id: Option<String>,
    /// The source address and port of the INVITE.
    #[serde(default)]
    pub source: Option<String>,
    /// The rule by which we rejected the call.
    #[serde(default)]
    pub rule: Option<String>,
    /// The status of our rejection.
    #[serde(default)]
    pub status: Option<u16>,
    /// The Reason headers (RFC 3326) of the caller's BYE or CANCEL.
    #[serde(default)]
    pub peer_reason: Option<String>,
    /// P-Asserted-Identity, Diversion and the `X-` headers of the INVITE, by name. Only of an authenticated caller.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl SipFacts {
    /// Text without control characters and with at most [`MAX_SIP_TEXT`] characters.
    pub fn bounded(text: &str) -> String {
        text.chars().filter(|c| !c.is_control()).take(MAX_SIP_TEXT).collect()
    }
}

/// INVITEs from one source that reached no trunk, by the rule that stopped them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipStranger {
    /// An IPv4 address, or the first address of an IPv6 /64.
    pub source: IpAddr,
    /// The rule.
    pub rule: &'static str,
    /// How often it applied.
    pub attempts: u64,
    /// When it first applied.
    pub first_seen: Timestamp,
    /// When it last applied.
    pub last_seen: Timestamp,
}

/// The strangers that a server remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SipStrangers {
    /// The latest first.
    pub strangers: Vec<SipStranger>,
    /// Attempts of sources that were removed to make room for others.
    pub forgotten_attempts: u64,
}
