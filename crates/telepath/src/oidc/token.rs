//! The ID token (OpenID Connect Core 1.0 section 3.1.3.7): its signature, and what it says of the user.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use telepath_core::clock::Timestamp;
use telepath_core::user::{
    ExternalIdentity, IdentityError, IdentityRequest, LONGEST_SUBJECT, MAX_GROUPS, UserName,
};

use crate::config::OidcConfig;

/// How far the clocks of the provider and of this server may differ, in seconds.
const LEEWAY: u64 = 60;

#[derive(Deserialize)]
struct Claims {
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    /// Seconds since 1970.
    auth_time: Option<i64>,
    email: Option<String>,
    /// Some providers write it as a text.
    email_verified: Option<Value>,
    name: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// The name of the key that signed a token.
pub(super) fn key_id(token: &str) -> Result<Option<String>, IdentityError> {
    let header = decode_header(token).map_err(|_| refused("its ID token is not a signed token"))?;
    Ok(header.kid)
}

/// The user of a token that the key signed for this client, in answer to this request.
pub(super) fn identity(
    token: &str,
    key: &Jwk,
    settings: &OidcConfig,
    request: &IdentityRequest,
    now: Timestamp,
) -> Result<ExternalIdentity, IdentityError> {
    let decoding = DecodingKey::from_jwk(key).map_err(|_| refused("its key cannot be used"))?;
    let claims = decode::<Claims>(token, &decoding, &validation(&decoding, settings)?)
        .map_err(|error| refused(&format!("its ID token is not valid: {error}")))?
        .claims;
    let nonce = claims.nonce.as_deref().unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(request.nonce.expose().as_bytes())) {
        return Err(refused("its ID token answers another request"));
    }
    if claims.azp.as_ref().is_some_and(|client| *client != settings.client_id) {
        return Err(refused("its ID token was issued to another client"));
    }
    if claims.sub.is_empty() || claims.sub.len() > LONGEST_SUBJECT || claims.sub.contains(char::is_control) {
        return Err(refused("its ID token names no user"));
    }
    let authenticated_at = claims.auth_time.map(Timestamp::from_unix_seconds);
    let verified = matches!(&claims.email_verified, Some(Value::Bool(true)))
        || claims.email_verified.as_ref().is_some_and(|text| text == "true");
    Ok(ExternalIdentity {
        issuer: settings.issuer.clone(),
        subject: claims.sub,
        verified_email: claims.email.filter(|_| verified).and_then(|email| email.parse().ok()),
        name: claims.name.and_then(|name| UserName::check(&name).ok()),
        groups: groups(claims.others.get(&settings.groups_claim)),
        // A time that has not come yet proves nothing.
        authenticated_at: authenticated_at
            .filter(|at| *at <= now.plus(std::time::Duration::from_secs(LEEWAY))),
    })
}

/// Only signatures with a key pair count: with a shared secret, whoever knows the public key could sign.
fn validation(key: &DecodingKey, settings: &OidcConfig) -> Result<Validation, IdentityError> {
    let algorithms = match key.family() {
        AlgorithmFamily::Rsa => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmFamily::Ec => vec![Algorithm::ES256, Algorithm::ES384],
        AlgorithmFamily::Ed => vec![Algorithm::EdDSA],
        AlgorithmFamily::Hmac => return Err(refused("its key is a shared secret")),
    };
    let mut validation = Validation::new(algorithms[0]);
    validation.algorithms = algorithms;
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[&settings.issuer]);
    validation.set_audience(&[&settings.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    Ok(validation)
}

/// A list of texts; one text counts as a list of one.
fn groups(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(list)) => {
            list.iter().filter_map(Value::as_str).take(MAX_GROUPS).map(str::to_owned).collect()
        }
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

fn refused(why: &str) -> IdentityError {
    IdentityError::Refused(why.to_owned())
}
