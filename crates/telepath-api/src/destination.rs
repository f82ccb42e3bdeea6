//! Checks URLs that are being saved against the addresses that may be reached. Nothing is looked up: see
//! [`telepath_egress::Egress::check`].

use telepath_core::trunk::AgentUrl;
use telepath_core::validation::Invalid;
use telepath_core::webhook::WebhookUrl;
use telepath_egress::{EgressError, Security};

use crate::error::ApiError;
use crate::state::Shared;

/// Refuses the URL of a webhook endpoint that must not be reached.
pub(crate) fn require_webhook_url(shared: &Shared, url: &WebhookUrl) -> Result<(), ApiError> {
    let checked = shared.options.egress.check(url.host(), url.port(), Security::Tls);
    checked.map_err(|error| refused("url", &error))
}

/// Refuses the URL of an agent that must not be reached.
pub(crate) fn require_agent_url(shared: &Shared, url: &AgentUrl) -> Result<(), ApiError> {
    let origin = url.origin();
    let security = if origin.secure { Security::Tls } else { Security::Plain };
    let checked = shared.options.egress.check(&origin.host, origin.port, security);
    checked.map_err(|error| refused("custom_endpoint", &error))
}

fn refused(field: &str, error: &EgressError) -> ApiError {
    Invalid::one(field, format!("cannot be used: {error}")).into()
}
