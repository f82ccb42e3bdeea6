//! What a provider publishes about itself (OpenID Connect Discovery 1.0) and its keys (RFC 7517), kept for a while.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use serde::Deserialize;
use telepath_core::user::IdentityError;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::fetch::{Fetch, FetchError};

/// How long what was read is used.
const KEPT: Duration = Duration::from_hours(1);
/// How long to wait before reading the keys again for a token with an unknown one.
const RETRY_AFTER: Duration = Duration::from_mins(1);
/// The most keys of a provider.
const MAX_KEYS: usize = 100;

/// The document of a provider.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Whether a client may authenticate with HTTP Basic; the default of a document that does not say.
    pub(super) fn accepts_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

#[derive(Debug)]
struct Kept<T> {
    value: Arc<T>,
    read_at: Instant,
}

impl<T> Kept<T> {
    fn newer_than(&self, age: Duration) -> Option<Arc<T>> {
        (self.read_at.elapsed() < age).then(|| Arc::clone(&self.value))
    }
}

/// What was read. One task reads at a time, and the others wait for it.
#[derive(Debug)]
pub(super) struct Published {
    issuer: String,
    metadata: Mutex<Option<Kept<Metadata>>>,
    keys: Mutex<Option<Kept<Vec<Jwk>>>>,
}

impl Published {
    pub(super) fn new(issuer: String) -> Self {
        Self { issuer, metadata: Mutex::default(), keys: Mutex::default() }
    }

    pub(super) async fn metadata(&self, fetch: &Fetch) -> Result<Arc<Metadata>, IdentityError> {
        let mut kept = self.metadata.lock().await;
        if let Some(metadata) = kept.as_ref().and_then(|kept| kept.newer_than(KEPT)) {
            return Ok(metadata);
        }
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let text = fetch.get(&url).await.map_err(|error| unreachable(&error))?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|_| IdentityError::Unavailable(format!("{url} is not a document of a provider")))?;
        // OpenID Connect Discovery 1.0 section 4.3; otherwise one provider could speak for another.
        if metadata.issuer != self.issuer {
            let text = format!(
                "{url} says that the issuer is {}, and oidc.issuer says {}",
                metadata.issuer, self.issuer
            );
            return Err(IdentityError::Unavailable(text));
        }
        let metadata = Arc::new(metadata);
        *kept = Some(Kept { value: Arc::clone(&metadata), read_at: Instant::now() });
        Ok(metadata)
    }

    /// The key that signed a token. A token without the name of its key was signed by the only one.
    pub(super) async fn key(
        &self,
        fetch: &Fetch,
        metadata: &Metadata,
        id: Option<&str>,
    ) -> Result<Jwk, IdentityError> {
        let mut kept = self.keys.lock().await;
        if let Some(keys) = kept.as_ref().and_then(|kept| kept.newer_than(KEPT)) {
            if let Some(key) = find(&keys, id) {
                return Ok(key);
            }
            if kept.as_ref().is_some_and(|kept| kept.newer_than(RETRY_AFTER).is_some()) {
                return Err(unknown_key());
            }
        }
        let text = fetch.get(&metadata.jwks_uri).await.map_err(|error| unreachable(&error))?;
        let keys = Arc::new(keys_of(&text)?);
        *kept = Some(Kept { value: Arc::clone(&keys), read_at: Instant::now() });
        find(&keys, id).ok_or_else(unknown_key)
    }
}

fn unreachable(error: &FetchError) -> IdentityError {
    IdentityError::Unavailable(error.to_string())
}

fn unknown_key() -> IdentityError {
    IdentityError::Refused("the key of its ID token is not among those that it publishes".to_owned())
}

/// The keys that can verify signatures. A key of an unknown kind is skipped, because a provider may publish more than we use.
fn keys_of(text: &[u8]) -> Result<Vec<Jwk>, IdentityError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let document: Document = serde_json::from_slice(text)
        .map_err(|_| IdentityError::Unavailable("its keys are not a JSON Web Key Set".to_owned()))?;
    let keys = document.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let signs = |key: &Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
    let is_usable = |key: &Jwk| DecodingKey::from_jwk(key).is_ok();
    Ok(keys.filter(signs).filter(is_usable).take(MAX_KEYS).collect())
}

fn find(keys: &[Jwk], id: Option<&str>) -> Option<Jwk> {
    match (id, keys) {
        (Some(id), _) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(id)).cloned(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[u8] = br#"{"keys":[
        {"kty":"RSA","use":"enc","kid":"enc","n":"AQAB","e":"AQAB"},
        {"kty":"RSA","use":"sig","kid":"one","alg":"RS256","n":"AQAB","e":"AQAB"},
        {"kty":"future","kid":"future","x":"x"},
        {"kty":"OKP","crv":"Ed25519","kid":"two","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn keys_are_found_by_their_name_and_unknown_kinds_are_skipped() {
        let keys = keys_of(KEYS).unwrap();
        let names: Vec<_> = keys.iter().filter_map(|key| key.common.key_id.clone()).collect();
        assert_eq!(names, ["one", "two"]);
        assert!(find(&keys, Some("two")).is_some());
        assert!(
            find(&keys, Some("enc")).is_none() && find(&keys, None).is_none(),
            "one of several cannot be guessed"
        );
        assert!(find(&keys[..1], None).is_some());
        assert!(keys_of(b"[]").is_err());
    }

    #[test]
    fn a_document_that_does_not_say_accepts_http_basic() {
        let read = |methods: &str| {
            let text = format!(
                r#"{{"issuer":"i","authorization_endpoint":"a","token_endpoint":"t","jwks_uri":"j"{methods}}}"#
            );
            serde_json::from_str::<Metadata>(&text).unwrap().accepts_basic()
        };
        assert!(read("") && read(r#","token_endpoint_auth_methods_supported":["client_secret_basic"]"#));
        assert!(!read(r#","token_endpoint_auth_methods_supported":["client_secret_post","none"]"#));
    }
}
