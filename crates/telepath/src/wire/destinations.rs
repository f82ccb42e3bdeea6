//! What pages may save as destinations: the same rules as for the API.

use telepath_core::ports::Destinations;
use telepath_core::trunk::AgentUrl;
use telepath_core::webhook::WebhookUrl;
use telepath_egress::{Authorities, Egress, Security};

pub(super) struct EgressRules(pub(super) Egress);

impl Destinations for EgressRules {
    fn check_webhook_url(&self, url: &WebhookUrl) -> Result<(), String> {
        let checked = self.0.check(url.host(), url.port(), Security::Tls);
        checked.map_err(|error| format!("cannot be used: {error}"))
    }

    fn check_agent_url(&self, url: &AgentUrl) -> Result<(), String> {
        let origin = url.origin();
        let security = if origin.secure { Security::Tls } else { Security::Plain };
        let checked = self.0.check(&origin.host, origin.port, security);
        checked.map_err(|error| format!("cannot be used: {error}"))
    }

    fn check_authorities(&self, pem: &str) -> Result<(), String> {
        Authorities::parse(pem).map(drop).map_err(|error| error.to_string())
    }
}
