//! Users who sign in at an OpenID Connect provider: authorization code with PKCE (RFC 6749, RFC 7636, OpenID Connect Core 1.0).
//!
//! The provider is reached through telepath-egress, like every other destination. What it publishes about itself is kept for an
//! hour; a token whose signing key is not among the known ones makes its keys be read again, at most once a minute.

mod discovery;
mod fetch;
mod token;

use std::sync::Arc;

use oauth2::basic::{
    BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, ExtraTokenFields, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use telepath_core::clock::Clock;
use telepath_core::ports::{IdentityProvider, PortFuture};
use telepath_core::user::{ExternalIdentity, GroupRoles, IdentityError, IdentityRequest, IdentityResponse};
use telepath_egress::{Authorities, Egress};

use crate::config::OidcConfig;
use discovery::{Metadata, Published};
use fetch::Fetch;

/// An OpenID Connect provider.
pub(crate) struct Provider {
    settings: OidcConfig,
    published: Published,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl Provider {
    /// `authorities` are those of the provider; `None` stands for those of the system.
    pub(crate) fn new(
        settings: OidcConfig,
        authorities: Option<Authorities>,
        egress: Egress,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let fetch = Fetch::new(egress, authorities);
        let published = Published::new(settings.issuer.clone());
        Self { settings, published, fetch, clock }
    }

    fn client(&self, metadata: &Metadata, request: &IdentityRequest) -> Result<OidcClient, IdentityError> {
        let settings = &self.settings;
        let wrong = |_| IdentityError::Unavailable("it publishes an endpoint that is no URL".to_owned());
        let mut client = Client::new(ClientId::new(settings.client_id.clone()))
            .set_auth_uri(AuthUrl::new(metadata.authorization_endpoint.clone()).map_err(wrong)?)
            .set_token_uri(TokenUrl::new(metadata.token_endpoint.clone()).map_err(wrong)?)
            .set_redirect_uri(RedirectUrl::new(request.redirect_uri.clone()).map_err(wrong)?)
            .set_auth_type(if metadata.accepts_basic() {
                AuthType::BasicAuth
            } else {
                AuthType::RequestBody
            });
        if let Some(secret) = &settings.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        Ok(client)
    }

    async fn go(&self, request: &IdentityRequest) -> Result<String, IdentityError> {
        let metadata = self.published.metadata(&self.fetch).await?;
        let client = self.client(&metadata, request)?;
        let verifier = PkceCodeVerifier::new(request.verifier.expose().to_owned());
        let mut authorization = client
            .authorize_url(|| CsrfToken::new(request.state.expose().to_owned()))
            .add_scopes(self.settings.scopes.iter().map(|scope| Scope::new(scope.clone())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_extra_param("nonce", request.nonce.expose().to_owned());
        if request.fresh {
            authorization = authorization.add_extra_param("prompt", "login").add_extra_param("max_age", "0");
        }
        let (url, _state) = authorization.url();
        Ok(url.to_string())
    }

    async fn come_back(
        &self,
        request: &IdentityRequest,
        response: &IdentityResponse,
    ) -> Result<ExternalIdentity, IdentityError> {
        if response.issuer.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(IdentityError::Refused("it comes from another provider".to_owned()));
        }
        let metadata = self.published.metadata(&self.fetch).await?;
        let client = self.client(&metadata, request)?;
        let answer = client
            .exchange_code(AuthorizationCode::new(response.code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(request.verifier.expose().to_owned()))
            .request_async(&self.fetch)
            .await
            .map_err(|error| exchange_failed(&error))?;
        let Some(id_token) = &answer.extra_fields().id_token else {
            return Err(IdentityError::Refused(
                "it holds no ID token; the scope openid is needed".to_owned(),
            ));
        };
        let key = self.published.key(&self.fetch, &metadata, token::key_id(id_token)?.as_deref()).await?;
        token::identity(id_token, &key, &self.settings, request, self.clock.now())
    }
}

impl IdentityProvider for Provider {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn group_roles(&self) -> &GroupRoles {
        &self.settings.roles
    }

    fn authorization_url<'a>(
        &'a self,
        request: &'a IdentityRequest,
    ) -> PortFuture<'a, Result<String, IdentityError>> {
        Box::pin(self.go(request))
    }

    fn identify<'a>(
        &'a self,
        request: &'a IdentityRequest,
        response: &'a IdentityResponse,
    ) -> PortFuture<'a, Result<ExternalIdentity, IdentityError>> {
        Box::pin(self.come_back(request, response))
    }
}

/// The token of OpenID Connect beside those of OAuth. It is as secret as a password until it expires.
#[derive(Serialize, Deserialize)]
struct IdToken {
    #[serde(default)]
    id_token: Option<String>,
}

impl std::fmt::Debug for IdToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdToken")
    }
}

impl ExtraTokenFields for IdToken {}

type OidcClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

type ExchangeError = oauth2::RequestTokenError<fetch::FetchError, BasicErrorResponse>;

/// What the provider says is told without the descriptions that it adds, which may hold anything.
fn exchange_failed(error: &ExchangeError) -> IdentityError {
    match error {
        ExchangeError::Request(error) => IdentityError::Unavailable(error.to_string()),
        ExchangeError::ServerResponse(answer) => {
            let code: String =
                answer.error().as_ref().chars().filter(char::is_ascii_graphic).take(40).collect();
            IdentityError::Refused(format!("it answers {code}"))
        }
        ExchangeError::Parse(..) | ExchangeError::Other(_) => {
            IdentityError::Unavailable("its answer is not one of a token endpoint".to_owned())
        }
    }
}
