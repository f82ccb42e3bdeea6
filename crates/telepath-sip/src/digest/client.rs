//! The client side of digest: answers a 401 or 407 with a user name and password, with the strongest algorithm
//! offered (RFC 8760 section 2.4).

use zeroize::Zeroizing;

use super::{Algorithm, DigestParams, Ha1, Qop, quoted, response};
use crate::message::{KnownHeader, Method, Response, StatusCode, trim};

/// A password; it cannot be printed and is wiped when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }
}

/// Who a client says it is.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: Password,
}

/// An answer to a challenge.
pub(crate) struct Answer {
    pub(crate) header: KnownHeader,
    pub(crate) value: String,
    /// True when the server said that only the nonce was too old.
    pub(crate) stale: bool,
}

/// Computes the credentials for the request that follows a 401 or 407; `None` when no challenge in it can be
/// answered.
pub(crate) fn answer_challenge(
    refusal: &Response,
    credentials: &ClientCredentials,
    method: &Method,
    uri: &str,
    cnonce: &str,
) -> Option<Answer> {
    let (challenge, header) = if refusal.status() == StatusCode::UNAUTHORIZED {
        (KnownHeader::WwwAuthenticate, KnownHeader::Authorization)
    } else if refusal.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        (KnownHeader::ProxyAuthenticate, KnownHeader::ProxyAuthorization)
    } else {
        return None;
    };
    let (algorithm, params) = refusal
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
    let proof = response(ha1, nonce, offers_auth.then_some(Qop { nc, cnonce }), method, uri);
    let mut parts = vec![
        quoted("Digest username", &credentials.username),
        quoted("realm", realm),
        quoted("nonce", nonce),
        quoted("uri", uri),
        quoted("response", &proof),
        format!("algorithm={}", algorithm.name()),
    ];
    if offers_auth {
        parts.push(format!("qop=auth, nc={nc}, {}", quoted("cnonce", cnonce)));
    }
    if let Some(opaque) = params.get("opaque") {
        parts.push(quoted("opaque", opaque));
    }
    let stale = params.get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
    Some(Answer { header, value: parts.join(", "), stale })
}
