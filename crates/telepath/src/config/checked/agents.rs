//! `[agents]`: where the providers of agents are reached.

use telepath_core::trunk::{AgentUrl, ProviderUrls};
use telepath_egress::{AllowList, Egress, Security};

use super::Check;

impl Check<'_> {
    /// The URLs of the providers, as far as they are allowed to be reached.
    pub(super) fn agents(&mut self, allow: Option<&AllowList>) -> Option<ProviderUrls> {
        let egress = Egress::new(allow.cloned().unwrap_or_default());
        let url = |text: &str| {
            let url = AgentUrl::try_from(text.to_owned())?;
            if text.contains('?') {
                return Err("must have no query".to_owned());
            }
            let origin = url.origin();
            let security = if origin.secure { Security::Tls } else { Security::Plain };
            let checked = egress.check(&origin.host, origin.port, security);
            checked.map(|()| url).map_err(|error| format!("cannot be used: {error}"))
        };
        let openai = self.required("agents.openai_base_url", url);
        let elevenlabs = self.required("agents.elevenlabs_base_url", url);
        let deepgram = self.required("agents.deepgram_base_url", url);
        let gemini = self.required("agents.gemini_base_url", url);
        Some(ProviderUrls { openai: openai?, elevenlabs: elevenlabs?, deepgram: deepgram?, gemini: gemini? })
    }
}
