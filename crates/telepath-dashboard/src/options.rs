//! What the dashboard is told when it is set up.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use telepath_core::id::AccountId;
use telepath_core::ports::{AgentProbe, Destinations, IdentityProvider, Mail, ServerReport};

/// The settings of the dashboard.
#[derive(Debug, Clone)]
pub struct DashboardOptions {
    /// The address under which users reach it, if it is not one of the names of the certificate.
    pub public_url: Option<PublicUrl>,
    /// The names of this server that may stand in `Host`.
    pub names: Vec<String>,
    /// The address that the server listens on. An unspecified one means every address of the machine.
    pub address: IpAddr,
    /// The account of which the first user becomes the owner, and of which users are members who come from the identity provider.
    pub account: AccountId,
    /// Its address, without a slash at the end, for links in emails.
    pub url: String,
    /// The host of SIP URIs, with its port unless that is the usual one.
    pub sip_host: String,
    /// How long calls are kept; `None` keeps all.
    pub calls_kept: Option<Duration>,
}

/// What the dashboard uses of the rest of the program.
#[derive(Clone)]
pub struct Services {
    /// What the server may connect to.
    pub destinations: Arc<dyn Destinations>,
    /// Tests agents.
    pub agents: Arc<dyn AgentProbe>,
    /// The mail server, if one is configured.
    pub mail: Option<Arc<dyn Mail>>,
    /// Where users may sign in beside the password.
    pub identity_provider: Option<Arc<dyn IdentityProvider>>,
    /// What the server reports about itself.
    pub server: Arc<dyn ServerReport>,
}

/// An `https:` origin, such as `https://voice.example` or `https://voice.example:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    authority: String,
    host: String,
}

/// The text is not such an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an https URL without a path, such as https://voice.example")]
pub struct InvalidPublicUrl;

impl PublicUrl {
    /// Reads an origin; a slash may end it.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidPublicUrl)?;
        let authority = uri.authority().ok_or(InvalidPublicUrl)?;
        let is_origin = uri.scheme() == Some(&Scheme::HTTPS)
            && uri.path() == "/"
            && uri.query().is_none()
            && !authority.as_str().contains('@')
            && !authority.host().is_empty();
        if !is_origin || text.contains('#') {
            return Err(InvalidPublicUrl);
        }
        let authority_text = authority.as_str().to_ascii_lowercase();
        let authority_text = authority_text.strip_suffix(":443").unwrap_or(&authority_text).to_owned();
        Ok(Self { authority: authority_text, host: authority.host().to_ascii_lowercase() })
    }

    /// Host and port; the port is left out if it is 443.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host without a port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The origin, without a slash at its end.
impl std::fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_https_origin() {
        let shown = |text: &str| PublicUrl::parse(text).map(|url| url.to_string());
        assert_eq!(shown("https://Voice.example").as_deref(), Ok("https://voice.example"));
        assert_eq!(shown("https://voice.example:443/").as_deref(), Ok("https://voice.example"));
        assert_eq!(shown("https://[2001:db8::1]:8443").as_deref(), Ok("https://[2001:db8::1]:8443"));
        assert_eq!(PublicUrl::parse("https://voice.example:8443").unwrap().host(), "voice.example");
        for wrong in [
            "",
            "voice.example",
            "http://voice.example",
            "https://",
            "https://voice.example/telepath",
            "https://voice.example?x",
            "https://voice.example/#x",
            "https://ada@voice.example",
            "https:///",
        ] {
            assert_eq!(shown(wrong), Err(InvalidPublicUrl), "{wrong}");
        }
    }
}
