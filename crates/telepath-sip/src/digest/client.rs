//! The client side of digest authentication: answers a 401 or 407 with the strongest algorithm that the server offers
//! (RFC 8760 section 2.4).

use zeroize::Zeroizing;

use super::{Algorithm, DigestParams, Ha1, Qop, digest_response, quoted};
use crate::message::{KnownHeader, Method, Response, StatusCode, trim};

/// A password. It has no debug output and is zeroed when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

/// The user name and password of a client.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Password,
}

/// The header that answers a challenge.
pub(crate) struct AuthorizationValue {
    /// Authorization or Proxy-Authorization.
    pub(crate) header: KnownHeader,
    pub(crate) value: String,
    /// Whether the server rejected the previous attempt only because its nonce was stale.
    pub(crate) stale: bool,
}

/// Computes the credentials for the request that follows a 401 or 407; `None` if the response contains no challenge that
/// this client supports.
pub(crate) fn answer_challenge(
    response: &Response,
    credentials: &ClientCredentials,
    method: &Method,
    uri: &str,
    cnonce: &str,
) -> Option<AuthorizationValue> {
    let (challenge, header) = if response.status() == StatusCode::UNAUTHORIZED {
        (KnownHeader::WwwAuthenticate, KnownHeader::Authorization)
    } else if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        (KnownHeader::ProxyAuthenticate, KnownHeader::ProxyAuthorization)
    } else {
        return None;
    };
    let (algorithm, params) = response
        .headers()
        .all(challenge)
        .filter_map(DigestParams::parse)
        .filter_map(|params| Some((Algorithm::parse(params.get("algorithm"))?, params)))
        .max_by_key(|(algorithm, _)| *algorithm == Algorithm::Sha256)?;
    let (realm, nonce) = (params.get("realm")?, params.get("nonce")?);
    let offers_auth = match params.get("qop") {
        Some(list) if list.split(',').any(|qop| trim(qop).eq_ignore_ascii_case("auth")) => true,
        Some(_) => return None,
        None => false,
    };
    let nc = "00000001";
    let ha1 = Ha1::derive(algorithm, &credentials.username, realm, &credentials.password.0);
    let digest = digest_response(ha1, nonce, offers_auth.then_some(Qop { nc, cnonce }), method, uri);
    let mut parts = vec![
        quoted("Digest username", &credentials.username),
        quoted("realm", realm),
        quoted("nonce", nonce),
        quoted("uri", uri),
        quoted("response", &digest),
        format!("algorithm={}", algorithm.name()),
    ];
    if offers_auth {
        parts.push(format!("qop=auth, nc={nc}, {}", quoted("cnonce", cnonce)));
    }
    if let Some(opaque) = params.get("opaque") {
        parts.push(quoted("opaque", opaque));
    }
    let stale = params.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
    Some(AuthorizationValue { header, value: parts.join(", "), stale })
}
