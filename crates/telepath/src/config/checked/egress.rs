//! What may be reached from here.

use telepath_egress::{AllowList, InvalidAllowance};

use super::Check;

/// What may be reached from here.
#[derive(Debug, Clone)]
pub struct EgressConfig {
    /// What is open beside public addresses.
    pub allow: AllowList,
}

impl Check<'_> {
    pub(super) fn egress(&mut self) -> Option<EgressConfig> {
        let parse = |text: &str| text.parse().map_err(|error: InvalidAllowance| error.to_string());
        Some(EgressConfig { allow: self.optional("egress.allow", parse)?.unwrap_or_default() })
    }
}
