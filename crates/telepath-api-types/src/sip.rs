//! `/local/sip/strangers`: SIP requests that reached no trunk.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use telepath_core::call;
use telepath_core::clock::Timestamp;

/// INVITEs from one source that reached no trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SipStranger {
    /// An IPv4 address, or the first address of an IPv6 /64. UDP addresses can be forged.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "203.0.113.7"))]
    pub source: IpAddr,
    /// The rule that stopped them, such as `no_credentials`, `unknown_user` or `malformed`.
    #[cfg_attr(feature = "openapi", schema(example = "unknown_user"))]
    pub rule: String,
    /// How often it applied.
    pub attempts: u64,
    /// When it first applied.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    /// When it last applied.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
}

/// The strangers that this server remembers since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SipStrangerList {
    /// The latest first, at most 1,000.
    pub strangers: Vec<SipStranger>,
    /// Attempts of sources that were removed to make room for others.
    pub forgotten_attempts: u64,
}

impl From<call::SipStrangers> for SipStrangerList {
    fn from(list: call::SipStrangers) -> Self {
        let strangers = list.strangers.into_iter().map(|stranger| SipStranger {
            source: stranger.source,
            rule: stranger.rule.to_owned(),
            attempts: stranger.attempts,
            first_seen: stranger.first_seen,
            last_seen: stranger.last_seen,
        });
        Self { strangers: strangers.collect(), forgotten_attempts: list.forgotten_attempts }
    }
}
