//! What an agent is told about a call.

use std::collections::BTreeMap;

/// What the first event tells the agent about the call. The values are sent as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// Identifier of the call, such as `call_…`.
    pub call_id: String,
    /// Identifier of the trunk, such as `trunk_…`.
    pub trunk_id: String,
    /// The caller's number or SIP user name.
    pub from: String,
    /// The called number or SIP user name.
    pub to: String,
    /// The trunk's instructions to the agent.
    pub system_prompt: Option<String>,
    /// The trunk's own key-value pairs.
    pub metadata: BTreeMap<String, String>,
    /// Headers of the INVITE, such as `P-Asserted-Identity`.
    pub sip_headers: BTreeMap<String, String>,
}

impl CallContext {
    /// What every agent may know about the call, as names and values.
    pub(super) fn parameters(&self) -> [(&'static str, &str); 4] {
        [("call_id", &self.call_id), ("trunk_id", &self.trunk_id), ("from", &self.from), ("to", &self.to)]
    }
}

/// The `reason` of the `stop` event: one of those in the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopReason(pub &'static str);
