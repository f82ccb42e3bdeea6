//! `[egress]`: allowed destinations for outbound connections.

use telepath_egress::{AllowList, InvalidAllowance};

use super::Check;

/// Outbound connections.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// Allowed non-public destinations.
    pub allow: AllowList,
}

impl Check<'_> {
    pub(super) fn egress(&mut self) -> Option<EgressConfig> {
        let parse = |text: &str| text.parse().map_err(|error: InvalidAllowance| error.to_string());
        Some(EgressConfig { allow: self.optional("egress.allow", parse)?.unwrap_or_default() })
    }
}
